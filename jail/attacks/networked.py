"""Attacks from cells whose program has the network: they are in the server's own, and may call whom it can call.

All else must still be kept from them. Tried are those of the other cells' attacks that the network has to do with, and
what only a socket can do; as their policy allows sockets, other layers must stop what it can't tell apart.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from jail.attacks import files, kernel, network, processes
from jail.attacks.attack import Arguments, Attack, Barrier, Cells, Scene, Target, text
from jail.attacks.machine import Machine, NotHereError, RefusedError
from jail.layers import Layer

PREFIX = "network: "
"""What the names of these begin with."""
_AF_VSOCK, _AF_ALG, _AF_PACKET, _AF_NETLINK = 40, 38, 17, 16
_ICMP = 1
_OTHER_PROTOCOLS = ((socket.SOCK_STREAM, 262), (socket.SOCK_DGRAM, 136))
"""MPTCP and UDP-Lite: what kernels have built in, and no module has to be loaded for."""
_SOL_SOCKET, _SO_ATTACH_FILTER = 1, 26
_RET_ALL = struct.pack("=HBBI", 6, 0, 0, 0xFFFFFFFF)
"""A filter of one instruction: take the whole packet (BPF_RET | BPF_K)."""
_RTM_NEWADDR, _RTM_DELADDR, _RTM_GETLINK = 20, 21, 18
_REQUEST, _ACK, _CREATE, _DUMP = 0x1, 0x4, 0x400, 0x300
_LOOPBACK = 1
"""Its index: the first interface of every network namespace."""
_STRANGE = "192.0.2.77"
"""An address that no host has (RFC 5737)."""
_PRIVILEGED_PORTS = range(600, 1000)
_ABSENT = frozenset({"EAFNOSUPPORT", "EPROTONOSUPPORT", "ESOCKTNOSUPPORT", "ENOPROTOOPT", "ENOENT"})
_AWAY = (Layer.MOUNTS, Layer.LANDLOCK)
_OTHERS = (Layer.SECCOMP, Layer.PID_NAMESPACE, Layer.LANDLOCK, Layer.IDENTITY)
_POWER = (Layer.SECCOMP, Layer.IDENTITY, Layer.CAPABILITIES)

_BARRIERS: dict[str, tuple[Barrier, ...]] = {
    "read a file": _AWAY,
    "read a process's environment in /proc": (*_AWAY, Layer.IDENTITY),
    "use an inherited descriptor": (Layer.DESCRIPTORS,),
    "execute a program": _AWAY,
    "kill a process": _OTHERS,
    "trace a process": (*_OTHERS, Layer.CAPABILITIES),
    "read a zygote's memory": (*_OTHERS, Layer.CAPABILITIES),
    "signal a zygote": _OTHERS,
    "steal a descriptor": (*_OTHERS, Layer.CAPABILITIES),
    "connect to an abstract unix socket": (Layer.SECCOMP, Layer.LANDLOCK),
    "connect to a unix socket": (Layer.SECCOMP, Layer.MOUNTS),
    "listen for callers": (Layer.SECCOMP, Layer.LANDLOCK),
    "use bpf": _POWER,
    "use io_uring": (Layer.SECCOMP,),
    "make a user namespace": (Layer.SECCOMP,),
    "join a namespace": (*_POWER, Layer.PID_NAMESPACE),
}
"""What stops from here what is tried from all cells, most telling first."""


# Deeds, in the cell.


def _opened(family: int, kind: int, protocol: int = 0) -> Callable[[Machine, Arguments], bytes]:
    def deed(machine: Machine, _: Arguments) -> bytes:
        try:
            machine.call("close", machine.call("socket", family, kind, protocol))
        except RefusedError as error:
            if str(error) in _ABSENT:
                raise NotHereError(f"this kernel has no such socket: {error}") from error
            raise
        return b"done"

    return deed


def _speak_otherwise(machine: Machine, arguments: Arguments) -> bytes:
    """By a protocol beside TCP and UDP: the first that this kernel has."""
    for kind, protocol in _OTHER_PROTOCOLS:
        with suppress(NotHereError):
            return _opened(socket.AF_INET, kind, protocol)(machine, arguments)
    raise NotHereError("this kernel has neither MPTCP nor UDP-Lite")


def _bind_low(machine: Machine, arguments: Arguments) -> bytes:
    """A port that callers take to be the host's own. Of some, as one may be taken."""
    fd = machine.call("socket", socket.AF_INET, socket.SOCK_STREAM, 0)
    refused = RefusedError("")
    for port in _PRIVILEGED_PORTS:
        address = struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + socket.inet_aton("127.0.0.1") + bytes(8)
        try:
            machine.call("bind", fd, address, len(address))
        except RefusedError as error:
            refused = error
            if str(error) != "EADDRINUSE":
                break
        else:
            return b"done"
    raise refused


def _listen_anywhere(machine: Machine, arguments: Arguments) -> bytes:
    """On a port of the kernel's choice: nothing is bound, so nobody is asked about that."""
    fd = machine.call("socket", socket.AF_INET, socket.SOCK_STREAM, 0)
    machine.call("listen", fd, 1)
    return b"done"


