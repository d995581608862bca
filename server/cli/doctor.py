"""``cloister doctor``."""


def doctor() -> None:
    """Say what this host lacks for each layer of the jail, and what to change."""
