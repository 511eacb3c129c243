"""Docker's API, which Podman speaks as well, over its Unix socket: what is needed to read the output of containers.

Paths bear no version: no single one is spoken by all engines that are in use.
"""

from __future__ import annotations

import asyncio
import grp
import os
import stat
from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import quote, urlencode

import msgspec

from ..logic.http_request import endpoint, request_head
from .http_stream import HttpStream

SOCKETS = ("/var/run/docker.sock", "/run/podman/podman.sock")
MOST = 4 << 20
"""Bytes of an answer that is no log."""
TIMEOUT = 30.0
"""Seconds for an answer that is not waited for on purpose."""

_WHERE = endpoint("http://docker/")


class Refused(OSError):
    """No answer, or not the one that was asked for. `word` says which; the text says what to do about it."""

    def __init__(self, word: str, text: str) -> None:
        super().__init__(text)
        self.word = word


class State(msgspec.Struct, frozen=True, rename="pascal"):
    running: bool = False
    started_at: str = ""


class Settings(msgspec.Struct, frozen=True, rename="pascal"):
    image: str = ""
    tty: bool = False


class Container(msgspec.Struct, frozen=True, rename="pascal"):
    """What the engine says of one container."""

    id: str
    name: str = ""
    state: State = State()
    config: Settings = Settings()


class Listed(msgspec.Struct, frozen=True, rename="pascal"):
    """`state` is a word: created, running, paused, exited and others."""

    id: str
    state: str = ""


class _Error(msgspec.Struct, frozen=True):
    message: str = ""


class DockerApi:
    """Every method raises `Refused`, or another `OSError` where the connection breaks."""

    def __init__(self, socket: str | None, environ: Mapping[str, str] = os.environ) -> None:
        """Without `socket` it is that of `DOCKER_HOST`, or the first of `SOCKETS` that is there."""
        self._socket = socket
        self._environ = environ

    async def inspect(self, name: str) -> Container | None:
        """By name, id, or the beginning of an id."""
        body = await self._json(f"/containers/{quote(name, safe='')}/json")
        return None if body is None else _decoded(body, Container)

    async def labelled(self, label: str) -> list[Listed]:
        """All containers with `key=value`, also those that have ended."""
        query = urlencode({"all": "1", "filters": msgspec.json.encode({"label": [label]}).decode()})
        body = await self._json(f"/containers/json?{query}")
        return [] if body is None else _decoded(body, list[Listed])

    async def logs(self, container: str, since: int, *, follow: bool, patience: float) -> HttpStream | None:
        """Both outputs with timestamps, from the unix second `since` on, and with `follow` on while it runs. To be closed by the
        caller. None where it said nothing for `patience` seconds: older engines do not even begin to answer before."""
        query = urlencode({"follow": int(follow), "stdout": 1, "stderr": 1, "timestamps": 1, "since": since})
        try:
            stream, status = await self._get(f"/containers/{container}/logs?{query}", patience if follow else TIMEOUT)
        except Refused as error:
            if follow and error.word == "silent":
                return None
            raise
        if status == 200:
            return stream
        try:
            raise _refused(status, await self._body(stream))
        finally:
            stream.close()

    async def _json(self, path: str) -> bytes | None:
        stream, status = await self._get(path)
        try:
            body = await self._body(stream)
        finally:
            stream.close()
        if status == 404:
            return None
        if status != 200:
            raise _refused(status, body)
        return body

    async def _body(self, stream: HttpStream) -> bytes:
        async with asyncio.timeout(TIMEOUT):
            return await stream.body(MOST)

    async def _get(self, path: str, patience: float = TIMEOUT) -> tuple[HttpStream, int]:
        socket = self._path()
        head = request_head("GET", _WHERE, path, {"Connection": "close"})
        try:
            async with asyncio.timeout(patience):
                _, stream = await asyncio.get_running_loop().create_unix_connection(HttpStream, socket)
                try:
                    return stream, await stream.get(head)
                except BaseException:
                    stream.close()
                    raise
        except TimeoutError:
            raise Refused("silent", f"{socket} does not answer within {patience:.0f} s") from None
        except FileNotFoundError:
            raise Refused("missing", f"there is no socket {socket}: {_MOUNT}") from None
        except PermissionError:
            raise Refused("forbidden", _forbidden(socket)) from None
        except ConnectionRefusedError:
            raise Refused("refused", f"nobody listens at {socket}: the engine is not running, or was restarted and its "
                          "socket has to be mounted by its directory") from None  # fmt: skip

    def _path(self) -> str:
        if self._socket is not None:
            return self._socket
        host = self._environ.get("DOCKER_HOST", "")
        if host.startswith("unix://"):
            return host.removeprefix("unix://")
        for path in SOCKETS:
            if os.path.exists(path):
                return path
        raise Refused("missing", f"there is neither {' nor '.join(SOCKETS)}: {_MOUNT}")


_MOUNT = "mount the engine's socket into the sidecar, and name it as `socket` where it is another"


T = TypeVar("T")


def _decoded(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise Refused("nonsense", f"the engine's answer is not what Docker's API says ({error})") from None


def _refused(status: int, body: bytes) -> Refused:
    try:
        text = msgspec.json.decode(body, type=_Error).message
    except msgspec.DecodeError:
        text = ""
    return Refused(f"status_{status}", f"the engine answered {status}{text and ': '}{text.strip()[:500]}")


def _forbidden(socket: str) -> str:
    text = f"the sidecar (uid {os.getuid()}) may not use {socket}"
    try:
        seen = os.stat(socket)
    except OSError:  # a directory on the way is closed
        return f"{text}: it has no access to its directory"
    try:
        group = f" ({grp.getgrgid(seen.st_gid).gr_name})"
    except KeyError:
        group = ""
    mode = stat.filemode(seen.st_mode)
    return (
        f"{text}, which is {mode} of uid {seen.st_uid} and group {seen.st_gid}{group}: "
        f"run it with that group, as by `--group-add {seen.st_gid}`"
    )
