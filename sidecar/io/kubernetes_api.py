"""The logs of a Pod's containers, by the API server that the Pod's service account may ask."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, urlencode

import msgspec

from ..logic.http_request import Endpoint, request_head
from ..logic.scalars import Secret
from .connect import connect
from .http_stream import HttpStream
from .peer import authority, trouble
from .resolver import Resolver
from .secrets import SecretValue
from .tls import ClientTls, told
from .tls import Config as TlsConfig

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TIMEOUT = 30.0
"""Seconds for a connection, and for an answer that is not waited for on purpose."""
SILENCE = 60
"""Seconds after which a connection whose other end has vanished counts as broken."""
MOST = 1 << 20
"""Bytes of an answer that is no log."""


class Refused(OSError):
    """The answer is another one, of this `status`."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class _Status(msgspec.Struct, frozen=True):
    message: str = ""


class KubernetesApi:
    """Its address is in the environment; token and authority are read again whenever their files change."""

    def __init__(self, resolver: Resolver, environ: Mapping[str, str] = os.environ, account: Path = ACCOUNT) -> None:
        self._resolver = resolver
        self._environ = environ
        self._account = account
        self._token = SecretValue(Secret(file=str(account / "token")))
        self._tls = ClientTls(TlsConfig(ca=str(account / "ca.crt")))

    def namespace(self) -> str:
        """The Pod's own. Raises `OSError`."""
        return (self._account / "namespace").read_text().strip()

    async def logs(
        self,
        namespace: str,
        pod: str,
        container: str | None,
        since: int,
        *,
        previous: bool = False,
        follow: float | None = None,
    ) -> HttpStream | None:
        """What a container says, or said before its last restart (`previous`), with timestamps, from the unix second `since` on.
        Without `container` the Pod's only one. To be closed by the caller. Raises `Refused`, or another `OSError`.

        With `follow` the answer goes on as long as the container. None where it said nothing for so many seconds: the kubelet
        does not begin to answer before it has a line.
        """
        query = {"timestamps": "true"}
        if container:
            query["container"] = container
        if since:
            query["sinceTime"] = f"{datetime.fromtimestamp(since, UTC):%Y-%m-%dT%H:%M:%SZ}"
        if previous:
            query["previous"] = "true"
        if follow is not None:
            query["follow"] = "true"
        path = f"/api/v1/namespaces/{quote(namespace, safe='')}/pods/{quote(pod, safe='')}/log?{urlencode(query)}"
        where = self._where(path)
        head = request_head(
            "GET", where, path, {"Authorization": f"Bearer {self._token.read()}", "Connection": "close"}
        )
        stream = await self._open(where)
        try:
            async with asyncio.timeout(TIMEOUT if follow is None else follow) as patience:
                status = await stream.get(head)
            if status != 200:
                async with asyncio.timeout(TIMEOUT):
                    raise _refused(status, await stream.body(MOST))
        except BaseException as error:
            stream.close()
            if not isinstance(error, TimeoutError) or error.errno is not None:
                raise
            if follow is not None and patience.expired():
                return None
            raise ConnectionError(f"no answer from {where.authority} within {TIMEOUT:.0f} s") from None
        return stream

    def _where(self, path: str) -> Endpoint:
        host = self._environ.get("KUBERNETES_SERVICE_HOST")
        if not host:
            raise OSError("KUBERNETES_SERVICE_HOST is not set: the sidecar does not run in a Pod")
        environ = self._environ
        port = environ.get("KUBERNETES_SERVICE_PORT_HTTPS") or environ.get("KUBERNETES_SERVICE_PORT") or "443"
        if not port.isdigit():
            raise OSError(f'KUBERNETES_SERVICE_PORT is "{port}", no port')
        return Endpoint("https", host, int(port), authority(host, int(port)), path, None)

    async def _open(self, where: Endpoint) -> HttpStream:
        context = self._tls.context()
        try:
            async with asyncio.timeout(TIMEOUT):
                sock = await connect(await self._resolver.addresses(where.host), where.port)
                _notice_silence(sock)
                _, stream = await asyncio.get_running_loop().create_connection(
                    HttpStream, sock=sock, ssl=context, server_hostname=where.host
                )
        except TimeoutError:
            raise ConnectionError(f"no answer from {where.authority} within {TIMEOUT:.0f} s") from None
        except ssl.SSLError as error:
            raise ConnectionError(told(error, where.authority)) from error
        except OSError as error:
            raise ConnectionError(trouble(error, where.authority).text) from error
        return stream


def _notice_silence(sock: socket.socket) -> None:
    """A log may be silent for days, but its other end must be there."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, SILENCE // 2)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, SILENCE // 6)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE * 1000)


def _refused(status: int, body: bytes) -> Refused:
    try:
        text = msgspec.json.decode(body, type=_Status).message
    except msgspec.DecodeError:
        text = ""
    return Refused(status, text.strip()[:1000] or f"status {status}")
