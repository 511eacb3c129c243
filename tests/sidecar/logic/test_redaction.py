"""Secrets leave no line, lines keep their form, and hostile lines cost no more than others."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.logic.redaction import KEY_LINES, Redactor, Rules
from sidecar.logic.redaction_config import Config, OwnRule
from sidecar.logic.schema import load

RULES = Rules(Config())
# Put together here, so that no scanner of this repository takes them for real ones.
JWT = b"eyJ" + b"hbGciOiJIUzI1NiJ9.eyJ" + b"zdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P"
VISA = b"4111 1111 1111 1111"


def redact(*lines: bytes, rules: Rules = RULES) -> tuple[list[bytes], dict[str, int]]:
    counts: dict[str, int] = {}
    return Redactor(rules, counts).redact(list(lines), b"\n".join(lines)), counts


@pytest.mark.parametrize(
    ("line", "expected", "rule"),
    [
        (b"GET http://bob:hunter2@db:80/x", b"GET http://bob:[REDACTED]@db:80/x", "url"),
        (b"redis://:hunter2@cache", b"redis://:[REDACTED]@cache", "url"),
        (rb'{"u":"https:\/\/a:b@h\/"}', rb'{"u":"https:\/\/a:[REDACTED]@h\/"}', "url"),
        (b"GET /x?a=1&token=abc&b=2", b"GET /x?a=1&token=[REDACTED]&b=2", "secret"),
        (b"GET /x?api_key=abc HTTP/1.1", b"GET /x?api_key=[REDACTED] HTTP/1.1", "secret"),
        (b"Authorization: Bearer abc.def next", b"Authorization: [REDACTED] next", "authorization"),
        (b"authorization=Basic dTpw", b"authorization=[REDACTED]", "authorization"),
        (b"Proxy-Authorization: hunter2", b"Proxy-Authorization: [REDACTED]", "authorization"),
        (b'Authorization: Digest username="u", response="6629"', b"Authorization: [REDACTED]", "authorization"),
        (b'{"m":"Authorization: Digest x","a":1}', b'{"m":"Authorization: [REDACTED]","a":1}', "authorization"),
        (rb'{"m":"Authorization: Digest u=\"u\", r=\"6\"\nnext"}', rb'{"m":"Authorization: [REDACTED]\nnext"}', "authorization"),
        (b'{"Authorization":["Bearer x"],"a":1}', b'{"Authorization":["[REDACTED]"],"a":1}', "authorization"),
        (b"map[Authorization:[Basic dTpw] Host:[h]]", b"map[Authorization:[[REDACTED]] Host:[h]]", "authorization"),
        (b"sent bearer abcdefgh1234 to it", b"sent bearer [REDACTED] to it", "bearer"),
        (b"got " + JWT + b" from", b"got [REDACTED] from", "jwt"),
        (b"password=hunter2 user=bob", b"password=[REDACTED] user=bob", "secret"),
        (b"token of 3 secrets, token=a", b"token of 3 secrets, token=[REDACTED]", "secret"),
        (b"DB_PASSWORD=hunter2", b"DB_PASSWORD=[REDACTED]", "secret"),
        (b'level=info pwd="a b" x=1', b'level=info pwd="[REDACTED]" x=1', "secret"),
        (b"password: a,b;c user: bob", b"password: [REDACTED] user: bob", "secret"),
        (b"C(user=u, password=p)", b"C(user=u, password=[REDACTED])", "secret"),
        (b"{user=u,password=p,host=h}", b"{user=u,password=[REDACTED],host=h}", "secret"),
        (b'{"password":"a\\"b\\\\","x":1}', b'{"password":"[REDACTED]","x":1}', "secret"),
        (b'{"a":{"token": 12345}}', b'{"a":{"token": "[REDACTED]"}}', "secret"),
        (b"{'api_key': 'x', 'b': 1}", b"{'api_key': '[REDACTED]', 'b': 1}", "secret"),
        (rb'{"log":"{\"password\":\"a\\\"b\",\"u\":1}"}', rb'{"log":"{\"password\":\"[REDACTED]\",\"u\":1}"}', "secret"),
        (rb'{"log":"{\"secret\":7}"}', rb'{"log":"{\"secret\":\"[REDACTED]\"}"}', "secret"),
        (rb'{"msg":"password=x\nnext"}', rb'{"msg":"password=[REDACTED]\nnext"}', "secret"),
        (b'{"msg":"cut here, password":"hunte', b'{"msg":"cut here, password":"[REDACTED]', "secret"),
        (b"aws_secret_access_key = wJalr/XUt+n=", b"aws_secret_access_key = [REDACTED]", "secret"),
        (b"AccountName=a;AccountKey=Zm9v==;EndpointSuffix=c", b"AccountName=a;AccountKey=[REDACTED];EndpointSuffix=c", "secret"),
        (b"\xff\xfe password=\xff\x00\x80 \xfe", b"\xff\xfe password=[REDACTED] \xfe", "secret"),
        (b"key AKIA" + b"IOSFODNN7EXAMPLE.", b"key [REDACTED].", "aws"),
        (b"AIza" + b"S" * 35, b"[REDACTED]", "google"),
        (b"ghp_" + b"a" * 36, b"[REDACTED]", "github"),
        (b"github_pat_" + b"a" * 22, b"[REDACTED]", "github"),
        (b"glpat-" + b"a" * 20, b"[REDACTED]", "gitlab"),
        (b"xoxb-" + b"1234567890-abc", b"[REDACTED]", "slack"),
        (b"sk_live_" + b"a" * 24, b"[REDACTED]", "stripe"),
        (b"npm_" + b"a" * 36, b"[REDACTED]", "npm"),
        (b"key sk-" + b"proj-" + b"a-_1" * 6 + b".", b"key [REDACTED].", "ai"),
        (b"sk-" + b"ant-api03-" + b"a" * 20, b"[REDACTED]", "ai"),
        (b"X: hvs." + b"CAES" * 6, b"X: [REDACTED]", "vault"),
        (b"/a?sv=1&sig=abc%2Bdef%3D&se=2", b"/a?sv=1&sig=[REDACTED]&se=2", "signature"),
        (b"/a?X-Amz-Signature=0123456789abcdef HTTP/1.1", b"/a?X-Amz-Signature=[REDACTED] HTTP/1.1", "signature"),
        (b"\x1b[36mpassword\x1b[0m=\x1b[35mhunter2\x1b[0m u=1", b"\x1b[36mpassword\x1b[0m=\x1b[35m[REDACTED] u=1", "secret"),
        (rb'{"m":"\u001b[36mtoken\u001b[0m=abc"}', rb'{"m":"\u001b[36mtoken\u001b[0m=[REDACTED]"}', "secret"),
        (b"Authorization: \x1b[33mBearer abc\x1b[0m u", b"Authorization: \x1b[33m[REDACTED] u", "authorization"),
        (b"{'password': b'hunter2', 'b': 1}", b"{'password': b'[REDACTED]', 'b': 1}", "secret"),
        (b"password:\t   hunter2", b"password:\t   [REDACTED]", "secret"),
        (b'password := "hunter2"', b'password := "[REDACTED]"', "secret"),
        (b"paid with " + VISA + b", thanks", b"paid with [REDACTED], thanks", "card"),
        (b"4111-1111-1111-1111", b"[REDACTED]", "card"),
        (b"amex 3782 822463 10005.", b"amex [REDACTED].", "card"),
        (b'{"n":4111111111111111,"s":["5555555555554444"]}', b'{"n":"[REDACTED]","s":["[REDACTED]"]}', "card"),
        (b'{"a":[4111111111111111],"m":"of: 4111111111111111, ok"}', b'{"a":["[REDACTED]"],"m":"of: [REDACTED], ok"}', "card"),
        (rb'{"log":"{\"n\":4111111111111111}"}', rb'{"log":"{\"n\":\"[REDACTED]\"}"}', "card"),
        (b"sk-" + b"a1B2" * 12 + b" key sk-" + b"a1B2" * 12, b"[REDACTED] key [REDACTED]", "ai"),
        (b"[sk-proj-" + b"a1B_" * 20 + b"]", b"[[REDACTED]]", "ai"),
        (b'{"k":"sk-' + b"0f" * 16 + b'"}', b'{"k":"[REDACTED]"}', "ai"),
        (b"(sk-ant-" + b"api03-" + b"a1B-" * 12 + b")", b"([REDACTED])", "ai"),
        (b"SG." + b"a" * 22 + b"." + b"b" * 43 + b".", b"[REDACTED].", "sendgrid"),
        (b"hf_" + b"aB" * 17, b"[REDACTED]", "huggingface"),
        (b"ya29." + b"a0-_" * 20, b"[REDACTED]", "google"),
        (b"dop_v1_" + b"0f" * 32, b"[REDACTED]", "digitalocean"),
        (b"glrt-" + b"a" * 20, b"[REDACTED]", "gitlab"),
        (b"dckr_pat_" + b"a" * 27, b"[REDACTED]", "docker"),
        (b"hvs." + b"CAES" * 6, b"[REDACTED]", "vault"),
        (b"glsa_" + b"a" * 32 + b"_0123abcd", b"[REDACTED]", "grafana"),
        (b"xapp-1-" + b"A0123-456-abc", b"[REDACTED]", "slack"),
        (b"https://hooks.slack.com/services/" + b"T0/B0/" + b"x" * 24, b"https://hooks.slack.com/services/[REDACTED]", "slack"),
        (b"POST /bot123456789:" + b"AA-_" * 9 + b"/getMe", b"POST /bot123456789:[REDACTED]/getMe", "telegram"),
        (b"shpat_" + b"0f" * 16, b"[REDACTED]", "shopify"),
        (b"pypi-AgE" + b"I" * 60, b"[REDACTED]", "pypi"),
        (b"REDIS_PASS=x MYSQL_PWD=y", b"REDIS_PASS=[REDACTED] MYSQL_PWD=[REDACTED]", "secret"),
        (b'{"smtp_pass":"x"}', b'{"smtp_pass":"[REDACTED]"}', "secret"),
        (b"DB_PASS: x", b"DB_PASS: [REDACTED]", "secret"),
        (b"GET /x?to=%2Fy%3Fpassword%3Da%2Fb%26z", b"GET /x?to=%2Fy%3Fpassword%3D[REDACTED]%26z", "secret"),
        (b"%7B%22password%22%3A%22x%22%7D", b"%7B%22password%22%3A%22[REDACTED]%22%7D", "secret"),
        (b"token%253Dx%2526y", b"token%253D[REDACTED]%2526y", "secret"),
        (b"https%3A%2F%2Fbob%3Ax%40host", b"https%3A%2F%2Fbob%3A[REDACTED]%40host", "url"),
        (b"jdbc:oracle:thin:scott/tiger@//db", b"jdbc:oracle:thin:scott/[REDACTED]@//db", "url"),
        (b'[("x-api-key", "x"), ("a", "b")]', b'[("x-api-key", "[REDACTED]"), ("a", "b")]', "secret"),
        (b"[(b'x-api-key', b'x')]", b"[(b'x-api-key', b'[REDACTED]')]", "secret"),
        (b'{"name":"X-Api-Key","value":"x"}', b'{"name":"X-Api-Key","value":"[REDACTED]"}', "secret"),
        (b"('Authorization', 'Basic x')", b"('Authorization', '[REDACTED]')", "authorization"),
        (b"<u>a</u><password>a b</password>", b"<u>a</u><password>[REDACTED]</password>", "secret"),
        (b'<wsse:Password Type="t">x</wsse:Password>', b'<wsse:Password Type="t">[REDACTED]</wsse:Password>', "secret"),
        (rb'{"m":"<dbPassword t=\"x\">a\"b<\/dbPassword>"}', rb'{"m":"<dbPassword t=\"x\">[REDACTED]<\/dbPassword>"}', "secret"),
        (b"--password x --db-token y --api-key=z", b"--password [REDACTED] --db-token [REDACTED] --api-key=[REDACTED]", "secret"),
        (b"password is hunter2, password\thunter2", b"password is [REDACTED], password\t[REDACTED]", "secret"),
        (b"curl -s -u bob:x http://h", b"curl -s -u bob:[REDACTED] http://h", "command"),
        (b"curl --user 'bob:x' http://h", b"curl --user 'bob:[REDACTED]' http://h", "command"),
        (b"mysqldump -uroot -px db", b"mysqldump -uroot -p[REDACTED] db", "command"),
        (b"DB_PWD=/x pwd=hunter2", b"DB_PWD=[REDACTED] pwd=[REDACTED]", "secret"),
        (b"card_id=" + VISA + b" number: " + VISA, b"card_id=[REDACTED] number: [REDACTED]", "card"),
        (b"paid=4532015112830366", b"paid=[REDACTED]", "card"),
        (b'{"account_number":4532015112830366}', b'{"account_number":"[REDACTED]"}', "card"),
    ],
)  # fmt: skip
def test_a_secret_is_replaced_and_what_is_around_it_stays(line: bytes, expected: bytes, rule: str) -> None:
    out, counts = redact(b"before", line, b"after")
    assert out == [b"before", expected, b"after"]
    assert rule in counts
    if line.endswith(b"}") and line.startswith(b"{") and b'"' in line:
        json.loads(expected)
    again, _ = redact(*out)
    assert again == out


@pytest.mark.parametrize(
    "line",
    [
        b"the password is wrong, tokens=17 max_tokens: 12 password_file=/run/secrets/x token_type=bearer",
        b'{"prompt_tokens":512,"token":null,"secret":true,"access_token":{"a":1}}',
        b'{"msg":"enter password=","user":"bob"}',
        b'INFO {"msg":"enter password=","user":"bob"}',
        b"git clone ssh://git@host/x.git and mail bob@example.com",
        b"https://user:[REDACTED]@host Authorization: [REDACTED] password=[REDACTED]",
        b"bearer authentication failed",
        b"Asia/Tokyo, the akia list, eyJustAWord",
        b'{"time":1714060800123,"ns":1714060800123456789,"id":"4111111111111111aa"}',
        b"trace=4111111111111111bbbbbbbbbbbbbbbb 0.4111111111111111 x4111111111111111 4111111111111111.5",
        b'{"n":-4111111111111111}',
        b"uuid 41111111-1111-1111-1111-111111111111",
        b"4111 1111 1111 1112 and 9999999999999995 and 41111111111111111111",
        b"2026-11-21 14:33:08,123 1234 5678 9012 3456",
        b"if token == other: x := secret :: y",
        b"task-proj-aaaaaaaaaaaaaaaaaaaa sig=aaaaaaaaaaaa design=aaaaaaaaaaaa signature=valid",
        b"task disk sk-fading-circle-in-a-container, msg.a.b, pypi-agent, xapp-x, hf_hub, desk-" + b"a" * 30,
        b"order_id=4532015112830366 orderId: 4532015112830366 id=4532015112830366",
        b'{"order_ref":4532015112830366,"invoice_number":"4532015112830366","traceID":4532015112830366}',
        rb'{"m":"{\"order_id\":\"4532015112830366\"}"}',
        b'PWD=/srv OLDPWD=/x pwd=/home/app pwd: ~/x {"pwd":"C:\\\\x"}',
        b"token: expired. authorization: denied password=missing",
        b"the password is wrong, the password is not set, token refresh 3 failed, secret is out, password\tuser",
        b"pass=17 first_pass=3 proxy_pass: http://x",
        b"give --password to log in, --token-ttl 30 --password-file /run/x --password",
        b'{"msg":"mysql -p","cmd":"docker run -p80:80"}',
        b"docker run -u 1000:1000 x; curl -u 1000:1000 x; mysql -p -u root",
        b'["password", "user"] ("user", "password") <token/> <secret></secret> <b>password</b>',
        b"GET /x?q=a%20b%3Dc&r=https%3A%2F%2Fhost%3A80%2Fx",
    ],
)
def test_what_only_looks_like_a_secret_stays(line: bytes) -> None:
    lines = [line, b""]
    counts: dict[str, int] = {}
    assert Redactor(RULES, counts).redact(lines, b"\n".join(lines)) is lines
    assert counts == {}


def test_each_value_is_counted_by_its_rule() -> None:
    lines = [b"password=a secret=b", b"clean", b"token=c " + VISA]
    assert redact(*lines)[1] == {"secret": 3, "card": 1}


def test_large_blocks_are_searched_as_small_ones_are() -> None:
    """The C library's search stops at a NUL byte; the block that it sees has none."""
    lines = [b"nothing to see \0 here, move along"] * 1000 + [b"password=x", b"AKIA" + b"IOSFODNN7EXAMPLE"]
    out, counts = redact(*lines)
    assert out == [*lines[:1000], b"password=[REDACTED]", b"[REDACTED]"]
    assert counts == {"secret": 1, "aws": 1}


