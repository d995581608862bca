"""Makes the pool of cells of an engine as the settings say."""

from __future__ import annotations

from jail.pool import Pool
from jail.spec import Layers, Limits
from server.catalogue import EngineEntry
from server.settings import Settings


def pool(
    settings: Settings,
    entry: EngineEntry,
    *,
    busy: int | None = None,
    idle: int | None = None,
    background: bool = False,
) -> Pool:
    """A pool, not started. ``busy`` and ``idle`` are the settings' unless given."""
    cells = settings.cells
    return Pool(
        entry.zygote,
        Limits(
            memory_bytes=max(cells.memory_bytes, entry.limits.memory_bytes),
            pids=max(cells.pids, entry.limits.pids),
            cpu_s=cells.cpu_s,
            cpus=cells.cpus,
            reply_bytes=cells.reply_bytes,
            background=background,
        ),
        busy=busy or cells.busy,
        idle=idle or cells.idle,
        layers=Layers(settings.jail.dangerously_without, settings.jail.cgroup_parent),
    )
