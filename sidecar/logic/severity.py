"""How programs say how bad a line is, as OpenTelemetry's severity numbers: 1 (trace) to 24 (fatal4), 0 where unknown.

https://opentelemetry.io/docs/specs/otel/logs/data-model-appendix/, appendix B. It gives the word "critical" two meanings,
syslog's and .NET's: the full word is taken as .NET and Python mean it, which is fatal, and `crit` as syslog does.
"""

from __future__ import annotations

import re

TRACE, DEBUG, INFO, WARN, ERROR, FATAL = 1, 5, 9, 13, 17, 21

_WORDS = {
    TRACE: "trace trc t finest silly",
    DEBUG: "debug dbg dbug d finer verbose vrb v debug1 debug2 debug3 debug4 debug5 d1 d2 d3 d4 d5",
    DEBUG + 1: "fine",
    DEBUG + 2: "config",
    INFO: "info inf i information informational log http",
    INFO + 1: "notice n success",
    WARN: "warning warn wrn w",
    ERROR: "error err e eror severe",
    ERROR + 1: "crit dpanic",
    ERROR + 2: "alert panic pnc p",
    FATAL: "fatal ftl f critical c emergency emerg",
}
_BY_WORD = {
    spelling: number
    for number, words in _WORDS.items()
    for word in words.split()
    for spelling in (word, word.upper(), word.capitalize())
}
_SYSLOG = (FATAL, ERROR + 2, ERROR + 1, ERROR, WARN, INFO + 1, INFO, DEBUG)
_SLOG = re.compile(r"(DEBUG|INFO|WARN|ERROR)([+-]\d{1,4})", re.ASCII)
MAX_WORD = 32
"""Characters of the longest word that is looked at."""


def of_word(word: str) -> int:
    """Of a level's name or abbreviation in any case, and of Go's `slog` with its steps: INFO+2 is info3."""
    number = _BY_WORD.get(word)
    if number is None:
        if len(word) > MAX_WORD:
            return 0
        stepped = _SLOG.fullmatch(word)
        if stepped:
            return min(max(_BY_WORD[stepped[1]] + int(stepped[2]), TRACE), FATAL + 3)
        number = _BY_WORD.get(word.strip().lower(), 0)
    return number


def of_syslog(number: int) -> int:
    """Of RFC 5424's severity, 0 (emergency) to 7 (debug); of a priority, take the lowest three bits first."""
    return _SYSLOG[number] if 0 <= number <= 7 else 0


def of_otel(number: int) -> int:
    """Of a number that is OpenTelemetry's already."""
    return number if TRACE <= number <= FATAL + 3 else 0


def of_pino(number: int) -> int:
    """Of pino and bunyan: 10 is trace, 60 fatal. A level in between is a step above the one below it."""
    return _between(number, 10, TRACE) if 10 <= number < 70 else 0


def of_python(number: int) -> int:
    """Of Python's `logging`: 10 is debug, 50 critical. 25 (loguru's success) is info3; 5 is trace."""
    if 0 < number < 10:
        return TRACE
    return _between(number, 10, DEBUG) if 10 <= number < 60 else 0


def of_logback(number: int) -> int:
    """Of logback's `level_value`: 5000 is trace, 10000 debug, 20000 info, 30000 warn, 40000 error."""
    if number == 5000:
        return TRACE
    return _between(number, 10000, DEBUG) if 10000 <= number < 60000 else 0


def _between(number: int, step: int, lowest: int) -> int:
    """`lowest` for `step`, four more for each `step` after it, and one more for each quarter of one."""
    steps, rest = divmod(number - step, step)
    return lowest + 4 * steps + 4 * rest // step
