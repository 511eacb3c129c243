from __future__ import annotations

import pytest

from sidecar.logic.http_request import endpoint
from sidecar.logic.proxy import proxy_for

PROXY = "http://proxy:3128"


@pytest.mark.parametrize(
    ("url", "environ", "proxy"),
    [
        ("http://h", {}, None),
        ("http://h", {"http_proxy": PROXY}, PROXY),
        ("http://h", {"HTTP_PROXY": PROXY}, PROXY),
        ("http://h", {"https_proxy": PROXY}, None),
        ("https://h", {"https_proxy": PROXY}, PROXY),
        ("https://h", {"HTTPS_PROXY": PROXY, "http_proxy": "http://other:1"}, PROXY),
        ("https://h", {"ALL_PROXY": PROXY}, PROXY),
        ("https://h", {"https_proxy": "proxy:3128"}, PROXY),
        ("https://h", {"https_proxy": " "}, None),
    ],
)
def test_a_proxy_is_for_a_scheme(url: str, environ: dict[str, str], proxy: str | None) -> None:
    assert proxy_for(endpoint(url), environ) == proxy


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "[::1]", "a.localhost"])
def test_the_own_host_is_never_asked_through_a_proxy(host: str) -> None:
    assert proxy_for(endpoint(f"http://{host}:4318"), {"http_proxy": PROXY}) is None


@pytest.mark.parametrize(
    ("exceptions", "url", "direct"),
    [
        ("*", "http://h", True),
        ("h", "http://h", True),
        ("h", "http://H.", True),
        ("h", "http://xh", False),
        ("other, .svc,h", "http://a.svc", True),
        (".svc", "http://svc", True),
        ("svc", "http://a.b.svc:4318", True),
        ("*.svc", "http://a.svc", True),
        ("h:4318", "http://h:4318", True),
        ("h:4318", "http://h", False),
        ("10.0.0.0/8", "http://10.1.2.3:4318", True),
        ("10.0.0.0/8", "http://11.1.2.3", False),
        ("10.0.0.0/8", "http://ten.test", False),
        ("10.0.0.0/x", "http://10.0.0.1", False),
        ("10.1.2.3", "http://10.1.2.3", True),
        ("fd00::/8", "http://[fd00::1]", True),
        ("fd00::1", "http://[fd00::1]:4318", True),
        ("[fd00::1]:4318", "http://[fd00::1]:4318", True),
        ("[fd00::1]:4318", "http://[fd00::1]:1", False),
    ],
)
def test_an_entry_of_no_proxy_is_a_name_an_address_or_a_network(exceptions: str, url: str, direct: bool) -> None:
    environ = {"http_proxy": PROXY, "NO_PROXY": exceptions}
    assert proxy_for(endpoint(url), environ) == (None if direct else PROXY)
