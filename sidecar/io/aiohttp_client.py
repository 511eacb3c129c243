"""The same POST through aiohttp: TLS with the system's certificates (or `SSL_CERT_FILE`), and proxies."""

from __future__ import annotations

from collections.abc import Mapping

import aiohttp

from .http_connection import BadResponse, Response


class AiohttpSender:
    """Errors are `OSError`, as those of the plain client."""

    def __init__(self, origin: str, connections: int, max_response: int) -> None:
        self._origin = origin
        self._max_response = max_response
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections),
            timeout=aiohttp.ClientTimeout(total=None),  # the caller has one
            trust_env=True,
            auto_decompress=False,
        )

    async def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Response:
        try:
            async with self._session.post(
                self._origin + path, data=body, headers=headers, allow_redirects=False
            ) as response:
                received = bytearray()
                async for piece in response.content.iter_any():
                    received += piece
                    if len(received) > self._max_response:
                        raise BadResponse(f"the response is longer than {self._max_response} bytes")
                names = {name.lower(): value for name, value in response.headers.items()}
                return Response(response.status, names, bytes(received))
        except aiohttp.ClientError as error:
            if isinstance(error, OSError):
                raise
            raise ConnectionError(str(error) or type(error).__name__) from error

    async def close(self) -> None:
        await self._session.close()
