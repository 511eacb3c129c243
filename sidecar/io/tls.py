"""TLS from the client's side."""

from __future__ import annotations

import os
import ssl


class ClientTls:
    """What a peer's certificate is verified by: the system's authorities, those in the file `ca` (PEM), or nothing."""

    def __init__(self, *, verify: bool = True, ca: str | None = None) -> None:
        self._verify = verify
        self._ca = ca if verify else None
        self._context: ssl.SSLContext | None = None
        self._seen: tuple[int, int, int] | None = None

    def context(self) -> ssl.SSLContext:
        """For HTTP/1.1. Made once, and again when the file has changed. Raises `OSError` for a file that is of no use."""
        seen = None
        if self._ca is not None:
            now = os.stat(self._ca)
            seen = (now.st_ino, now.st_mtime_ns, now.st_size)
        if self._context is None or seen != self._seen:
            context = ssl.create_default_context(cafile=self._ca)
            if not self._verify:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            context.set_alpn_protocols(["http/1.1"])
            self._context, self._seen = context, seen
        return self._context
