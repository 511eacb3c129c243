"""Certificates, keys and authorities in PEM files: loaded so that each error names its file and what is wrong with it.

`ssl` itself names no file, asks at the terminal for the password of an encrypted key, and waits for ever for a FIFO.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterable, Iterator

from .regular_file import read_regular

MAX_PEM = 4 << 20
"""A system's whole bundle of authorities has a quarter of a MiB."""

_CERTIFICATE = b"CERTIFICATE-----", "a certificate"
_KEY = b"PRIVATE KEY-----", "a private key"

Stamp = tuple[tuple[int, int, int], ...]
FileProblems = Iterable[tuple[str, str]]
"""The key that names the file, and why it cannot be used."""


def stamp(*files: str | None) -> Stamp:
    """What changes when one of the files does. Raises `OSError` that names the file."""
    seen = [os.stat(file) for file in files if file is not None]
    return tuple((now.st_ino, now.st_mtime_ns, now.st_size) for now in seen)


def load_identity(context: ssl.SSLContext, cert: str, key: str) -> None:
    """What the other side is shown: a certificate with those that lead to its authority, and its key. Raises `OSError`."""
    _expect(cert, *_CERTIFICATE)
    _expect(key, *_KEY)
    try:
        context.load_cert_chain(cert, key, password=lambda: _encrypted(key))
    except ssl.SSLError as error:
        if error.reason in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"):
            raise OSError(f"{key} is not the key of {cert}") from None
        raise OSError(f"{cert} with {key} cannot be used: {_told(error)}") from None


def load_authorities(context: ssl.SSLContext, ca: str) -> None:
    """Those whose certificates are accepted. Raises `OSError`."""
    text = _expect(ca, *_CERTIFICATE)
    try:
        context.load_verify_locations(cadata=text.decode("ascii", "replace"))
    except ssl.SSLError as error:
        raise OSError(f"{ca} cannot be used: {_told(error)}") from None


def identity_problems(cert: str | None, key: str | None) -> Iterator[FileProblems]:
    """All that is wrong with the two now: of each by itself, and where both are fine, together."""
    yield _file_problems("cert", cert, *_CERTIFICATE)
    yield _file_problems("key", key, *_KEY)
    yield _pair_problems(cert, key)


def _file_problems(name: str, file: str | None, marker: bytes, what: str) -> FileProblems:
    try:
        if file is not None:
            _expect(file, marker, what)
    except OSError as error:
        yield name, reason(error)


def _pair_problems(cert: str | None, key: str | None) -> FileProblems:
    if cert is None or key is None:
        return
    if any((*_file_problems("cert", cert, *_CERTIFICATE), *_file_problems("key", key, *_KEY))):
        return
    try:
        load_identity(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), cert, key)
    except OSError as error:
        yield "key", reason(error)


def authorities_problems(name: str, ca: str) -> FileProblems:
    try:
        load_authorities(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ca)
    except OSError as error:
        yield name, reason(error)


def reason(error: OSError) -> str:
    """With the file's name before it."""
    return f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)


def _expect(file: str, marker: bytes, what: str) -> bytes:
    text = read_regular(file, MAX_PEM)
    if marker not in text:
        raise OSError(f"{file} holds no PEM of {what}")
    return text


def _told(error: ssl.SSLError) -> str:
    return error.reason or str(error).partition(" (_ssl.c")[0]


def _encrypted(key: str) -> str:
    raise OSError(f"{key} is encrypted, and there is nobody to ask for its password")