def test_a_private_key_is_followed_over_lines_and_blocks() -> None:
    counts: dict[str, int] = {}
    redactor = Redactor(RULES, counts)
    first = [b"key:", b"-----BEGIN RSA PRIVATE KEY-----", b"Proc-Type: 4,ENCRYPTED", b"", b"MIIEpAIBAAKCAQEA"]
    second = [b"b64/+==", b"-----END RSA PRIVATE KEY-----", b"done"]
    assert redactor.redact(first, b"\n".join(first)) == [*first[:4], b"[REDACTED]"]
    assert redactor.redact(second, b"\n".join(second)) == [b"[REDACTED]", *second[1:]]
    assert counts == {"private_key": 1}


def test_a_private_key_in_one_line_keeps_its_markers() -> None:
    line = rb'{"k":"-----BEGIN PRIVATE KEY-----\nMIIE+/=\n-----END PRIVATE KEY-----\n","a":1}'
    assert redact(line, b"next")[0] == [
        rb'{"k":"-----BEGIN PRIVATE KEY-----[REDACTED]-----END PRIVATE KEY-----\n","a":1}',
        b"next",
    ]


def test_a_private_key_ends_where_other_text_begins_and_at_the_limit() -> None:
    begin = b"-----BEGIN PRIVATE KEY-----"
    assert redact(begin, b"MIIE", b"request done in 3 ms", b"word")[0] == [
        begin,
        b"[REDACTED]",
        b"request done in 3 ms",
        b"word",
    ]
    assert redact(begin, *[b"MIIE"] * KEY_LINES, b"word")[0][-2:] == [b"[REDACTED]", b"word"]


