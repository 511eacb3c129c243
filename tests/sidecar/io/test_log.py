from __future__ import annotations

import io
import json

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
