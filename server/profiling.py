"""DANGER: has an engine read documents in cells whose policy records instead of kills; see `jail.profile`.

Good documents, damaged ones and every way to fail that a document or a task has, so that what only failures need shows.
"""

from __future__ import annotations

import random
import struct
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cloister.cell.v1 import cell_pb2
from cloister.v1 import ocr_pb2
from jail import profile
from jail.pool import Pool
from jail.profile import Profile
from jail.spec import Layers, Limits
from server.catalogue import EngineEntry
from server.settings import Settings

_TIMEOUT_S = 120.0
_SMALL_BYTES = 128 << 20
"""Memory of cells that are to run out of it."""
_SIDE = 8000
_MUTATIONS = 4
_MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"II*\x00", b"%PDF-1.7\n", b"RIFF\x00\x00\x00\x00WEBP", b"BM")
_OUTPUTS = (
    (ocr_pb2.OUTPUT_WORDS, ocr_pb2.OUTPUT_TEXT),
    (ocr_pb2.OUTPUT_WORDS, ocr_pb2.OUTPUT_TEXT, ocr_pb2.OUTPUT_PDF),
)


@dataclass(frozen=True, slots=True)
class Trial:
    """A request of a profile. ``header`` is what a cell's job gets as its task."""

    name: str
    header: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class Profiled:
    """``endings`` counts how the trials' cells ended."""

    profile: Profile
    endings: Counter[str]


def trials(documents: Sequence[bytes], settings: Settings, seed: int = 0) -> Iterator[Trial]:
    """Each document with all outputs, damaged and refused; then what is no document at all."""
    limits = settings.limits
    chance = random.Random(seed)
    usual = _task(limits.pixels, limits.pages)
    for document in documents:
        for outputs in _OUTPUTS:
            yield Trial("read", _task(limits.pixels, limits.pages, outputs), document)
        yield Trial("too many pixels", _task(1, limits.pages), document)
        yield Trial("too many pages", _task(limits.pixels, 1), document)
        for share in (0.05, 0.5, 0.95):
            yield Trial("cut off", usual, document[: int(len(document) * share)])
        for _ in range(_MUTATIONS):
            yield Trial("damaged", usual, _damaged(document, chance))
    yield Trial("nothing", usual, b"")
    yield Trial("noise", usual, chance.randbytes(4096))
    yield Trial("no task", b"\xff\xff\xff", b"x")
    yield Trial("large page", usual, _blank_png(_SIDE))
    for magic in (
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff\xe0",
        b"II*\x00",
        b"%PDF-1.7\n",
        b"RIFF\x00\x00\x00\x00WEBP",
        b"BM",
    ):
        yield Trial("magic alone", usual, magic + chance.randbytes(512))


async def dangerously_profile(
    entry: EngineEntry, documents: Sequence[bytes], settings: Settings, folder: Path
) -> Profiled:
    """Run all trials under the engine's policy, let through. ``folder`` gets the records. Raises `JailError`."""
    records = [folder / "usual.json", folder / "small.json"]
    layers = Layers(settings.jail.dangerously_without, settings.jail.cgroup_parent)
    limits = Limits(
        memory_bytes=max(settings.cells.memory_bytes, entry.limits.memory_bytes),
        pids=max(settings.cells.pids, entry.limits.pids),
        cpu_s=settings.cells.cpu_s,
    )
    pool = Pool(entry.zygote, limits, busy=1, idle=1, layers=replace(layers, dangerously_record=str(records[0])))
    endings = await _run(pool, trials(documents, settings))
    large = Trial("out of memory", _task(settings.limits.pixels, 1), _blank_png(_SIDE * 2))
    small = replace(limits, memory_bytes=_SMALL_BYTES)
    pool = Pool(entry.zygote, small, busy=1, idle=1, layers=replace(layers, dangerously_record=str(records[1])))
    endings += await _run(pool, [large])
    return Profiled(profile.read(entry.zygote.policy_path, records), endings)


async def _run(pool: Pool, wanted: Iterable[Trial]) -> Counter[str]:
    """How the cells of these requests ended."""
    endings: Counter[str] = Counter()
    await pool.start()
    try:
        for trial in wanted:
            async with pool.run(trial.header, trial.body, timeout_s=_TIMEOUT_S) as run:
                async for _ in run:
                    pass
            assert run.result is not None, "the run is over"
            endings[f"{trial.name}: {run.result.status}"] += 1
    finally:
        await pool.close()
    return endings


def _task(pixels: int, pages: int, outputs: Sequence[ocr_pb2.Output.ValueType] = (ocr_pb2.OUTPUT_WORDS,)) -> bytes:
    return cell_pb2.Task(outputs=outputs, max_pixels=pixels, max_pages=pages).SerializeToString()


def _damaged(document: bytes, chance: random.Random) -> bytes:
    """Some bytes changed, most of them near the start, where formats keep their structure."""
    damaged = bytearray(document)
    for _ in range(max(1, len(damaged) // 2000) if damaged else 0):
        damaged[int(len(damaged) * chance.random() ** 3)] = chance.randrange(256)
    return bytes(damaged)


def _blank_png(side: int) -> bytes:
    """A white page, grey, 8 bits: small as a file, ``side`` times ``side`` bytes when decoded."""
    compressor = zlib.compressobj(1)
    row = b"\x00" + b"\xff" * side
    pixels = b"".join(compressor.compress(row) for _ in range(side)) + compressor.flush()
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
