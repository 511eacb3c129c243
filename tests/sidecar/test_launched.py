"""A sidecar beside a command finds its own ports, unless it is told."""

from __future__ import annotations

import socket

from sidecar.config import Loaded, load
from sidecar.launched import elsewhere


def loaded(**environ: str) -> Loaded:
    return load({}, {"HOSTNAME": "h", **environ}, None)


def test_a_port_that_is_taken_is_replaced_where_nobody_has_asked_for_it() -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            other.bind(("127.0.0.1", 4318))
            other.listen()
        except OSError:
            pass  # somebody else has taken it, which is as good
        moved = elsewhere(loaded())
        assert moved["otlp.http.listen"] == "127.0.0.1:0"
        assert (
            load(moved, {"HOSTNAME": "h"}, None).config.otlp.http.listen
            == loaded(OUTRIDER_OTLP_HTTP="127.0.0.1:0").config.otlp.http.listen
        )
        assert "otlp.http.listen" not in elsewhere(loaded(OUTRIDER_OTLP_HTTP="127.0.0.1:4318"))


def test_a_port_that_is_off_stays_off() -> None:
    assert "otlp.grpc.listen" not in elsewhere(loaded(OUTRIDER_OTLP_GRPC="off"))
