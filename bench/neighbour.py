"""A service to stand beside: HTTP on the port given, OTLP accepted and dropped, ten processes in all."""

from __future__ import annotations

import http.server
import signal
import subprocess
import sys

CHILDREN = 9


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = _answer  # noqa: N815 - the library's names

    def log_message(self, *_: object) -> None:
        """Silent: it is measured beside, not read."""


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    children = [subprocess.Popen(["sleep", "3600"]) for _ in range(CHILDREN)]
    try:
        http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
    finally:
        for child in children:
            child.kill()


if __name__ == "__main__":
    main()
