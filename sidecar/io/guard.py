"""Who may speak at one port: by TLS, and by a token. Both are files that may rotate, and break while they do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ..logic.scalars import Secret
from . import pem
from .bearer import Bearer
from .server_tls import Config as TlsConfig
from .server_tls import ServerTls


class News(NamedTuple):
    """Something for the log, once."""

    event: str
    why: str
    is_good: bool = False


class Guard:
    """`tls` and `bearer` are None where they are not asked for."""

    def __init__(self, tls: TlsConfig | None = None, token: Secret | None = None, *protocols: str) -> None:
        """`protocols` are those of the port, for ALPN."""
        self.tls = ServerTls(tls, *protocols) if tls else None
        self.bearer = Bearer(token) if token else None
        self._warning = ""
        self._said: set[str] = set()

    @property
    def warning(self) -> str:
        """What keeps the newest files from being used; empty where all is well."""
        return "; ".join(each.why for each in (self.tls, self.bearer) if each is not None and each.why)

    @property
    def refused(self) -> dict[str, int]:
        """Handshakes that failed, by reason."""
        return dict(self.tls.refused) if self.tls else {}

    def news(self) -> Iterator[News]:
        """Looks at the files, and tells what has changed since the last call; each reason to refuse a client only once."""
        if self.tls is not None:
            try:
                self.tls.context()
            except OSError as error:
                self.tls.why = pem.reason(error)
        if self.bearer is not None:
            self.bearer.look()
        if self.warning != self._warning:
            self._warning = self.warning
            if self._warning:
                yield News("file not usable", self._warning)
            else:
                yield News("files are usable again", "", is_good=True)
        for reason in self.refused.keys() - self._said:
            self._said.add(reason)
            yield News("no TLS with a client", reason)