def test_mail_addresses_go_on_request() -> None:
    rules = Rules(Config(emails=True))
    assert redact(b"from bob.k+x@mail.example.com, to <a@b.io>.", rules=rules) == (
        [b"from [REDACTED], to <[REDACTED]>."],
        {"email": 2},
    )


def test_a_rule_can_be_off() -> None:
    rules = Rules(Config(disable=["card", "private_key"]))
    lines = [VISA + b" password=x", b"-----BEGIN PRIVATE KEY-----", b"MIIE"]
    assert redact(*lines, rules=rules)[0] == [VISA + b" password=[REDACTED]", *lines[1:]]


def test_own_literals_and_globs() -> None:
    config = Config(
        rules=[
            OwnRule(name="project", literal="Blue (Moon)"),
            OwnRule(name="ticket", glob="ACME-*-*-end"),
            OwnRule(name="rest", glob="cust_*"),
        ]
    )
    assert problems(**msgspec.to_builtins(config)) == []
    out, counts = redact(
        b"on Blue (Moon), not blue (moon)",
        b"see ACME-12-x-end, ACME-1 2-x-end",
        b'{"a":"cust_17\\n","b":"cust_"}',
        rules=Rules(config),
    )
    assert out == [
        b"on [REDACTED], not blue (moon)",
        b"see [REDACTED], ACME-1 2-x-end",
        b'{"a":"[REDACTED]\\n","b":"[REDACTED]"}',
    ]
    assert counts == {"project": 1, "ticket": 1, "rest": 2}


