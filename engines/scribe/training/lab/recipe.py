"""What a run's data were made of, and a hash of all of it: settings, code, fonts, and the shards that were there."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from engines.scribe.training.settings import RUNS

ROOT = Path(__file__).parents[4]
_PACKAGES = "engines.scribe"


def recipe(settings: dict[str, object], maker: Path, shards: Path) -> dict[str, object]:
    """The recipe of what the module ``maker`` made with ``settings`` into the folder ``shards``.

    ``hash`` is of the rest. Shards are told apart by their texts, not by their pixels: those are gigabytes.
    """
    fonts = RUNS / "fonts.json"
    told: dict[str, object] = {
        "settings": settings,
        "code": _digest(sorted(code(maker))),
        "fonts": _digest([fonts]) if fonts.exists() else None,
        "shards": {str(folder.relative_to(shards)): _shards(folder) for folder in _folders(shards)},
    }
    return {**told, "hash": hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]}


def code(module: Path) -> set[Path]:
    """The files of ``module``, of all modules of scribe that it reaches by imports, and of manifests beside them."""
    found: set[Path] = set()
    waiting = [module]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += _imported(path)
    return found | {manifest for path in found for manifest in path.parent.glob(f"{path.stem}.toml")}


def _imported(path: Path) -> Iterator[Path]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(_PACKAGES):
            base = ROOT / node.module.replace(".", "/")
            for candidate in (base.with_suffix(".py"), *(base / f"{alias.name}.py" for alias in node.names)):
                if candidate.exists():
                    yield candidate


def _folders(shards: Path) -> list[Path]:
    return sorted({path.parent for path in shards.rglob("*.json*")})


def _shards(folder: Path) -> dict[str, object]:
    texts = sorted(folder.glob("*.json*"))
    return {"count": len(texts), "hash": _digest(texts)}


def _digest(paths: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]
