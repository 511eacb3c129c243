"""Certificates for tests, made by openssl: an authority, and what it signs."""

from __future__ import annotations

import itertools
import ssl
import subprocess
from pathlib import Path

from tests.real import require


class Authority:
    """A certificate authority in a folder of its own. Every file is PEM."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._numbers = itertools.count()
        self.ca, self._key = folder / "ca.pem", folder / "ca.key"
        self.openssl("req -x509 -nodes -days 2", *_NEW_KEY, "-subj", "/CN=tests", "-keyout", self._key, "-out", self.ca)

    def issue(self, *names: str, days: int = 2) -> tuple[Path, Path]:
        """A certificate for host names and addresses (127.0.0.1 and localhost where none is given), and its key. With
        negative `days` it has expired."""
        stem = self._folder / f"{next(self._numbers)}"
        cert, key, wish = stem.with_suffix(".pem"), stem.with_suffix(".key"), stem.with_suffix(".csr")
        kinds = (f"{'IP' if name[0].isdigit() or ':' in name else 'DNS'}:{name}" for name in names or _LOCAL)
        alternatives = f"subjectAltName={','.join(kinds)}"
        self.openssl(
            "req -nodes", *_NEW_KEY, "-subj", "/CN=leaf", "-addext", alternatives, "-keyout", key, "-out", wish
        )
        self.openssl(
            f"x509 -req -copy_extensions copy -CAcreateserial -days {days}",
            "-in", wish, "-CA", self.ca, "-CAkey", self._key, "-out", cert,
        )  # fmt: skip
        return cert, key

    def server(self, *names: str, days: int = 2, verify_clients: bool = False) -> ssl.SSLContext:
        """For a server of `names`; it may ask for certificates of this authority."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*self.issue(*names, days=days))
        if verify_clients:
            context.load_verify_locations(self.ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def openssl(self, line: str, *arguments: str | Path) -> None:
        """Run it with the words of `line`, then `arguments`."""
        done = subprocess.run([require("openssl"), *line.split(), *arguments], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
_LOCAL = ("127.0.0.1", "localhost")
