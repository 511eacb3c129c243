"""Payment card numbers in a line: 13 to 19 digits, or groups of 4-4-4-4(-3), 4-6-5 and 4-6-4 with spaces or dashes between.

A number counts if it has the prefix and length of a network and its check digit is right (Luhn, ISO/IEC 7812-1), and if no
letter or digit, nor a decimal point with digits, touches it. What a key calls an id, an order, a reference or a number of
something else than a card stays (`order_id`, `orderRef`, `invoice_number`; not `number`, `card_id`, `account_number`).
Epochs in milli-, micro- and nanoseconds begin with 1 until 2033, card numbers do not.
"""

from __future__ import annotations

import re
from collections.abc import Callable

REDACTED = b"[REDACTED]"
RUNS = {
    b"0" * 13: b"0" * 13 + rb"(?<![a-z0.]0{13})",
    b"0000 0000 0000 0": rb"0000 (?<![a-z0.]0000 )(?=0000 0000 0)",
    b"0000 000000 0000": rb"0000 (?<![a-z0.]0000 )(?=000000 0000)",
}
"""What every card number begins with once its digits are 0 and its dashes are spaces, and where that counts. No two places
where a pattern matches overlap."""
APART = 5
"""No two such places are nearer to each other."""
FIRST = frozenset(b"23456")
"""The first digits of card numbers; times and most ids have another."""

CANDIDATE = re.compile(
    rb"[2-6](?<![0-9A-Za-z_].)(?<![0-9]\..)(?<![^0-9A-Za-z\n]-.)"  # a sign makes it another number
    rb"(?:[0-9]{12,18}+"
    rb"|[0-9]{3}(?P<to>[ -])(?:[0-9]{4}(?P=to)[0-9]{4}(?P=to)[0-9]{4}(?:(?P=to)[0-9]{3})?|[0-9]{6}(?P=to)[0-9]{4,5}))"
    rb"(?![0-9A-Za-z_])(?!\.[0-9])(?!-[0-9A-Fa-f])"
)
_NETWORKS = re.compile(
    rb"4(?:[0-9]{12}|[0-9]{15}|[0-9]{18})"  # Visa
    rb"|5[1-5][0-9]{14}|2(?:22[1-9]|2[3-9][0-9]|[3-6][0-9]{2}|7[01][0-9]|720)[0-9]{12}"  # Mastercard
    rb"|3[47][0-9]{13}"  # American Express
    rb"|3(?:0[0-5]|[689][0-9])[0-9]{11}"  # Diners Club
    rb"|35[0-9]{14}"  # JCB
    rb"|6(?:011|[245][0-9]{2})[0-9]{12,15}"  # Discover, UnionPay
    rb"|(?:50|5[6-8]|6[37])[0-9]{14,17}"  # Maestro
)
_BEFORE = re.compile(rb'(\\{0,3}")[ ]?:[ ]?$')
_KEY = re.compile(rb"""(?<![\w.-])([\w.-]{1,48}+)(?:\\{0,3}["'])? ?[:=] ?(?:\\{0,3}["'])?$""")
_OTHER = re.compile(
    rb"(?:.*[_.-])?(?i:id|[rtu]id|txid|guid|uuid|order|ref|reference)|.*[a-z](?:I[dD]|Order|Ref|Reference)"
    rb"|.*(?:[_.-](?i:number)|[a-z]Number)"
)
_CARD = re.compile(rb"(?i:card|account|acct|credit|debit|(?<![a-z])(?:pan|cc))")
_DOUBLED = bytes.maketrans(b"0123456789", b"0246813579")


def luhn(digits: bytes) -> bool:
    """Whether the last digit is the check digit of those before it."""
    kept = sum(digits[-1::-2]) - 48 * len(digits[-1::-2])
    doubled = digits[-2::-2].translate(_DOUBLED)
    return (kept + sum(doubled) - 48 * len(doubled)) % 10 == 0


def _is_other(line: bytes, start: int) -> bool:
    """Whether the key of the number that starts there says that it is none of a card."""
    key = _KEY.search(line, max(0, start - 60), start)
    return key is not None and _OTHER.fullmatch(key[1]) is not None and not _CARD.search(key[1])


def card_numbers(line: bytes) -> Callable[[re.Match[bytes]], bytes | None]:
    """What stands there instead of a candidate of the line, if it is a card number; to be asked from left to right. A bare number
    of a JSON line becomes a string."""
    json = line.lstrip().startswith(b"{")
    seen = 0
    inside = False

    def replace(match: re.Match[bytes]) -> bytes | None:
        nonlocal seen, inside
        digits = match[0].translate(None, b" -")
        if not _NETWORKS.fullmatch(digits) or not luhn(digits):
            return None
        start = match.start()
        if _is_other(line, start):
            return None
        before = _BEFORE.search(line, max(0, start - 8), start)
        quote = before[1] if before else b""
        if json:
            # Each stretch of the line is counted once, however many numbers it has.
            quotes = line[seen:start].replace(b"\\\\", b"").replace(b'\\"', b"").count(b'"')
            inside ^= bool(quotes & 1)
            seen = start
            if not inside:
                quote = b'"'
            elif quote == b'"':
                quote = b""
        return quote + REDACTED + quote

    return replace
