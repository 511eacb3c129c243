"""What the launcher and the sidecar say is understood as it was said."""

from __future__ import annotations

from sidecar.logic.launch import Hello, Ready


def test_a_hello_keeps_its_words() -> None:
    said = Hello("00ff", [b"./run", b"", b"a=b", b"\xff"], {"otlp.http.listen": "127.0.0.1:1"}, 42)
    heard = Hello.decode(said.encode())
    assert (heard.run, heard.command, heard.again, heard.pid) == (said.run, said.command, said.again, 42)


def test_a_long_command_is_cut_so_that_it_fits_in_a_message() -> None:
    assert len(Hello("00ff", [b"x" * 100_000], {}).encode()) < 20_000


def test_a_ready_keeps_its_values() -> None:
    said = Ready(2.5, {"api.listen": "[::1]:1"}, {"A": "b=c\nd", "B": None, "C": "", "D": "\udcff"})
    heard = Ready.decode(said.encode())
    assert (heard.drain, heard.again, heard.environment) == (2.5, said.again, said.environment)
