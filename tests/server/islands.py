"""Hosts of a small network that a test makes for itself: network namespaces with an address, and a link to cut."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest


@dataclass(frozen=True, slots=True)
class Island:
    """A network namespace ``name``. Its only link leads here, where it is ``address``."""

    name: str
    address: str

    @property
    def prefix(self) -> tuple[str, ...]:
        """What starts a command there. Not ip-netns(8): it would mount another /sys, without the cgroups."""
        return ("nsenter", f"--net=/run/netns/{self.name}")

    def cut(self) -> None:
        """Let whatever is sent there vanish; nobody is told."""
        _run("ip", "-netns", self.name, "link", "set", "eth0", "down")

    def mend(self) -> None:
        _run("ip", "-netns", self.name, "link", "set", "eth0", "up")


@contextmanager
def islands(count: int) -> Iterator[list[Island]]:
    """So many of them, in the range for tests of networks (RFC 2544), for the length of the block."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces with addresses of their own take root")
    if shutil.which("ip") is None or shutil.which("nsenter") is None:
        pytest.skip("ip and nsenter are missing; run deploy/setup.sh tests")
    with ExitStack() as stack:
        yield [stack.enter_context(_island(number)) for number in range(count)]


@contextmanager
def _island(number: int) -> Iterator[Island]:
    own = os.getpid()
    name, here = f"cloister-{own}-{number}", f"cl{own}-{number}"
    network = f"198.18.{own % 250}"
    island = Island(name, f"{network}.{4 * number + 2}")
    _run("ip", "netns", "add", name)
    try:
        _run("ip", "link", "add", here, "type", "veth", "peer", "name", "eth0", "netns", name)
        _run("ip", "address", "add", f"{network}.{4 * number + 1}/30", "dev", here)
        _run("ip", "link", "set", here, "up")
        _run("ip", "-netns", name, "address", "add", f"{island.address}/30", "dev", "eth0")
        island.mend()
        yield island
    finally:
        # The link goes with it.
        _run("ip", "netns", "delete", name)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)
