r"""What is redacted: one `Rule` per kind of secret.

A rule's pattern sees only lines that hold one of its triggers. Every pattern is linear in the line: quantifiers are possessive
or bounded, and a run that may be long starts only where nothing before it belongs to it, so that no byte is looked at again for
each of the bytes before it.

Key-values (rule `secret`) are found as `key=value`, `key: value`, `"key": "value"` and `\"key\":\"value\"`, however long the
key is before `password`, `secret`, ... A value in quotes ends at its quote; one without ends at white space, at a quote, and at
`,;&)]}` where the end of the line, white space or another key follows. `null`, `true`, `false`, objects and lists stay.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from .card_numbers import CANDIDATE, RUNS, redact_cards

REDACTED = b"[REDACTED]"
FOLD = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ123456789-_\0", b"abcdefghijklmnopqrstuvwxyz000000000  \1")
"""How blocks and triggers are compared: letters without case, every digit as 0, dash and underscore as a space, no NUL."""

Apply = Callable[[bytes], tuple[bytes, int]]
"""The line without its secrets, and how many it had."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """What a folded block is asked for, and where it counts there."""

    literal: bytes
    pattern: re.Pattern[bytes]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule without any looks at every line. With `pattern` a trigger counts only where that matches,
    `back` bytes before it."""

    name: str
    triggers: tuple[Trigger, ...]
    apply: Apply
    pattern: re.Pattern[bytes] | None = None
    back: int = 0


def by_pattern(pattern: re.Pattern[bytes], replacement: bytes = REDACTED) -> Apply:
    """Replace each match. `replacement` is a template of `re.sub`."""
    return lambda line: pattern.subn(replacement, line)


# A quoted value by the number of backslashes before its quotes: 0 in JSON, 1 in JSON within a JSON string, 3 within that. A
# quote inside the value has more. Steps are whole escapes, so that the string around stays one.
_QUOTED = rb"""(?:
    "(?P<plain>(?:[^"\\]|\\.)*+)
  | '(?P<single>(?:[^'"\\]|\\.)*+)
  | \\"(?P<escaped>(?:[^"\\]|\\++(?!")|(?:\\\\)++\\")*+)
  | \\\\\\"(?P<twice>(?:[^"\\]|\\++(?!")|(?:\\\\){2,}+\\")*+)
)"""
_BARE = rb"""(?P<bare>(?!\[REDACTED\])(?:
    [^\s"'\\,;&)\]}]
  | [,;&)\]}](?![,;&)\]}]{0,8}+(?:\s|$|[\w.\-]{1,64}+[=:]|["'\\]))
  | \\[^"'nrt]
)++)"""
_BEFORE_VALUE = rb"""(?P<quote>(?:\\{0,3}["'])?+)\]?\ {0,4}(?:=>|[:=](?![:=>]))\ {0,4}"""
_KEYS = rb"""(?i:passw(?:or)?d|passphrase|pwd|token|secret(?:[_-]?access)?(?:[_-]?key)?
    |(?:api|access|private|account|secret)[_-]?key)"""
_SECRET = re.compile(_KEYS + _BEFORE_VALUE + b"(?:" + _QUOTED + b"|" + _BARE + b")", re.VERBOSE | re.DOTALL)
_NUMBER = re.compile(rb"[\w.+-]++")
_CONSTANTS = (b"null", b"true", b"false", b"None", b"True", b"False")
_JSON = re.compile(rb"\s*+\{")
_AUTHORIZATION = re.compile(
    rb"[Aa](?:uthorization|UTHORIZATION)"
    + _BEFORE_VALUE
    + rb"(?!\[?\[REDACTED\])\[?+(?:"
    + _QUOTED
    + rb"""|(?P<bare>(?:(?i:digest|hawk|oauth|aws4-hmac-sha256)\ [^\\]++
      |(?:(?i:bearer|basic|negotiate|ntlm|token|apikey)(?:\ |%20|\+){1,4})?+[^\s"'\\,;)\]}]++)))""",
    re.VERBOSE | re.DOTALL,
)


