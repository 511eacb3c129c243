"""TLS from the client's side: who the server must be, and who we are to it, by files that may rotate."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from typing import Annotated

import msgspec

from ..logic.scalars import PemFile, Rule
from . import pem

# What the reasons of OpenSSL mean for whoever reads them in a log.
_MEANINGS = {
    "WRONG_VERSION_NUMBER": "it does not speak TLS",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "it asks for a client certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "it does not accept our certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "it says that our certificate has expired",
    "TLSV1_ALERT_UNKNOWN_CA": "it does not know the authority of our certificate",
    "NO_APPLICATION_PROTOCOL": "it does not speak our protocol there",
    "TLSV1_ALERT_NO_APPLICATION_PROTOCOL": "it does not speak our protocol there",
}


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Servers are verified by the system's authorities, or by those in the file `ca`; `server_name` is looked for in the
    certificate in place of the URL's host. `cert` and `key` are for servers that verify us. Files are PEM and are read
    again when they change, for new connections."""

    verify: bool = True
    ca: PemFile | None = None
    cert: PemFile | None = None
    key: PemFile | None = None
    server_name: Annotated[str, Rule(lambda name: name.strip("."), "is not a name", "a host name")] | None = None

    def problems(self) -> Iterable[tuple[str, str, str]]:
        if self.cert is not None and self.key is None:
            yield "cert", "given without key", "both, or none"
        if self.key is not None and self.cert is None:
            yield "key", "given without cert", "both, or none"

    def unusable(self) -> Iterable[pem.FileProblems]:
        """Key and reason of each file that cannot be used now; what is in one of them takes nothing from the others."""
        yield self._authorities_problems()
        yield from pem.identity_problems(self.cert, self.key)

    def _authorities_problems(self) -> pem.FileProblems:
        if self.ca is not None and self.verify:
            yield from pem.authorities_problems("ca", self.ca)


class ClientTls:
    """The connections of one peer, or of several that are verified alike."""

    def __init__(self, config: Config | None = None, *protocols: str) -> None:
        """`protocols` are offered by ALPN, the best first; HTTP/1.1 where none is named."""
        self.config = config or Config()
        self._protocols = protocols or ("http/1.1",)
        self._context: ssl.SSLContext | None = None
        self._seen: pem.Stamp = ()

    def context(self) -> ssl.SSLContext:
        """Made once, and another one when a file has changed; costs a stat a file. Raises `OSError` that names the file."""
        config = self.config
        seen = pem.stamp(config.ca if config.verify else None, config.cert, config.key)
        if self._context is None or seen != self._seen:
            self._context, self._seen = self._made(), seen
        return self._context

    def server_name(self, host: str) -> str:
        """What is sent as SNI and looked for in the certificate."""
        return (self.config.server_name or host).rstrip(".")

    def _made(self) -> ssl.SSLContext:
        config = self.config
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies, unless it is told otherwise
        if not config.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif config.ca is not None:
            pem.load_authorities(context, config.ca)
        else:
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        if config.cert is not None and config.key is not None:
            pem.load_identity(context, config.cert, config.key)
        context.set_alpn_protocols(list(self._protocols))
        return context


def told(error: ssl.SSLError, peer: str) -> str:
    """Why there is no TLS with `peer`, for a person."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate of {peer} not accepted: {error.verify_message or error.reason}"
    return f"no TLS with {peer}: {_MEANINGS.get(error.reason, error.reason) or error}"
