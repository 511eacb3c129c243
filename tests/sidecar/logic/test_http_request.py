from __future__ import annotations

import pytest

from sidecar.logic.http_request import Endpoint, endpoint, request_head


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("http://a", ("http", "a", 80, "a", "/", None)),
        ("https://A.test:443/x", ("https", "a.test", 443, "a.test", "/x", None)),
        ("http://a:8080/x?y=1&z#fragment", ("http", "a", 8080, "a:8080", "/x?y=1&z", None)),
        ("http://a?y", ("http", "a", 80, "a", "/?y", None)),
        ("http://[::1]:8080/", ("http", "::1", 8080, "[::1]:8080", "/", None)),
        ("https://[fe80::1%eth0]/", ("https", "fe80::1%eth0", 443, "[fe80::1]", "/", None)),
        ("http://user:p%40ss@a/", ("http", "a", 80, "a", "/", "Basic dXNlcjpwQHNz")),
        ("http://user@a/", ("http", "a", 80, "a", "/", "Basic dXNlcjo=")),
        ("http://a/%41%2f ü?ü=<", ("http", "a", 80, "a", "/%41%2f%20%C3%BC?%C3%BC=%3C", None)),
        ("http://bücher.test/", ("http", "xn--bcher-kva.test", 80, "xn--bcher-kva.test", "/", None)),
    ],
)
def test_a_url_is_taken_apart_as_its_parts_travel(url: str, parts: tuple[str, str, int, str, str, str | None]) -> None:
    assert endpoint(url) == Endpoint(*parts)


def test_a_head_has_what_http_needs_unless_it_is_given() -> None:
    where = endpoint("http://user:pw@a:8080/")
    assert request_head("GET", where, "/x", {"A": "b"}) == (
        b"GET /x HTTP/1.1\r\nHost: a:8080\r\nAuthorization: Basic dXNlcjpwdw==\r\nA: b\r\n\r\n"
    )
    assert request_head("POST", where, "/", {"authorization": "Bearer x", "HOST": "b"}, 3) == (
        b"POST / HTTP/1.1\r\nContent-Length: 3\r\nauthorization: Bearer x\r\nHOST: b\r\n\r\n"
    )


@pytest.mark.parametrize("header", [("A", "b\r\nC: d"), ("A", "b\nc"), ("A", "b\rc"), ("A", "\0"), ("A: b\r\nC", "d")])
def test_no_header_ends_its_line(header: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="has a line break in it"):
        request_head("GET", endpoint("http://a"), "/", dict([header]))
