"""Addresses of servers, as gRPC takes them."""

from __future__ import annotations

import ipaddress
import re

_SCHEME = re.compile(r"^(dns:(//[^/]*/)?|ipv4:|ipv6:)")


def is_local(address: str) -> bool:
    """Whether ``address`` can be reached from this host alone: a loopback host or a unix socket."""
    if address.startswith(("unix:", "unix-abstract:")):
        return True
    return all(_is_loopback(part) for part in _SCHEME.sub("", address).split(","))


def _is_loopback(place: str) -> bool:
    host = place.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
