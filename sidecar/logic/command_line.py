"""A process's command line: as it may be shown, values that look like credentials masked, and the program it names."""

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


_INTERPRETER = re.compile(r"(python|node|nodejs|java|ruby|php|perl|deno|bun)[\d.]*")
_PROGRAM = re.compile(r"[\w.\-]+")
_ENDINGS = re.compile(r"\.(py|pyz|js|mjs|cjs|ts|jar|rb|php|pl)$")
# Files and modules that start what is named around or behind them.
_STARTERS = frozenset({"__main__", "main", "index", "app", "server", "manage"})


def program(name: str, line: str) -> str:
    """What a person would call the process `name` with this (redacted) command line.

    An interpreter runs something with a better name: `python -m shop.api` is `shop.api`, `java -jar shop.jar` is
    `shop`, `node /srv/shop/server.js` is `shop`.
    """
    if not _INTERPRETER.fullmatch(name):
        return name
    words = iter(line.split()[1:])
    for word in words:
        if word in ("-m", "-jar"):
            word = next(words, "")
        elif word in ("-c", "-e") or word == "-":
            return name
        elif word.startswith("-"):
            continue
        return _called(word) or name
    return name


def _called(path: str) -> str:
    *folders, file = path.rstrip("/").split("/")
    stem = _ENDINGS.sub("", file)
    if stem in _STARTERS and folders and folders[-1] not in ("", "bin", "src", "app", "dist"):
        stem = folders[-1]
    return stem if _PROGRAM.fullmatch(stem) else ""
