"""Real programs for end-to-end tests: started, waited for, asked, and always ended by their own pid."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent.parent


@contextmanager
def running(
    command: Sequence[str], log: Path, environ: dict[str, str] | None = None, patience: float = 20
) -> Iterator[subprocess.Popen[bytes]]:
    """A process with its output in `log`; SIGTERM at the end, SIGKILL when that is not enough."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("OUTRIDER_", "OTEL_"))}
    with log.open("ab") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env={**clean, **(environ or {})}, cwd=ROOT)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            try:
                process.wait(patience)
            except subprocess.TimeoutExpired:
                process.kill()
        process.wait()


def outrider(*args: str) -> list[str]:
    return [sys.executable, "-m", "sidecar", *args]


class Answer(NamedTuple):
    status: int
    text: str


def get(url: str, **headers: str) -> Answer:
    """Any status is an answer; no connection raises `OSError`."""
    request = urllib.request.Request(url, headers={name.replace("_", "-"): value for name, value in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return Answer(answer.status, answer.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.read().decode())


def eventually(condition: Callable[[], object], within: float = 30) -> None:
    """Wait until `condition` is true; what raises `OSError` is not yet true. Fails with what it saw last."""
    deadline = time.monotonic() + within
    seen: object = None
    while time.monotonic() < deadline:
        try:
            seen = condition()
        except OSError as error:
            seen = error
        else:
            if seen:
                return
        time.sleep(0.05)
    raise AssertionError(f"not within {within} s; last seen: {seen!r}")