def problems(**config: Any) -> list[tuple[str, str, str]]:
    _, found = load(Config, config, {}, "file")
    return [(each.path, each.problem, each.expected) for each in found]


def test_problems_name_their_place() -> None:
    """All at once; what is disabled is compared with the rules once these are right."""
    rules = [
        {"name": "Bad Name", "literal": "x", "glob": "y"},
        {"name": "none"},
        {"name": "stars", "glob": "**"},
        {"name": "line", "literal": "a\nb"},
    ]
    assert [(place, what) for place, what, _ in problems(rules=rules, disable=["crad"])] == [
        ("rules.0.name", '"Bad Name" is not a name'),
        ("rules.0", "one kind of pattern is needed"),
        ("rules.1", "one kind of pattern is needed"),
        ("rules.2.glob", '"**" would match everything'),
        ("rules.3.literal", "a line holds no line end"),
    ]
    taken = [{"name": "card", "literal": "x"}, {"name": "mine", "literal": "y"}]
    assert [(place, what) for place, what, _ in problems(rules=taken, disable=["card", "crad", "mine"])] == [
        ("rules.0.name", '"card" is taken'),
        ("disable.1", 'there is no rule "crad"'),
    ]


def test_a_regular_expression_without_re2_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "re2", None)
    assert problems(rules=[{"name": "x", "regex": "a+"}]) == [
        ("rules.0.regex", "the package google-re2 is not installed", "pip install outrider[re2], or a literal or glob")
    ]


