"""Ports for programs that tests start, and that take a port only some time after it was chosen for them."""

from __future__ import annotations

import itertools
import os
import socket

_SHARE = 1000
_first = 20_000 + _SHARE * (int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 8)
_start = os.getpid() % _SHARE
_ports = itertools.cycle([_first + (_start + n) % _SHARE for n in range(_SHARE)])


def free_port() -> int:
    """A port of 127.0.0.1 on which nothing listens. It is below those that the kernel gives to clients and out of a share of this
    process's own, so that it is still free when its owner comes."""
    for port in itertools.islice(_ports, _SHARE):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise OSError(f"none of {_SHARE} ports from {_first} on is free")
