"""Which package may import which: data flows one way, from the server to cells to engines."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = {"server", "jail", "engines", "cloister", "bench"}
PIXELS = {"cv2", "PIL", "pikepdf", "pypdfium2", "tensorflow"}


def imports(package: str) -> Iterator[tuple[Path, str]]:
    for path in sorted((ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((path, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
                yield path, node.module


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("jail", (OURS - {"jail"}) | PIXELS | {"grpc", "google"}),
        ("engines", {"server", "jail", "bench", "grpc"}),
        ("server", PIXELS | {"bench", "torch"}),
    ],
)
def test_a_package_imports_nothing_from_up_the_line(package: str, forbidden: set[str]) -> None:
    found = [f"{path.relative_to(ROOT)}: {name}" for path, name in imports(package) if name.split(".")[0] in forbidden]
    assert not found
    assert any(imports(package))


def test_what_serves_does_not_need_what_trains() -> None:
    training = {"torch", "mlflow", "faker", "wordfreq", "fontTools", "matplotlib"}
    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for path, name in imports("engines")
        if not {"training", "make_font.py"} & set(path.parts) and name.split(".")[0] in training
    ]
    assert not found
