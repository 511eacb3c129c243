"""The token that heartbeats must bring, where there is one: from a file that may rotate."""

from __future__ import annotations

import hmac

from structlog.typing import FilteringBoundLogger

from sidecar.io.secrets import SecretValue
from sidecar.logic.scalars import Secret

from .route import Failure


class TokenFile:
    """Reads the file when it has changed."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._value = SecretValue(Secret(file=path))

    def read(self) -> str:
        """Raises `OSError` that names the file: it can't be read, or is empty."""
        value = self._value.read()
        if not value:
            raise OSError(f"{self._path} is empty, expected a token")
        return value


class Token:
    """Lets in who brings what is in the file now; nobody while it can't be read."""

    def __init__(self, file: TokenFile, log: FilteringBoundLogger) -> None:
        self._file = file
        self._log = log
        self._trouble = ""

    def require(self, authorization: str) -> None:
        """Raises `Failure` for a header `Authorization` that does not bring the token."""
        expected = self._expected().encode()
        scheme, _, given = authorization.partition(" ")
        is_equal = hmac.compare_digest(given.strip().encode(errors="surrogateescape"), expected)
        if not is_equal or scheme.lower() != "bearer":
            raise Failure(
                401, "expected Authorization: Bearer and the collector's token", {"WWW-Authenticate": "Bearer"}
            )

    def _expected(self) -> str:
        try:
            value = self._file.read()
        except OSError as error:
            # The path is for whoever runs the collector, and told once; not for whoever asks.
            if self._trouble != str(error):
                self._trouble = str(error)
                self._log.error("no heartbeat is taken: the token file can't be used", why=str(error))
            raise Failure(503, "the collector can't read its token file", {"Retry-After": "10"}) from None
        self._trouble = ""
        return value
