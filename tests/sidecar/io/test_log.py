from __future__ import annotations

import io
import json

import pytest

from sidecar.io.log import configure


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_line_for_a_terminal_cannot_steer_it() -> None:
    terminal = Terminal()
    configure("info", terminal).info("outrider runs", service="a\x1b[2J\r\nb", checks=2)
    line = terminal.getvalue()
    assert line.endswith(' level=info event="outrider runs" service=a\\x1b[2J\\x0d\\x0ab checks=2\n'), line


def test_a_line_for_a_machine_is_json() -> None:
    stream = io.StringIO()
    configure("info", stream).warning("x", service="a\x1b\nb")
    assert json.loads(stream.getvalue())["service"] == "a\x1b\nb"
    assert stream.getvalue().count("\n") == 1


def test_a_log_that_cannot_be_written_ends_nothing() -> None:
    full = open("/dev/full", "w", buffering=1)  # noqa: SIM115 - closing it is part of the test
    log = configure("info", full)
    for number in range(1000):
        log.info("outrider runs", number=number, text="x" * 100)
    with pytest.raises(OSError, match="No space left on device"):
        full.close()
