"""The committed stubs are those of the .proto files, and load as little as they can."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from server.errors import CloisterError, Reason

ROOT = Path(__file__).parents[2]


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'proto'}"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_stubs_are_current() -> None:
    pytest.importorskip("grpc_tools", reason="grpcio-tools is missing: install the dev extra")
    checked = python("proto/generate.py", "--check")
    assert checked.returncode == 0, checked.stderr


def test_a_change_that_was_not_generated_is_found(tmp_path: Path) -> None:
    pytest.importorskip("grpc_tools", reason="grpcio-tools is missing: install the dev extra")
    sys.path.insert(0, str(ROOT / "proto"))
    try:
        import generate
    finally:
        sys.path.pop(0)
    generate.generate(tmp_path)
    changed = tmp_path / "cloister/v1/ocr_pb2.py"
    changed.write_text(changed.read_text() + "\n")
    (tmp_path / "cloister/cell/v1/cell_pb2.pyi").unlink()
    assert generate.differences(made=ROOT / "proto", committed=tmp_path) == [
        "missing: cloister/cell/v1/cell_pb2.pyi",
        "out of date: cloister/v1/ocr_pb2.py",
    ]


def test_what_a_zygote_imports_does_not_load_grpc() -> None:
    loaded = python("-c", "import sys, server, cloister.cell.v1.cell_pb2; print('grpc' in sys.modules)")
    assert loaded.stdout.strip() == "False", loaded.stderr


def test_the_api_names_every_reason_with_its_code() -> None:
    listed: dict[str, set[str]] = {}
    code = ""
    apis = ((ROOT / f"proto/cloister/v1/{name}.proto").read_text() for name in ("ocr", "jobs"))
    for line in "\n".join(apis).splitlines():
        if row := re.fullmatch(r"// {3}([A-Z_]+)? +(.*)", line):
            code = row[1] or code
            listed.setdefault(code, set()).update(re.findall(r"[A-Z_]{2,}", row[2]))
    raised = {reason: CloisterError(reason, "").code.name for reason in set(Reason) - {Reason.UNREACHABLE}}
    assert {reason: code for code, reasons in listed.items() for reason in reasons} == raised
