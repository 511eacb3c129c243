from __future__ import annotations

import pytest

from sidecar.logic.cors import Config, Cors

VARY = "Vary: Origin"


@pytest.mark.parametrize(
    ("origins", "origin", "allowed"),
    [
        (("https://shop.example",), "https://shop.example", True),
        (("https://shop.example",), "https://SHOP.example", True),
        (("https://shop.example",), "http://shop.example", False),
        (("https://shop.example",), "https://shop.example:444", False),
        (("https://shop.example",), "https://shop.example.evil.test", False),
        (("https://shop.example",), "https://shopxexample", False),
        (("https://a.example", "https://*.shop.example"), "https://eu.shop.example", True),
        (("https://*.shop.example",), "https://shop.example", False),
        (("https://*.shop.example",), "https://evil.test/.shop.example", False),
        (("https://*.shop.example",), "https://evil.test#.shop.example", False),
        (("https://*.shop.example",), "https://evil.test?x.shop.example", False),
        (("https://*.shop.example",), "https://evil.test@a.shop.example", False),
        (("http://localhost:*",), "http://localhost:3000", True),
        (("*",), "null", True),
        (("*",), "", False),
        (("*",), "https://a\r\nX: y", False),
        (("https://shop.example",), "null", False),
    ],
)
def test_an_origin_is_allowed_or_told_nothing(origins: tuple[str, ...], origin: str, allowed: bool) -> None:
    answer = Cors(Config(origins=origins)).answer(origin)
    expected = f"Access-Control-Allow-Origin: {origin}", "Access-Control-Expose-Headers: Retry-After"
    assert answer == ((VARY, *expected) if allowed else (VARY,))


def test_a_preflight_names_what_may_follow_and_leaves_the_rest_out() -> None:
    cors = Cors(Config(origins=("https://shop.example",)))
    vary = "Vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
    asked = "Content-Type,content-encoding, traceparent,x-tenant-id, cookie"
    assert cors.preflight("https://shop.example", asked) == (
        vary,
        "Access-Control-Allow-Origin: https://shop.example",
        "Access-Control-Allow-Methods: POST",
        "Access-Control-Allow-Headers: content-type, content-encoding, traceparent, x-tenant-id",
        "Access-Control-Max-Age: 7200",
    )
    assert "Access-Control-Allow-Headers" not in "".join(cors.preflight("https://shop.example", ""))
    assert cors.preflight("https://evil.test", asked) == (vary,)
