"""Secrets as they are now: a token file that rotates is read again when it has changed."""

from __future__ import annotations

import os

from ..logic.scalars import Secret
from .regular_file import read_regular

MAX_SECRET = 64 << 10


class SecretValue:
    """`read()` costs a stat while the file stays the same, nothing for a literal."""

    def __init__(self, secret: Secret) -> None:
        self._secret = secret
        self._value = secret.literal or ""
        self._seen: tuple[int, int, int] | None = None

    def read(self) -> str:
        """The value without surrounding white space. Raises `OSError` that names the file, never the value."""
        file = self._secret.file
        if file is None:
            return self._value
        now = os.stat(file)
        seen = (now.st_ino, now.st_mtime_ns, now.st_size)
        if seen != self._seen:
            try:
                self._value = read_regular(file, MAX_SECRET).decode().strip()
            except UnicodeDecodeError:
                raise OSError(f"{file} is not UTF-8 text") from None
            self._seen = seen
        return self._value