def _values(pattern: re.Pattern[bytes]) -> Apply:
    """Replace the value of each match. In a JSON line, a quote right behind `key=` ends the string that the key is in."""

    def apply(line: bytes) -> tuple[bytes, int]:
        count = 0
        json = _JSON.match(line) is not None

        def replace(match: re.Match[bytes]) -> bytes:
            nonlocal count
            kind = match.lastgroup or ""
            value, quote = match[kind], match["quote"]
            if not value or value == REDACTED or (json and kind == "plain" and not quote):
                return match[0]
            start, end = (edge - match.start() for edge in match.span(kind))
            whole = match[0]
            if kind == "bare" and quote:
                number = _NUMBER.match(value)
                if not number or number[0] in _CONSTANTS:
                    return whole
                return _count(whole[:start] + quote + REDACTED + quote + value[number.end() :] + whole[end:])
            return _count(whole[:start] + REDACTED + whole[end:])

        def _count(replaced: bytes) -> bytes:
            nonlocal count
            count += 1
            return replaced

        return pattern.sub(replace, line), count

    return apply


def folded(*texts: str) -> tuple[Trigger, ...]:
    literals = [text.encode().translate(FOLD) for text in texts]
    return tuple(Trigger(literal, re.compile(re.escape(literal))) for literal in literals)


def _token(name: str, triggers: tuple[str, ...], pattern: bytes, back: int = 0) -> Rule:
    """A secret that is known by its first bytes. Groups before it are kept."""
    compiled = re.compile(pattern)
    return Rule(name, folded(*triggers), by_pattern(compiled, rb"\1" * compiled.groups + REDACTED), compiled, back)


_URL = re.compile(rb"""(:(?://|\\/\\/)[^\s/?#"'<>\\@:]{0,256}+:)(?!\[REDACTED\]@)[^\s/?#"'<>\\@]{1,1024}+(?=@)""")
_EMAIL = re.compile(
    rb"(?<![\w.%+-])[\w.%+-]{1,64}+@[A-Za-z0-9](?:[A-Za-z0-9-]{0,62}+\.(?=[A-Za-z0-9])){1,8}+[A-Za-z]{2,24}+"
)
_KEY_TRIGGERS = (
    *("passw", "passphrase", "pwd", "secret", "token", "api_key", "apikey", "access_key", "accesskey"),
    *("private_key", "privatekey", "account_key", "accountkey"),
)

BUILT_IN = (
    Rule("url", folded("@"), by_pattern(_URL, rb"\1" + REDACTED)),
    Rule("authorization", folded("uthorization"), _values(_AUTHORIZATION), _AUTHORIZATION, 1),
    _token(
        "bearer",
        ("earer ",),
        rb"([Bb](?:earer|EARER) {1,4})(?=[A-Za-z._~+/-]{0,64}[0-9]|[A-Za-z._~+/-]{20})[A-Za-z0-9._~+/=-]{8,}+",
        back=1,
    ),
    _token("jwt", ("eyJ",), rb"eyJ(?<![\w-]eyJ)[\w-]{8,}+\.[\w-]{4,}+(?:\.[\w-]*+){0,3}"),
    Rule("secret", folded(*_KEY_TRIGGERS), _values(_SECRET), _SECRET),
    _token("aws", ("AKIA", "ASIA"), rb"A[KS]IA(?<![A-Za-z0-9]A[KS]IA)[0-9A-Z]{16}(?![A-Za-z0-9])"),
    _token("google", ("AIza",), rb"AIza(?<![\w-]AIza)[\w-]{35}(?![\w-])"),
    _token(
        "github",
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        rb"gh[pousr]_(?<!\wgh[pousr]_)[A-Za-z0-9]{36,}+|github_pat_(?<!\wgithub_pat_)\w{22,}+",
    ),
    _token("gitlab", ("glpat-",), rb"glpat-(?<![\w-]glpat-)[\w.-]{20,}+"),
    _token("slack", ("xox",), rb"xox[abeprs]-(?<![\w-]xox[abeprs]-)[\w-]{10,}+"),
    _token("stripe", ("k_live_",), rb"[sr]k_live_(?<!\w[sr]k_live_)\w{16,}+", back=1),
    _token("npm", ("npm_",), rb"npm_(?<!\wnpm_)[A-Za-z0-9]{36}(?!\w)"),
    Rule(
        "card", tuple(Trigger(run, re.compile(run + rb"(?<![a-z0.]%s)" % run)) for run in RUNS), redact_cards, CANDIDATE
    ),
)
"""In the order in which they are applied."""

EMAIL = Rule("email", folded("@"), by_pattern(_EMAIL))
