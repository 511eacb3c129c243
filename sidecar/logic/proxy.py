"""Which proxy the environment names for a request: `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`.

There is no standard; this is what curl and Go agree on, with Go's rule that the own host is never asked through a proxy. An
entry of `no_proxy` is a name (and all names below it, with or without a leading dot), an address, a network
(`10.0.0.0/8`), any of them with a port, or `*`.
"""

from __future__ import annotations

from collections.abc import Mapping

from .http_request import Endpoint


def proxy_for(where: Endpoint, environ: Mapping[str, str]) -> str | None:
    """The proxy's URL, which may hold credentials; None: ask the server itself."""
    proxy = _variable(environ, f"{where.scheme}_proxy") or _variable(environ, "all_proxy")
    if not proxy or _is_local(where.host):
        return None
    for entry in _variable(environ, "no_proxy").replace(",", " ").split():
        if _excepts(entry.lower(), where):
            return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _variable(environ: Mapping[str, str], name: str) -> str:
    return (environ.get(name) or environ.get(name.upper()) or "").strip()


def _is_local(host: str) -> bool:
    return host == "localhost" or host.endswith(".localhost") or host == "::1" or host.startswith("127.")


def _excepts(entry: str, where: Endpoint) -> bool:
    if entry == "*":
        return True
    host = where.host.lower().rstrip(".")
    name, colon, port = entry.rpartition(":")
    if colon and port.isdigit() and (":" not in name or name.startswith("[")):
        if int(port) != where.port:
            return False
        entry = name
    entry = entry.strip("[]")
    if "/" in entry:
        return _is_in(host, entry)
    entry = entry.removeprefix("*").removeprefix(".")
    return host == entry or host.endswith(f".{entry}")


def _is_in(host: str, network: str) -> bool:
    from ipaddress import ip_address, ip_network  # not small, and rarely needed

    try:
        return ip_address(host) in ip_network(network, strict=False)
    except ValueError:  # a name, or no network
        return False
