"""Bearer tokens (RFC 6750) that callers must bring, from a file that may rotate."""

from __future__ import annotations

from hmac import compare_digest

from ..logic.scalars import Secret
from .secrets import SecretValue


class Bearer:
    """Each line of the secret is a token that is taken: while one replaces another, both are.

    Nobody is let in while the file cannot be read; `why` says so.
    """

    def __init__(self, secret: Secret) -> None:
        self.why = ""
        self._secret = SecretValue(secret)

    def look(self) -> list[bytes] | None:
        """The tokens that are taken now; None while they cannot be read."""
        try:
            tokens = self._secret.read().encode().split()
        except OSError as error:
            self.why = str(error)
            return None
        self.why = "" if tokens else "the file with the tokens is empty"
        return tokens

    def problem(self, authorization: bytes) -> tuple[int, str] | None:
        """HTTP status and reason of a refusal, by the value of a header `Authorization`; None: let it in. Takes as long for
        a token that is nearly right as for any other."""
        tokens = self.look()
        if tokens is None:
            return 503, "the file with the tokens can't be read"
        scheme, _, given = authorization.partition(b" ")
        is_known = False
        for token in tokens:
            is_known |= compare_digest(token, given.strip())
        if is_known and scheme.lower() == b"bearer":
            return None
        what = "the token is not known" if authorization else "no token"
        return 401, f"{what}, expected Authorization: Bearer and a token of this port"
