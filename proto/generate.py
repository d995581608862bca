"""Makes the Python stubs and their type stubs from the .proto files beside this one.

    python proto/generate.py            writes them
    python proto/generate.py --check    fails where the committed ones are not what would be written

Needs grpcio-tools and mypy-protobuf. `cell.proto` has no service, so nothing of gRPC is made for it: the zygote imports
its stubs and must not load grpc.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from google.rpc import status_pb2

ROOT = Path(__file__).resolve().parent
PACKAGE = ROOT / "cloister"
GENERATED = ("*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py", "*_pb2_grpc.pyi")


class GenerationError(Exception):
    """protoc refused the sources or a plugin is missing."""


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.proto"))


def _plugin(name: str) -> str:
    path = Path(sys.executable).parent / name
    if not path.exists():
        raise GenerationError(f"{path.name} is not beside {sys.executable}: install the dev extra (mypy-protobuf)")
    return f"--plugin={name}={path}"


def _protoc(*arguments: str) -> None:
    # As a program: in one process with another library's protobuf (TensorFlow's, say) the compiler crashes.
    # google.rpc comes with its sources from googleapis-common-protos.
    theirs = Path(status_pb2.__file__).parents[2]
    command = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={ROOT}", f"--proto_path={theirs}", *arguments]
    if code := subprocess.run(command, check=False).returncode:
        raise GenerationError(f"protoc ended with {code}: what it printed above says where")


def _serves(proto: Path) -> bool:
    return any(line.startswith("service ") for line in proto.read_text().splitlines())


def generate(into: Path) -> None:
    """Write the stubs of all sources under ``into``, laid out as their packages are."""
    names = [str(proto.relative_to(ROOT)) for proto in sources()]
    services = [str(proto.relative_to(ROOT)) for proto in sources() if _serves(proto)]
    _protoc(_plugin("protoc-gen-mypy"), f"--python_out={into}", f"--mypy_out=quiet:{into}", *names)
    _protoc(_plugin("protoc-gen-mypy_grpc"), f"--grpc_python_out={into}", f"--mypy_grpc_out=quiet:{into}", *services)


def stubs(root: Path) -> Iterator[Path]:
    """Paths of the generated files below ``root``, relative to it."""
    for pattern in GENERATED:
        for path in root.rglob(pattern):
            yield path.relative_to(root)


def differences(made: Path, committed: Path) -> list[str]:
    """What would change if ``committed`` were made anew: one line a file, empty when it is current."""
    new, old = set(stubs(made)), set(stubs(committed))
    return [
        *(f"missing: {path}" for path in sorted(new - old)),
        *(f"left over: {path}" for path in sorted(old - new)),
        *(
            f"out of date: {path}"
            for path in sorted(new & old)
            if (made / path).read_bytes() != (committed / path).read_bytes()
        ),
    ]


def _replace(made: Path, committed: Path, paths: Iterable[Path]) -> None:
    for stale in list(stubs(committed)):
        (committed / stale).unlink()
    for path in paths:
        target = committed / path
        target.write_bytes((made / path).read_bytes())


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 where the stubs are not current")
    check: bool = parser.parse_args(arguments).check
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder)
        try:
            generate(made)
        except GenerationError as error:
            print(error, file=sys.stderr)
            return 2
        changes = differences(made, ROOT)
        if check:
            for change in changes:
                print(change, file=sys.stderr)
            if changes:
                print("run: python proto/generate.py", file=sys.stderr)
            return 1 if changes else 0
        _replace(made, ROOT, stubs(made))
    for change in changes:
        print(change)
    return 0


if __name__ == "__main__":
    sys.exit(main())
