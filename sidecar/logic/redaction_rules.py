r"""What is redacted: one `Rule` per kind of secret.

A rule's pattern sees only lines that hold one of its triggers. Every pattern is linear in the line: quantifiers are possessive
or bounded, and a run that may be long starts only where nothing before it belongs to it, so that no byte is looked at again for
each of the bytes before it.

Key-values (rule `secret`) are found as `key=value`, `key: value`, `"key": "value"` and `\"key\":\"value\"`, however long the
key is before `password`, `secret`, ... A value in quotes ends at its quote; one without ends at white space, at a quote, and at
`,;&)]}` where the end of the line, white space or another key follows. `null`, `true`, `false`, objects and lists stay, and so
do words for a state (`token: expired`) and directories (`pwd=/home`). Other forms: `("key", "value")`,
`"name": "key", "value": "value"`, `<key>value</key>`, `key%3Dvalue%26`, `--key value`, and after a tab or "is" what has a
letter and a digit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from .card_numbers import APART, CANDIDATE, FIRST, RUNS, card_numbers
from .needles import holds
from .secret_tokens import TOKENS

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
    apart: int = 1
    """No two places where it counts are nearer to each other."""

    def stands(self, block: bytes, joined: bytes) -> bool:
        """Whether it counts anywhere: `block` is `joined`, folded."""
        if not holds(block, self.literal):
            return False
        if not self.first:
            return True
        at = block.find(self.literal)
        while at >= 0:
            if joined[at] in self.first and self.pattern.match(block, at):
                return True
            at = block.find(self.literal, at + self.apart)
        return False

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
            if match.start() >= end and (replaced := replace(match)) is not None:
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
                # What follows a key without = or : may be a key itself.
                end = (match.start("word") if match.lastgroup == "word" else match.end()) + self.back


def keeping_first_group(match: re.Match[bytes]) -> bytes:
    kept = match[match.lastindex] if match.lastindex else b""
    return kept + REDACTED


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
    rb"""(?P<quote>(?:\\{0,3}["'])?+)(?:\]?"""
    + _COLOR
    + rb"""[\ \t]{0,16}+(?:=>|:=|[:=](?![:=>]))"""
    + _COLOR
    + rb"""[\ \t]{0,16}+"""
    + _COLOR
    + rb"""(?:b(?='))?+
  | (?<=["']),\ ?b?(?=(?:"[^"\\]{1,1024}+"|'[^'\\]{1,1024}+')\))
  | (?<=["']),\ ?["']value["']:\ ?(?=["'])
)"""
)
_KEYS = rb"""(?:(?i:passw(?:or)?d|passphrase|pwd|token|secret(?:[_-]?access)?(?:[_-]?key)?
    |(?:api|access|private|account|secret)[_-]?key)
  | _PASS(?<=[A-Z0-9]_PASS)
  | _pass(?:(?<=db_pass)|(?<=sql_pass)|(?<=user_pass)|(?<=admin_pass)|(?<=root_pass)|(?<=smtp_pass)|(?<=redis_pass)))"""
_ELEMENT = rb"""(?:\ [^<>]{0,256}+)?+>(?P<element>(?!\[REDACTED\])(?:[^<>"\\]|\\.){1,1024}+)(?=<\\?/)"""
_ENCODED = rb"""(?:%(?:25)?22)?+%(?:25)?3[ADad](?:%20|\+)?+(?:%(?:25)?22)?+
    (?P<encoded>(?:[\w.~!*+-]|%(?!(?:25)?(?:2[02367Cc]|3[Bb]|0[AaDd]|[57][Dd]))[0-9A-Fa-f]{2})++)"""
_WORD = rb"""(?:\ is\ |\ {1,2}|\t{1,4})(?P<word>[^\s"'\\,;&()\[\]{}<>=:|-][^\s"'\\,;&()\[\]{}<>=:|]{0,255}+)(?![=:])"""
_SECRET = re.compile(
    _KEYS + b"(?:" + _BEFORE_VALUE + b"(?:" + b"|".join((_QUOTED, _BARE)) + b")"
    + b"|" + b"|".join((_ELEMENT, _ENCODED, _WORD)) + b")",
    re.VERBOSE | re.DOTALL,
)  # fmt: skip
_OPTION = re.compile(rb"(?<![^\s\"'])--(?:\w++-?){0,8}$")
_MIXED = re.compile(rb"(?=[^0-9]{0,64}[0-9])(?=[^A-Za-z]{0,64}[A-Za-z]).{6}", re.DOTALL)
_DIRECTORY = re.compile(rb"/|~|\.{1,2}(?:/|$)|[A-Za-z]:\\")
_STATES = frozenset(
    b"accepted changed created deleted denied disabled empty enabled expired failed forbidden found granted incorrect invalid"
    b" malformed mismatch missing no none not null ok optional rejected required reset revoked set success unauthorized unknown"
    b" unset updated valid wrong yes".split()
)
"""What is said of a secret, and is none."""
_PROSE = frozenset(b"and as at by for from in is of on option or to was with".split())
_NUMBER = re.compile(rb"[\w.+-]++")
_CONSTANTS = (b"null", b"true", b"false", b"None", b"True", b"False")
_JSON = re.compile(rb"\s*+\{")
_AUTHORIZATION = re.compile(
    rb"[Aa](?:uthorization|UTHORIZATION)"
    + _BEFORE_VALUE
    + rb"(?!\[?\[REDACTED\])\[?+(?:"
    + _QUOTED
    + rb"""|(?P<bare>(?:(?i:digest|hawk|oauth|aws4-hmac-sha256)[ ]
        (?:[^\\"]|"(?!\s?(?:,\s?(?:["{\[0-9-]|true|false|null)|[}\]:]))|\\[^nrt])++
      |(?:(?i:bearer|basic|negotiate|ntlm|token|apikey)(?:\ |%20|\+){1,4})?+[^\s"'\\,;)\]}]++)))""",
    re.VERBOSE | re.DOTALL,
)


def _value_of(line: bytes) -> Replace:
    """Replace a key's value. In JSON, also behind other text, a quote right after `key=` ends the string that the key is in."""
    json = _JSON.match(line) is not None
    told = b"--" in line or b" is " in line or b"\t" in line

    def replace(match: re.Match[bytes]) -> bytes | None:
        kind = match.lastgroup or ""
        if kind == "word" and not (told and _told(line, match)):
            return None
        value, quote = match[kind], match["quote"]
        if not value or value == REDACTED or (kind == "plain" and not quote and (json or value[:1] in b",}]")):
            return None
        if value.rstrip(b".!").lower() in _STATES or (kind == "encoded" and value in _CONSTANTS):
            return None
        if match[0][:3] in (b"pwd", b"PWD") and _is_directory(line, match.start(), value):
            return None
        before, after = line[match.start() : match.start(kind)], line[match.end(kind) : match.end()]
        if kind == "bare" and quote:
            number = _NUMBER.match(value)
            if not number or number[0] in _CONSTANTS:
                return None
            return before + quote + REDACTED + quote + value[number.end() :] + after
        return before + REDACTED + after

    return replace


def _told(line: bytes, match: re.Match[bytes]) -> bool:
    """Whether a word after a key is its value: `--password word`, `password is word1`."""
    start, word = match.start(), match.start("word")
    gap = line[word - 4 : word]
    if gap.endswith(b"\t") or (gap == b" is " and line[start : start + 4].lower() == b"pass"):
        return _MIXED.match(line, word, match.end()) is not None
    from_ = max(0, start - 32)
    if line.find(b"--", from_, start) < 0 or not _OPTION.search(line, from_, start):
        return False
    return match["word"].lower() not in _PROSE


def _is_directory(line: bytes, start: int, value: bytes) -> bool:
    """A shell's `PWD` and `OLDPWD`, and what loggers call `pwd`; not `DB_PWD`."""
    alone = not line[max(0, start - 1) : start].strip(b" \t\"'{,(;\\") or line[max(0, start - 3) : start] == b"OLD"
    return alone and _DIRECTORY.match(value) is not None


def folded(*texts: str) -> tuple[Trigger, ...]:
    literals = [text.encode().translate(FOLD) for text in texts]
    return tuple(Trigger(literal, re.compile(re.escape(literal))) for literal in literals)


def _token(name: str, triggers: tuple[str, ...], pattern: bytes, back: int | None = 0) -> Rule:
    """A secret that is known by its first bytes. Groups before it are kept."""
    compiled = re.compile(pattern)
    return Rule(name, folded(*triggers), compiled, lambda _: keeping_first_group, back)


_URL = re.compile(
    rb"""(:(?://|\\/\\/)[^\s/?#"'<>\\@:]{0,256}+:)(?!\[REDACTED\]@)[^\s/?#"'<>\\@]{1,1024}+(?=@)"""
    rb"""|(:thin:[\w.$#]{1,64}+/)(?!\[REDACTED\]@)[^\s/?#"'<>\\@]{1,256}+(?=@)"""
    rb"""|(%3[Aa]%2[Ff]%2[Ff](?:[\w.~+-]|%(?!3[Aa]|40|2[Ff])[0-9A-Fa-f]{2}){0,256}+%3[Aa])"""
    rb"""(?:[\w.~!*+-]|%(?!40|2[Ff])[0-9A-Fa-f]{2}){1,1024}+(?=%40)"""
)
_COMMAND = (
    rb"""(\b(?:curl(?=\ )(?:(?!\bcurl\ )[^\n|;]){0,256}?\s(?:-u|--user|--proxy-user)[ =]?["']?[\w.@%+-]{1,64}+:(?![0-9]{1,6}\s)"""
    rb"""|mysql(?:dump|admin|import)?(?=\ )(?:(?!\bmysql)[^\n"|;&]){0,256}?\s-p)'?)"""
    rb"""(?!\[REDACTED\])[^\s"'\\<>]{1,256}+"""
)
_EMAIL = re.compile(
    rb"(?<![\w.%+-])[\w.%+-]{1,64}+@[A-Za-z0-9](?:[A-Za-z0-9-]{0,62}+\.(?=[A-Za-z0-9])){1,8}+[A-Za-z]{2,24}+"
)
_KEY_TRIGGERS = (
    *("passw", "passphrase", "pwd", "secret", "token", "api_key", "apikey", "access_key", "accesskey"),
    *("_pass=", "_pass:", '_pass"', "private_key", "privatekey", "account_key", "accountkey"),
)

BUILT_IN = (
    Rule("url", folded("@", "%3A%2F%2F"), _URL, lambda _: keeping_first_group),
    Rule("authorization", folded("uthorization"), _AUTHORIZATION, _value_of, 1),
    _token(
        "bearer",
        ("earer ",),
        rb"([Bb](?:earer|EARER) {1,4})(?=[A-Za-z._~+/-]{0,64}[0-9]|[A-Za-z._~+/-]{20})[A-Za-z0-9._~+/=-]{8,}+",
        back=1,
    ),
    _token("jwt", ("eyJ",), rb"eyJ(?<![\w-]eyJ)[\w-]{8,}+\.[\w-]{4,}+(?:\.[\w-]*+){0,3}"),
    Rule("secret", folded(*_KEY_TRIGGERS), _SECRET, _value_of, 0),
    *(_token(*token) for token in TOKENS),
    _token("command", ("curl ", "mysql"), _COMMAND, None),
    Rule(
        "card",
        tuple(Trigger(run, re.compile(pattern), FIRST, APART) for run, pattern in RUNS.items()),
        CANDIDATE,
        card_numbers,
        0,
    ),
)
"""In the order in which they are applied."""

EMAIL = Rule("email", folded("@"), _EMAIL, lambda _: keeping_first_group)
