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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from .card_numbers import CANDIDATE, FIRST, RUNS, card_numbers
from .needles import holds

REDACTED = b"[REDACTED]"
FOLD = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ123456789-_\0", b"abcdefghijklmnopqrstuvwxyz000000000  \1")
"""How blocks and triggers are compared: letters without case, every digit as 0, dash and underscore as a space, no NUL."""

Replace = Callable[[re.Match[bytes]], bytes | None]
"""What stands there instead of a match; None where it is no secret after all."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """What a folded block is asked for, and where it counts there."""

    literal: bytes
    pattern: re.Pattern[bytes]
    first: frozenset[int] = frozenset()
    """Where the literal stands, the line itself has one of these bytes; any where there is none."""

    def stands(self, block: bytes, joined: bytes) -> bool:
        """Whether it counts anywhere: `block` is `joined`, folded."""
        if not holds(block, self.literal):
            return False
        return not self.first or not self.first.isdisjoint(joined[hit.start()] for hit in self.pattern.finditer(block))

    def found(self, block: bytes) -> Iterator[int]:
        hit = self.pattern.search(block)
        while hit:
            yield hit.start()
            hit = self.pattern.search(block, hit.start() + 1)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule without triggers looks at every line. The pattern matches `back` bytes before a trigger, or anywhere in a line that
    holds one where that is None. `replacer` is told the line."""

    name: str
    triggers: tuple[Trigger, ...]
    pattern: re.Pattern[bytes]
    replacer: Callable[[bytes], Replace]
    back: int | None = None

    def apply(self, line: bytes, triggers: Sequence[Trigger]) -> tuple[bytes, int]:
        """The line without its secrets, and how many it had. Of the rule's triggers, those that the line may hold."""
        pieces = []
        end = 0
        replace = self.replacer(line)
        for match in self._matches(line, triggers):
            if (replaced := replace(match)) is not None:
                pieces += [line[end : match.start()], replaced]
                end = match.end()
        return b"".join((*pieces, line[end:])), len(pieces) // 2

    def _matches(self, line: bytes, triggers: Sequence[Trigger]) -> Iterator[re.Match[bytes]]:
        if self.back is None:
            yield from self.pattern.finditer(line)
            return
        block = line.translate(FOLD)
        end = self.back
        for at in sorted(at for trigger in triggers for at in trigger.found(block)):
            if at >= end and (match := self.pattern.match(line, at - self.back)):
                yield match
                end = match.end() + self.back


def keeping_first_group(match: re.Match[bytes]) -> bytes:
    return (match[1] if match.re.groups else b"") + REDACTED


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
# Loggers for terminals colour keys and values apart, and align them; Python writes bytes as b'value'.
_COLOR = rb"(?:(?:\x1b|\\u001[bB])\[[0-9;]{0,16}m){0,2}+"
_BEFORE_VALUE = (
    rb"""(?P<quote>(?:\\{0,3}["'])?+)\]?"""
    + _COLOR
    + rb"""[\ \t]{0,16}+(?:=>|:=|[:=](?![:=>]))"""
    + _COLOR
    + rb"""[\ \t]{0,16}+"""
    + _COLOR
    + rb"""(?:b(?='))?+"""
)
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


def _value_of(line: bytes) -> Replace:
    """Replace a key's value. In JSON, also behind other text, a quote right after `key=` ends the string that the key is in."""
    json = _JSON.match(line) is not None

    def replace(match: re.Match[bytes]) -> bytes | None:
        kind = match.lastgroup or ""
        value, quote = match[kind], match["quote"]
        if not value or value == REDACTED or (kind == "plain" and not quote and (json or value[:1] in b",}]")):
            return None
        before, after = line[match.start() : match.start(kind)], line[match.end(kind) : match.end()]
        if kind == "bare" and quote:
            number = _NUMBER.match(value)
            if not number or number[0] in _CONSTANTS:
                return None
            return before + quote + REDACTED + quote + value[number.end() :] + after
        return before + REDACTED + after

    return replace


def folded(*texts: str) -> tuple[Trigger, ...]:
    literals = [text.encode().translate(FOLD) for text in texts]
    return tuple(Trigger(literal, re.compile(re.escape(literal))) for literal in literals)


def _token(name: str, triggers: tuple[str, ...], pattern: bytes, back: int = 0) -> Rule:
    """A secret that is known by its first bytes. Groups before it are kept."""
    compiled = re.compile(pattern)
    return Rule(name, folded(*triggers), compiled, lambda _: keeping_first_group, back)


_URL = re.compile(rb"""(:(?://|\\/\\/)[^\s/?#"'<>\\@:]{0,256}+:)(?!\[REDACTED\]@)[^\s/?#"'<>\\@]{1,1024}+(?=@)""")
_EMAIL = re.compile(
    rb"(?<![\w.%+-])[\w.%+-]{1,64}+@[A-Za-z0-9](?:[A-Za-z0-9-]{0,62}+\.(?=[A-Za-z0-9])){1,8}+[A-Za-z]{2,24}+"
)
_KEY_TRIGGERS = (
    *("passw", "passphrase", "pwd", "secret", "token", "api_key", "apikey", "access_key", "accesskey"),
    *("private_key", "privatekey", "account_key", "accountkey"),
)

BUILT_IN = (
    Rule("url", folded("@"), _URL, lambda _: keeping_first_group),
    Rule("authorization", folded("uthorization"), _AUTHORIZATION, _value_of, 1),
    _token(
        "bearer",
        ("earer ",),
        rb"([Bb](?:earer|EARER) {1,4})(?=[A-Za-z._~+/-]{0,64}[0-9]|[A-Za-z._~+/-]{20})[A-Za-z0-9._~+/=-]{8,}+",
        back=1,
    ),
    _token("jwt", ("eyJ",), rb"eyJ(?<![\w-]eyJ)[\w-]{8,}+\.[\w-]{4,}+(?:\.[\w-]*+){0,3}"),
    Rule("secret", folded(*_KEY_TRIGGERS), _SECRET, _value_of, 0),
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
    _token("vault", ("hvs.",), rb"hvs\.(?<!\whvs\.)[\w-]{20,}+"),
    _token(
        "ai",
        ("sk-ant-", "sk-proj-"),
        rb"sk-(?<![\w-]sk-)(?:ant|proj)-[\w-]{16,}+",
    ),
    _token(
        "signature",
        ("sig=", "signature="),
        rb"((?i:sig(?:nature)?=(?:(?<=[?&;]sig=)|(?<=[?&;]signature=)|(?<=-signature=))))[^\s&\"'<>\\]{8,}+",
    ),
    _token("npm", ("npm_",), rb"npm_(?<!\wnpm_)[A-Za-z0-9]{36}(?!\w)"),
    Rule(
        "card",
        tuple(Trigger(run, re.compile(pattern), FIRST) for run, pattern in RUNS.items()),
        CANDIDATE,
        card_numbers,
        0,
    ),
)
"""In the order in which they are applied."""

EMAIL = Rule("email", folded("@"), _EMAIL, lambda _: keeping_first_group)
