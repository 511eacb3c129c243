"""How bad a line of no known format is, by the word that most programs write near its beginning.

What counts, within the first `WITHIN` bytes: a level's name in capitals (`ERROR`), or in any case in brackets or behind its key
(`[warn]`, `<info>`, `level=debug`); at the very start also in any case before a colon (`error: `), and what programs of several
languages say when they die. A word in the middle of a sentence does not: "no error" is none.
"""

from __future__ import annotations

import re
from functools import lru_cache

from . import severity
from .needles import holds

WITHIN = 96
"""Bytes that are looked at."""

# The set at its beginning lets the search skip at the speed of C; what it takes too much is sorted out behind it. An `m` may
# stand before a word: it ends a terminal's colour.
_WORD = re.compile(
    rb"[EWIDTFCPSN\[<=](?<![A-Za-ln-z0-9_][A-Z])(?:"
    rb"RR(?:OR)?|ARN(?:ING)?|NFO|EBUG|RACE|ATAL|RIT(?:ICAL)?|ANIC|EVERE|OTICE|"
    rb"(?i:error|err|warning|warn|info|debug|trace|fatal|critical|crit|panic|notice|alert|emerg|severe)"
    rb")(?![A-Za-z0-9_])"
)
WORDS = {
    word: (severity.of_word(word.decode()), word.decode())
    for word in b"ERR ERROR WARN WARNING INFO DEBUG TRACE FATAL CRIT CRITICAL PANIC SEVERE NOTICE".split()
}
"""What counts anywhere: the severity of a level in capitals, and itself."""
_CAPITALS = b"ERR WARN INFO DEBUG TRACE FATAL CRIT PANIC SEVERE NOTICE".split()
_MARKED = b"=err =warn =info =debug =trace =fatal =crit =panic =notice =alert =emerg =severe".split()
"""What each word that counts begins with, folded: letters without case, brackets as an equals sign."""
_FOLD = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ[<", b"abcdefghijklmnopqrstuvwxyz==")
_KEYS = (b"level", b"lvl", b"severity")
_LEADING = re.compile(
    rb"(?i:(?P<word>error|warning|warn|info|debug|trace|fatal|critical|panic|notice|severe)(?: error)?:)"
    rb"|(?P<net>trce|dbug|fail|crit): [A-Za-z_][^\s\[]{0,80}\[\d"
    rb"|(?P<dying>Traceback \(most recent|Exception in thread|Unhandled exception|Uncaught |"
    rb"thread '[^']{0,64}' [^p]{0,16}panicked at)"
)
_NET = {
    b"trce": (severity.TRACE, "trce"),
    b"dbug": (severity.DEBUG, "dbug"),
    b"fail": (severity.ERROR, "fail"),
    b"crit": (severity.FATAL, "crit"),
}
"""Of .NET's console: `fail: Shop.Orders[0]`, with the message in the lines after it."""
_CALL = re.compile(rb"^[ \t]{1,16}(?:at|from) \S", re.MULTILINE)
_BEGINNINGS = frozenset(
    beginning
    for word in b"err war inf deb tra fat cri pan not sev exc unh unc thr trc dbu fai".split()
    for beginning in (word, word.capitalize())
)
"""How a line begins that `_LEADING` may match."""


def leads(head: bytes) -> bool:
    """Whether the very first word of a line that begins with these three bytes may tell."""
    return head in _BEGINNINGS


def tells(block: bytes) -> bool:
    """Whether `guess` may find something in any of these lines, but for their first words; asked of a block, it costs little."""
    if b"\0" in block or any(holds(block, word) for word in _CAPITALS):
        return True
    if b"=" not in block and b"[" not in block and b"<" not in block:
        return False
    folded = block.translate(_FOLD)
    return any(holds(folded, word) for word in _MARKED)


def guess(line: bytes, start: int = 0) -> tuple[int, str]:
    """The severity and the word for it, as the line has it; 0 and nothing where it says none. `start` is where the line's own
    text begins, behind a time that the caller knows of."""
    if line[start : start + 3] in _BEGINNINGS:
        leading = _LEADING.match(line, start, start + WITHIN)
        if leading:
            word, net, _ = leading.groups()
            return _meaning(word.decode()) if word else _NET[net] if net else (severity.ERROR, "")
    found = _WORD.search(line, start, start + WITHIN)
    while found:
        token = found[0]
        if meaning := WORDS.get(token):
            return meaning
        if token[0] in b"[<" or (token[0] in b"=" and line.endswith(_KEYS, start, found.start())):
            meaning = _meaning(token[1:].decode())
            if meaning[0]:
                return meaning
        found = _WORD.search(line, found.end(), start + WITHIN)
    return 0, ""


def is_trace(rest: bytes) -> bool:
    """Whether the further lines of a record, all but the first, are calls of a stack trace: then it is one of an error, also
    where its first line has no word for that."""
    return _CALL.search(rest) is not None


@lru_cache(maxsize=128)
def _meaning(word: str) -> tuple[int, str]:
    return severity.of_word(word), word
