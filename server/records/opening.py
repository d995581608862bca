"""The store that settings name."""

from __future__ import annotations

from server.records.store import RecordsError, Store
from server.records.vault import Vault, VaultError
from server.settings import Settings, SettingsError


def opened(settings: Settings) -> Store | None:
    """None where comparisons are not recorded. Nothing is connected to yet. Raises `SettingsError`."""
    shadow = settings.shadow
    if not shadow.database:
        return None
    try:
        vault = None if shadow.keep_keys is None else Vault.load(shadow.keep_keys)
        return Store(shadow.database, vault, shadow.keep_days)
    except VaultError as error:
        raise SettingsError(f"shadow.keep_keys: {error}") from error
    except RecordsError as error:
        raise SettingsError(str(error)) from error