def test_regular_expressions_with_re2(capfd: pytest.CaptureFixture[str]) -> None:
    config = Config(rules=[OwnRule(name="order", regex=r"ord-\d+\b"), OwnRule(name="hex", regex="(?i)0x[0-9a-f]+$")])
    assert problems(**msgspec.to_builtins(config)) == []
    assert redact(b"ord-12 ord-x \xff 0xFF", b"clean", rules=Rules(config)) == (
        [b"[REDACTED] ord-x \xff [REDACTED]", b"clean"],
        {"order": 1, "hex": 1},
    )
    bad = problems(rules=[{"name": "a", "regex": "("}, {"name": "b", "regex": "x*"}])
    (place, what, _), (other, _, _) = bad
    assert (place, what, other) == ("rules.0.regex", '"(" is not RE2: missing ): (', "rules.1.regex")
    assert capfd.readouterr().err == ""


HOSTILE = [
    b"://a:", b"://", b":", b"@", b"a@b.", b"a.", b"eyJ", b"eyJaaaaaaaa.", b"eyJ-", b"bearer ", b"Bearer a", b"password",
    b"password=", b'"password":', b'password="', b'password="\\', b'password=\\"', b"password=,", b'\\"', b"\\", b"token:a,",
    b'"token":"\\\\\\"', b"authorization: digest ", b"authorization:", b"-----BEGIN PRIVATE KEY-----", b"-----BEGIN ", b"-",
    b"4", b"4111 ", b"4111111111111111 ", b"4111-1111-1111-", b"AKIA", b"AKIAA", b"ghp_", b"ghp_a", b"glpat-", b"xoxb-",
    b"sk_live_", b"npm_", b"AIza", b"ab", b"aab", b" ", b"[", b"{", b'{"', b")]}", b"'",
    b"token\x1b[0m", b"token\x1b[0m=\x1b[0m", b"token\t", b"token :=", b"&sig=", b"&sig=a", b"-signature=", b"sk-proj-", b"hvs.",
    b"sk-", b" sk-proj-", b"sk-ant-a", b"SG.", b"SG.aaaaaaaaaaaaaaaa.", b"hvs.", b"/bot000000", b"_PASS=", b"token%3D",
    b"token%22", b"%3A%2F%2F", b"%3A%2F%2Fa%3A", b":thin:a/", b'token", "', b"token', b'", b'token","value":"', b"<token ",
    b"<token>", b"token ", b"token\t", b"password is ", b"--token ", b"--token-", b"curl ", b"curl -u ", b"mysql ", b"mysql -p",
    b"id=4532015112830366 ",
    b"x.4532015112830366=", b"pwd=/",
]  # fmt: skip


