"""The same POST through aiohttp, for who is behind a proxy: by CONNECT for https, else by asking the proxy for the whole URL."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

import aiohttp

from ..logic.scalars import masked_url
from .http_connection import BadResponse, Response
from .tls import ClientTls, told


class AiohttpSender:
    """Errors are `OSError`, as those of the plain client, and name the proxy without its credentials."""

    def __init__(self, origin: str, proxy: str, tls: ClientTls, connections: int, max_response: int) -> None:
        self._origin = origin
        self._proxy = proxy
        self._tls = tls
        self._max_response = max_response
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections),
            timeout=aiohttp.ClientTimeout(total=None),  # the caller has one
            trust_env=False,
            auto_decompress=False,
        )

    async def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Response:
        # Connections are kept by their context: after a rotation new ones are made.
        context = self._tls.context() if self._origin.startswith("https:") else True
        try:
            async with self._session.post(
                self._origin + path,
                data=body,
                headers=headers,
                allow_redirects=False,
                proxy=self._proxy,
                ssl=context,
                server_hostname=self._tls.config.server_name,
            ) as response:
                received = bytearray()
                async for piece in response.content.iter_any():
                    received += piece
                    if len(received) > self._max_response:
                        raise BadResponse(f"the response is longer than {self._max_response} bytes")
                names = {name.lower(): value for name, value in response.headers.items()}
                return Response(response.status, names, bytes(received))
        except aiohttp.ClientError as error:
            raise ConnectionError(f"through the proxy {masked_url(self._proxy)}: {self._why(error)}") from error

    def _why(self, error: aiohttp.ClientError) -> str:
        if isinstance(error, aiohttp.ClientHttpProxyError):
            return f"it answered {error.status} {error.message}"
        if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, ssl.SSLError):
            return told(error.os_error, urlsplit(self._origin).netloc.rpartition("@")[2])
        return masked_url(str(error)) or type(error).__name__

    async def close(self) -> None:
        await self._session.close()