def _attach_filter(machine: Machine, arguments: Arguments) -> bytes:
    """Has the kernel run a program of the attacker's on each packet."""
    fd = machine.call("socket", socket.AF_INET, socket.SOCK_DGRAM, 0)
    code = ctypes.create_string_buffer(_RET_ALL)
    program = struct.pack("@HP", 1, ctypes.addressof(code))
    machine.call("setsockopt", fd, _SOL_SOCKET, _SO_ATTACH_FILTER, program, len(program))
    return b"done"


def _ask_netlink(machine: Machine, arguments: Arguments) -> bytes:
    message = bytes.fromhex(text(arguments, "message"))
    fd = machine.call("socket", _AF_NETLINK, socket.SOCK_RAW, 0)
    machine.call("sendto", fd, message, len(message), 0, 0, 0)
    answer = machine.fetch("recvfrom", fd, size=1 << 14, after=(0, 0, 0))
    if (failed := _refusal(answer)) is not None:
        raise RefusedError(failed)
    return answer


def _refusal(answer: bytes) -> str | None:
    """The errno of an NLMSG_ERROR; None where it is another message, or an acknowledgement."""
    kind = struct.unpack_from("=H", answer, 4)[0]
    error = -struct.unpack_from("=i", answer, 16)[0] if kind == 2 else 0
    return str(error) if error else None


# Targets, outside.


@contextmanager
def _interfaces(scene: Scene) -> Iterator[Target]:
    message = struct.pack("=IHHIIBxHiII", 32, _RTM_GETLINK, _REQUEST | _DUMP, 1, 0, 0, 0, 0, 0, 0)
    yield Target({"message": message.hex()}, lambda answer: b"lo\0" in answer.loot)


@contextmanager
def _address(scene: Scene) -> Iterator[Target]:
    """The stage's loopback, which gets one more address."""
    try:
        yield Target(
            {"message": _change_address(_RTM_NEWADDR, _CREATE).hex()}, lambda answer: bool(answer.loot) and _is_ours()
        )
    finally:
        if _is_ours():
            with socket.socket(_AF_NETLINK, socket.SOCK_RAW, 0) as netlink:
                netlink.send(_change_address(_RTM_DELADDR, 0))
                netlink.recv(1 << 14)


def _change_address(kind: int, flags: int) -> bytes:
    """One address of the loopback: struct ifaddrmsg, then the attributes IFA_ADDRESS and IFA_LOCAL; rtnetlink(7)."""
    place = socket.inet_aton(_STRANGE)
    body = struct.pack("=BBBBI", socket.AF_INET, 32, 0, 0, _LOOPBACK)
    body += b"".join(struct.pack("=HH", 8, attribute) + place for attribute in (1, 2))
    return struct.pack("=IHHII", 16 + len(body), kind, _REQUEST | _ACK | flags, 1, 0) + body


def _is_ours() -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, suppress(OSError):
        probe.bind((_STRANGE, 0))
        return True
    return False


_TRIED = {attack.name: attack for attack in (*files.ATTACKS, *processes.ATTACKS, *network.ATTACKS, *kernel.ATTACKS)}

ATTACKS = (
    *(
        replace(_TRIED[name], name=PREFIX + name, barriers=barriers, cells=Cells.NETWORK)
        for name, barriers in _BARRIERS.items()
    ),
    *(
        Attack(PREFIX + name, aim, deed, barriers, cells=Cells.NETWORK)
        for name, aim, deed, barriers in (
            ("open a raw socket", kernel.done, _opened(socket.AF_INET, socket.SOCK_RAW, _ICMP), _POWER),
            ("open a packet socket", kernel.done, _opened(_AF_PACKET, socket.SOCK_RAW), _POWER),
            ("change the host's addresses", _address, _ask_netlink, _POWER),
            ("learn the host's interfaces", _interfaces, _ask_netlink, (Layer.SECCOMP,)),
            ("speak to the hypervisor", kernel.done, _opened(_AF_VSOCK, socket.SOCK_STREAM), (Layer.SECCOMP,)),
            ("use the kernel's ciphers", kernel.done, _opened(_AF_ALG, socket.SOCK_SEQPACKET), (Layer.SECCOMP,)),
            ("speak another protocol", kernel.done, _speak_otherwise, (Layer.SECCOMP,)),
            ("have the kernel run a filter", kernel.done, _attach_filter, (Layer.SECCOMP,)),
            ("bind a privileged port", kernel.done, _bind_low, (Layer.SECCOMP, Layer.LANDLOCK, *_POWER[1:])),
            ("listen on any port", kernel.done, _listen_anywhere, (Layer.SECCOMP,)),
        )
    ),
)

ASKED_FOR = tuple(
    replace(_TRIED[name], name=PREFIX + name, barriers=(), cells=Cells.NETWORK)
    for name in ("connect by TCP", "send by UDP")
)
"""What can't be stopped, as it is what the network was given for."""