@pytest.mark.parametrize("unit", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_line_of_256_kib_is_no_problem(unit: bytes) -> None:
    """Quadratic work on it would take minutes."""
    rules = Rules(Config(emails=True, rules=[OwnRule(name="g", glob="a*a*b")]))
    line = (b'{"' + unit * ((1 << 18) // len(unit)))[: 1 << 18]
    out, _ = redact(line, b"!", rules=rules)
    assert len(out) == 2


@given(
    st.lists(
        st.lists(
            st.sampled_from([*HOSTILE, b'"', b"x", b"\xff", b"\0", b" ", b"=", b"hunter2", VISA]), max_size=12
        ).map(b"".join),
        max_size=6,
    )
)
def test_lines_are_redacted_one_by_one_whatever_their_block(lines: list[bytes]) -> None:
    """Except private keys, a line is redacted as if it were alone, and a second time changes nothing that is JSON."""
    rules = Rules(Config(disable=["private_key"]))
    out, _ = redact(*lines, rules=rules)
    assert out == [redact(line, rules=rules)[0][0] for line in lines]


FORMS = [
    *("password=x", 'say "token": "y"', "4111111111111111", 4111111111111111, "http://a:b@c", "\\", '\\"', "token"),
    *("<token>x</token>", '<token a="', ">x</", '("token", "x")', "('token', 'x')", '{"name":"token","value":"x"}'),
    *("token%3Dx%26", "--token x", "token\tx12345", "curl -u a:b", "mysql -px", "mysql -p"),
]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(alphabet='a"\\é\n\t:=@/', max_size=12),
    st.sampled_from(FORMS),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["password", "a", "token", "authorization", "n"]), inner, max_size=4),
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["password", "msg", "api_key", "Authorization"]), VALUES), st.booleans())
def test_json_stays_json(value: dict[str, object], nested: bool) -> None:
    text = json.dumps({"log": json.dumps(value), **value} if nested else value)
    ((line, _), _) = redact(text.encode(), b"")
    parsed = json.loads(line)
    for key in ("password", "api_key"):
        if isinstance(value.get(key), str) and value[key]:
            assert parsed[key] == "[REDACTED]"
