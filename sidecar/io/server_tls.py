"""TLS from the server's side: who we are, and whose certificates clients must bring, by files that may rotate."""

from __future__ import annotations

import errno
import ssl
from collections.abc import Iterable

import msgspec

from ..logic.scalars import PemFile
from . import pem

# What the reasons of OpenSSL mean for whoever reads them in a log. There are a few dozen more, and no end of clients.
_MEANINGS = {
    "HTTP_REQUEST": "the client does not speak TLS, but plain HTTP",
    "HTTPS_PROXY_REQUEST": "the client takes this port for a proxy",
    "WRONG_VERSION_NUMBER": "the client does not speak TLS",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the client shows no certificate",
    "UNSUPPORTED_PROTOCOL": "the client speaks only versions of TLS that are not safe",
    "TLSV1_ALERT_UNKNOWN_CA": "the client does not know the authority of our certificate",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "the client does not accept our certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "the client does not accept our certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "the client says that our certificate has expired",
}


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """`cert` and `key` say who we are. With `client_ca` only clients are served that show a certificate of one of these
    authorities. Files are PEM and are read again when they change, for new connections; while they cannot be used, the ones
    before stay in force."""

    cert: PemFile
    key: PemFile
    client_ca: PemFile | None = None

    def unusable(self) -> Iterable[pem.FileProblems]:
        """Key and reason of each file that cannot be used now; what is in one of them takes nothing from the others."""
        yield from pem.identity_problems(self.cert, self.key)
        if self.client_ca is not None:
            yield pem.authorities_problems("client_ca", self.client_ca)


class ServerTls:
    """One listener's. `why` is what keeps the newest files from being used, empty while they are; `refused` counts
    handshakes that failed, by reason."""

    def __init__(self, config: Config, *protocols: str) -> None:
        """`protocols` are chosen from by ALPN, the best first. A client that offers none of them gets none, and is told by
        the protocol that is spoken here."""
        self.config = config
        self.why = ""
        self.refused: dict[str, int] = {}
        self._protocols = protocols
        self._context: ssl.SSLContext | None = None
        self._tried: pem.Stamp = ()

    def context(self) -> ssl.SSLContext:
        """For the next handshake, by the newest files that can be used; costs a stat a file. Raises `OSError` while there
        never were any."""
        config = self.config
        try:
            seen = pem.stamp(config.cert, config.key, config.client_ca)
            if seen != self._tried:
                self._context, self._tried, self.why = self._made(), seen, ""
        except OSError as error:
            if self._context is None:
                raise
            self.why = f"{pem.reason(error)}; the certificate before it stays in force"
        return self._context  # type: ignore[return-value]  # without one, the first stamp has been tried

    def refuse(self, error: OSError) -> None:
        reason = told(error)
        self.refused[reason] = self.refused.get(reason, 0) + 1

    def _made(self) -> ssl.SSLContext:
        """A context of its own for each state of the files, and not the old one with new files in it: its key for sessions goes
        with it, so that whom an authority let in that is gone cannot come back by a session."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        pem.load_identity(context, self.config.cert, self.config.key)
        if self.config.client_ca is not None:
            pem.load_authorities(context, self.config.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        context.set_alpn_protocols(list(self._protocols))
        return context


def told(error: OSError) -> str:
    """Why a handshake failed, for a person; one of a bounded number of texts."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the client's certificate is not accepted: {error.verify_message or error.reason}"
    if isinstance(error, ssl.SSLError) and error.reason:
        return _MEANINGS.get(error.reason, error.reason)
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return "too many files are open here"
    return "the client ended the connection, or took too long"
