"""A process's command line as it may be shown: values that look like credentials are masked."""

from __future__ import annotations

import re
from collections.abc import Sequence

MASK = "***"
LONGEST = 1000

_READ = 4096
# Bounded, because arguments of 100 kB without a space exist.
_NAME = r"[\w.\-]{0,64}(?:pass|pwd|secret|token|credential|auth|(?:api|access|private|signing)[_\-]?key)[\w.\-]{0,64}"
# --password=x, -Ddb.password=x, PASSWORD=x, ?token=x
_ASSIGNED = re.compile(rf"({_NAME}[=:])(\"[^\"]*\"|'[^']*'|[^\s&;,]+)", re.IGNORECASE)
# --password x inside one text: `sh -c "..."`, or a title that the process gave itself
_FOLLOWED = re.compile(rf"((?:^|\s)--?{_NAME}\s+)(\"[^\"]*\"|'[^']*'|[^\s\-]\S*)", re.IGNORECASE)
# user:password@ in a URL
_USERINFO = re.compile(r"(://[^/\s:@]*:)[^/\s@]+@")
_FLAG = re.compile(rf"--?{_NAME}", re.IGNORECASE)
# `-p 8080` and `-p 80:80` are ports; `-p word` is a password often enough
_PORT = re.compile(r"[\d.:\[\]\-/]+(tcp|udp)?")


def redacted(arguments: Sequence[str]) -> str:
    """The arguments joined by spaces, at most `LONGEST` characters."""
    shown: list[str] = []
    left = _READ
    masked = False
    for argument in arguments:
        if left <= 0:
            break
        argument = argument[:left]
        left -= len(argument) + 1
        if masked and not argument.startswith("--"):
            shown.append(MASK)
            masked = False
            continue
        text = _USERINFO.sub(rf"\1{MASK}@", argument)
        text = _ASSIGNED.sub(rf"\1{MASK}", text)
        shown.append(_FOLLOWED.sub(rf"\1{MASK}", text))
        masked = bool(_FLAG.fullmatch(argument))
    for at, argument in enumerate(arguments[: len(shown) - 1]):
        if argument == "-p" and not _PORT.fullmatch(arguments[at + 1]):
            shown[at + 1] = MASK
    line = " ".join(shown)
    return line if len(line) <= LONGEST else line[: LONGEST - 3] + "..."
