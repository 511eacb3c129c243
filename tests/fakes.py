"""Doubles: small real classes, used by many tests."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import json
import socket
import ssl
import struct
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import grpc
import structlog
from aiohttp import web
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from sidecar.io.clock import Clock, SystemClock
from sidecar.io.resolver import Resolver
from sidecar.logs.base import SourceContext
from sidecar.model.counters import LogCounters
from sidecar.model.health import Result, State
from tests.ports import free_port


class FakeClock:
    """A clock that a test turns by hand: `await clock.advance(10)` wakes every sleeper on the way, in order."""

    def __init__(self, start: float = 1_000_000.0) -> None:
        self.time = start
        self.ahead = 0.0
        """By how much the time of day is ahead of the monotonic one."""
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def now(self) -> float:
        return self.time + self.ahead

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.time + seconds, next(self._order), woken))
        await woken

    async def advance(self, seconds: float) -> None:
        end = self.time + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            self.time, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():
                woken.set_result(None)
            await settle()
        self.time = end
        await settle()


class JumpingClock(SystemClock):
    """The machine's, but for what a test has it skip: a process that stood still sees that."""

    def __init__(self) -> None:
        self.skipped = 0.0

    def now(self) -> float:
        return super().now() + self.skipped

    def monotonic(self) -> float:
        return super().monotonic() + self.skipped


async def settle() -> None:
    """Let everything that can run now run."""
    for _ in range(20):
        await asyncio.sleep(0)


async def until(condition: Callable[[], object]) -> None:
    """Wait, on the real clock, until `condition` is true; at most 20 s."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.002)


class ScriptedProbe:
    """Sees what the script says, one letter a look: `+` pass, `~` warn, `-` fail, `?` unknown, `!` raises, `h` hangs."""

    def __init__(self, script: Iterable[str]) -> None:
        self.script = iter(script)
        self.looks = 0

    async def check(self) -> Result:
        self.looks += 1
        letter = next(self.script)
        if letter == "!":
            raise ValueError("scripted")
        if letter == "h":
            await asyncio.Event().wait()
        raw = {"+": State.PASS, "~": State.WARN, "-": State.FAIL, "?": State.UNKNOWN}[letter]
        return Result(raw, f"saw {letter}")


class HttpServer:
    """An HTTP server that answers by path, on a free port unless one is given; other paths get 404.

    An answer is a status, a status with a body, or raw bytes to send. `requests` holds (method, path, headers with
    lower-case names). Each connection serves one request.
    """

    def __init__(
        self, answers: Mapping[str, int | tuple[int, bytes] | bytes], host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self.answers = dict(answers)
        self._host = host
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.delay = 0.0
        self.held = ""
        """A path that is not answered as long as it stands here."""
        self.port = port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self._host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *error: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.split("\r\n")[:-2]
            method, path, _ = first.split()
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            self.requests.append((method, path, headers))
            await asyncio.sleep(self.delay)
            while path == self.held:
                await asyncio.sleep(0.002)
            answer = self.answers.get(path, 404)
            if not isinstance(answer, bytes):
                status, body = answer if isinstance(answer, tuple) else (answer, b"")
                answer = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
            writer.write(answer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the other side has gone, as some tests want it
        finally:
            writer.close()


class DelayingProxy:
    """A TCP proxy on a free port of 127.0.0.1 that holds everything sent to the client back for `delay` seconds."""

    def __init__(self, port: int, delay: float = 0.0) -> None:
        self.behind = port
        self.delay = delay
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *error: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self.behind)
        except OSError:
            writer.close()
            return
        await asyncio.gather(self._copy(reader, there_writer, False), self._copy(there_reader, writer, True))

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, slowly: bool) -> None:
        try:
            while data := await reader.read(1 << 16):
                await asyncio.sleep(self.delay if slowly else 0)
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass  # one side has gone; closing tells the other
        finally:
            writer.close()


class Proxy:
    """An HTTP proxy on a free port of 127.0.0.1: CONNECT, and requests for whole URLs. All names lead to the port `behind`.

    `requests` holds the first line of each and its `Proxy-Authorization`. With `refuse` it answers that status instead.
    """

    def __init__(self, behind: int, refuse: int = 0) -> None:
        self.behind = behind
        self.refuse = refuse
        self.requests: list[tuple[str, str]] = []
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *error: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_writer = None
        try:
            first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            self.requests.append((first, headers.pop("proxy-authorization", "")))
            if self.refuse:
                writer.write(f"HTTP/1.1 {self.refuse} No\r\nContent-Length: 0\r\n\r\n".encode())
                await writer.drain()
                return
            method, url, version = first.split()
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self.behind)
            if method == "CONNECT":
                writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            else:
                path = "/" + url.split("/", 3)[3]
                head = [f"{method} {path} {version}", *(f"{name}: {value}" for name, value in headers.items())]
                there_writer.write("\r\n".join([*head, "", ""]).encode())
            await asyncio.gather(self._copy(reader, there_writer), self._copy(there_reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # one side has gone
        finally:
            writer.close()
            if there_writer is not None:
                there_writer.close()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()


class RecordingUpstream:
    """An OTLP/HTTP backend: keeps what it was sent, decoded, and answers as it is told.

    `script` holds answers to come, (status, headers, body) each; when it is empty the answer is 200. Only requests that were
    answered 200 are recorded. `hold` keeps answers back while it is cleared.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.spans: list[tuple[dict[str, str], Any]] = []
        """Each with its resource's attributes."""
        self.points: list[tuple[dict[str, str], Any]] = []
        self.records: list[tuple[dict[str, str], Any]] = []
        self.requests: list[tuple[str, dict[str, str], int]] = []
        """Path, headers and length of every request, also of those that were refused."""
        self.script: list[tuple[int, dict[str, str], bytes]] = []
        self.answer: Callable[[str, bytes], tuple[int, dict[str, str], bytes] | None] = lambda path, body: None
        """Instead of a script: decide by path and (decoded) body."""
        self.hold = asyncio.Event()
        self.hold.set()
        self.port = 0
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    async def __aenter__(self) -> RecordingUpstream:
        app = web.Application(client_max_size=1 << 30)
        app.router.add_post("/{path:.*}", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self._tls)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        self.hold.set()
        await self._runner.cleanup()

    async def left(self) -> None:
        """When every client has closed its connections and was answered, unless answers are held back."""
        assert self._runner is not None
        assert self._runner.server is not None
        async with asyncio.timeout(20):
            while self._runner.server.connections and self.hold.is_set():
                await asyncio.sleep(0.005)

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.requests.append((request.path_qs, headers, len(body)))
        await self.hold.wait()
        told = self.script.pop(0) if self.script else self.answer(request.path, body)
        status, more, reply = told or (200, {}, b"")
        if status == 200:
            self._record(request.path, body)
        return web.Response(status=status, headers={"Content-Type": "application/x-protobuf", **more}, body=reply)

    def _record(self, path: str, body: bytes) -> None:
        if path.endswith("/v1/traces"):
            self.spans += spans_of(body)
        elif path.endswith("/v1/logs"):
            for logs in ExportLogsServiceRequest.FromString(body).resource_logs:
                self.records += [(_strings(logs.resource), r) for scope in logs.scope_logs for r in scope.log_records]
        else:
            for metrics in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                for metric in (metric for scope in metrics.scope_metrics for metric in scope.metrics):
                    points = getattr(metric, metric.WhichOneof("data")).data_points
                    self.points += [(_strings(metrics.resource), point) for point in points]


GRPC_SERVICES = [
    f"opentelemetry.proto.collector.{kind}Service" for kind in ("trace.v1.Trace", "metrics.v1.Metrics", "logs.v1.Logs")
]


class GrpcUpstream:
    """An OTLP/gRPC backend on grpcio: keeps what it was sent, and answers as it is told.

    `answer` decides by method and message; it may call `context.abort`. `hold` keeps answers back while it is cleared.
    """

    def __init__(
        self,
        *options: tuple[str, int],
        credentials: grpc.ServerCredentials | None = None,
        port: int | None = None,
    ) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        """Method, metadata and message of every request, also of those that were refused."""
        self.peers: set[str] = set()
        """Whom they came from: one for each connection."""
        self.answer: Callable[[bytes, grpc.ServicerContext], bytes] = lambda body, context: b""
        self.hold = threading.Event()
        self.hold.set()
        self.port = port or free_port()
        self._options = [("grpc.so_reuseport", 0), *options]
        self._credentials = credentials

    @property
    def url(self) -> str:
        return f"{'https' if self._credentials else 'http'}://localhost:{self.port}"

    @property
    def spans(self) -> list[tuple[dict[str, str], Any]]:
        return [span for method, _, body in self.requests if "TraceService" in method for span in spans_of(body)]

    def start(self) -> None:
        self._server = grpc.server(ThreadPoolExecutor(32), options=self._options)
        for service in GRPC_SERVICES:
            export = grpc.unary_unary_rpc_method_handler(partial(self._take, f"/{service}/Export"))
            handler = grpc.method_handlers_generic_handler(service, {"Export": export})
            self._server.add_generic_rpc_handlers((handler,))
        address = f"127.0.0.1:{self.port}"
        if self._credentials:
            self.port = self._server.add_secure_port(address, self._credentials)
        else:
            self.port = self._server.add_insecure_port(address)
        self._server.start()

    def stop(self, grace: float | None = None) -> None:
        """Takes no more at once; what has been taken may end within `grace` seconds."""
        self._server.stop(grace).wait()

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.hold.set()
        await asyncio.to_thread(self.stop)

    def _take(self, method: str, body: bytes, context: grpc.ServicerContext) -> bytes:
        self.requests.append((method, {key: str(value) for key, value in context.invocation_metadata()}, body))
        self.peers.add(context.peer())
        self.hold.wait(30)
        return self.answer(body, context)


def spans_of(body: bytes) -> list[tuple[dict[str, str], Any]]:
    """The spans of an export request, each with its resource's attributes."""
    return [
        (_strings(spans.resource), span)
        for spans in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in spans.scope_spans
        for span in scope.spans
    ]


def _strings(resource: Any) -> dict[str, str]:
    return {attribute.key: attribute.value.string_value for attribute in resource.attributes}


@asynccontextmanager
async def resetting() -> AsyncIterator[int]:
    """The port of a server that resets each connection on which something is said."""

    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    server = await asyncio.start_server(reset, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


class RecordingStream:
    """Remembers what it is fed; everything is settled at once, unless `settle` says how much."""

    def __init__(self, intake: RecordingIntake, uid: bytes, attributes: Mapping[str, str], start: int) -> None:
        self.uid = uid
        self.attributes = dict(attributes)
        self.start = start
        self.lines: list[bytes] = []
        self.marks: list[int] = []
        self.times: list[int] = []
        self.iostreams: set[str] = set()
        self.flushed: list[int] = []
        """How many lines had been fed at each flush."""
        self._intake = intake
        self._settled: int | None = None

    async def feed(
        self, lines: Sequence[bytes], marks: Sequence[int], times: Sequence[int] | None = None, iostream: str = ""
    ) -> None:
        await self._intake.open.wait()
        assert len(lines) == len(marks)
        self.lines += lines
        self.marks += marks
        self.times += times or []
        self.iostreams.add(iostream)

    def settle(self, lines: int | None) -> None:
        """Let the first `lines` lines be settled, and no more from now on; None: all, always."""
        self._settled = lines

    def safe(self, read_to: int) -> int:
        settled = self._settled if self._settled is not None else len(self.lines) if self._intake.settles else 0
        if settled >= len(self.lines):
            return read_to
        return self.marks[settled - 1] if settled else self.start

    async def flush(self) -> None:
        self.flushed.append(len(self.lines))


class RecordingIntake:
    """An `Intake` that keeps what is fed, by stream. `open` keeps `feed` waiting while it is cleared; without `settles` nothing
    is settled but what a stream's `settle` names."""

    def __init__(self) -> None:
        self.streams: list[RecordingStream] = []
        self.open = asyncio.Event()
        self.open.set()
        self.settles = True

    def stream(self, uid: bytes, attributes: Mapping[str, str], start: int) -> RecordingStream:
        stream = RecordingStream(self, uid, attributes, start)
        self.streams.append(stream)
        return stream

    @property
    def lines(self) -> list[bytes]:
        """Of all streams, one after the other."""
        return [line for stream in self.streams for line in stream.lines]


def source_context(
    intake: RecordingIntake, clock: Clock | None = None, remembered: Mapping[str, object] | None = None
) -> SourceContext:
    """What a source is given; what it logs goes nowhere but to `capture_logs`."""
    through_json = json.loads(json.dumps(remembered or {}))
    log = structlog.get_logger()
    return SourceContext("test", intake, clock or SystemClock(), Resolver(), LogCounters(), through_json, log)


class FakeContainer:
    """`write` what it says at a time in unix nanoseconds; without a line feed it is a piece of a line."""

    def __init__(self, name: str, number: int = 1, *, tty: bool = False, image: str = "shop/web:1.2") -> None:
        self.name = name
        self.id = f"{number:064x}"
        self.tty = tty
        self.image = image
        self.labels: dict[str, str] = {}
        self.running = True
        self.started_at = "2024-01-02T03:00:00Z"
        self.messages: list[tuple[int, str, str]] = []

    def write(self, text: str, nanoseconds: int, output: str = "stdout") -> None:
        self.messages.append((nanoseconds, output, text))

    def stop(self) -> None:
        self.running = False

    def start(self, at: str) -> None:
        self.running = True
        self.started_at = at


class FakeDocker:
    """Docker's API on a Unix socket, as far as containers' logs go. `requests` holds the paths; while `status` is set, logs are
    answered with it. `break_off` resets what is being followed."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.containers: list[FakeContainer] = []
        self.requests: list[str] = []
        self.status = 0
        self.raw = b""
        """Sent before the logs."""
        self.breaks_after: int | None = None
        """Resets the connection after so many messages of a log."""
        self.late = False
        """Answers with the first line, not before."""
        self.deaf = False
        """Whoever follows a container does not hear any more what it writes."""
        self.following: set[asyncio.StreamWriter] = set()
        self._answering: set[asyncio.Task[object]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_unix_server(self._serve, self.socket)
        return self

    async def __aexit__(self, *error: object) -> None:
        self._server.close()
        self.break_off()
        await asyncio.gather(*self._answering, return_exceptions=True)
        await self._server.wait_closed()

    def break_off(self) -> None:
        for writer in list(self.following):
            writer.transport.abort()

    @property
    def log_requests(self) -> list[dict[str, str]]:
        return [dict(parse_qsl(urlsplit(path).query)) for path in self.requests if "/logs?" in path]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if task := asyncio.current_task():
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            path = head.split()[1]
            self.requests.append(path)
            parts, query = urlsplit(path).path.split("/"), dict(parse_qsl(urlsplit(path).query))
            if parts[2:] == ["json"]:
                wanted = json.loads(query["filters"])["label"][0]
                found = [c for c in self.containers if wanted in [f"{k}={v}" for k, v in c.labels.items()]]
                states = {True: "running", False: "exited"}
                listed = [{"Id": c.id, "Names": [f"/{c.name}"], "State": states[c.running]} for c in found]
                self._answer(writer, 200, listed)
                return
            container = next((c for c in self.containers if parts[2] in (c.name, c.id)), None)
            if container is None:
                self._answer(writer, 404, {"message": f"No such container: {parts[2]}"})
            elif parts[3] == "json":
                state = {"Running": container.running, "StartedAt": container.started_at, "ExitCode": 0}
                config = {"Image": container.image, "Tty": container.tty, "Labels": container.labels}
                self._answer(
                    writer, 200, {"Id": container.id, "Name": f"/{container.name}", "State": state, "Config": config}
                )
            elif self.status:
                self._answer(writer, self.status, {"message": "configured logging driver does not support reading"})
            else:
                await self._logs(reader, writer, container, query)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the other side has gone
        finally:
            writer.close()

    def _answer(self, writer: asyncio.StreamWriter, status: int, value: object) -> None:
        body = json.dumps(value).encode()
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    async def _logs(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        container: FakeContainer,
        query: dict[str, str],
    ) -> None:
        self.following.add(writer)
        try:
            while self.late and not container.messages and not reader.at_eof():
                await asyncio.sleep(0.002)
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            if self.raw:
                writer.write(b"%x\r\n%b\r\n" % (len(self.raw), self.raw))
            sent, count, started = 0, 0, container.started_at
            while not reader.at_eof():
                over = not container.running or container.started_at != started
                deaf = self.deaf and query["follow"] == "1"
                for nanoseconds, output, text in [] if deaf else container.messages[sent:]:
                    if nanoseconds >= int(query["since"]) * 10**9 and count != self.breaks_after:
                        count += 1
                        message = f"{stamp(nanoseconds)} {text}".encode()
                        kind = 1 if output == "stdout" else 2
                        data = message if container.tty else struct.pack(">BxxxI", kind, len(message)) + message
                        writer.write(b"%x\r\n%b\r\n" % (len(data), data))
                sent = sent if deaf else len(container.messages)
                await writer.drain()
                if count == self.breaks_after:
                    await asyncio.sleep(0.01)
                    writer.transport.abort()
                    return
                if over or query["follow"] == "0":
                    writer.write(b"0\r\n\r\n")
                    return
                await asyncio.sleep(0.002)
        finally:
            self.following.discard(writer)


def stamp(nanoseconds: int) -> str:
    """As Docker and Kubernetes write it."""
    seconds, fraction = divmod(nanoseconds, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{fraction:09d}Z"


class FakeKubelet:
    """A Pod's container, as its kubelet shows it: `lines` of the container that is, `previous` of the one before."""

    def __init__(self) -> None:
        self.lines: list[tuple[int, str]] = []
        self.previous: list[tuple[int, str]] | None = None
        self.running = True
        self.waiting = ""

    def write(self, text: str, nanoseconds: int) -> None:
        self.lines.append((nanoseconds, text))

    def restart(self) -> None:
        self.previous, self.lines, self.running = self.lines, [], True


class FakeKubernetes:
    """An API server for one Pod's logs, over TLS. It knows one token, and whether its bearer may read logs."""

    def __init__(self, tls: ssl.SSLContext, path: str) -> None:
        self._tls = tls
        self._path = path
        self.containers: dict[str, FakeKubelet] = {}
        self.token = "token-1"
        self.allowed = True
        self.raw = b""
        """Sent before the lines."""
        self.requests: list[dict[str, str]] = []
        self.statuses: list[int] = []
        self.port = 0
        self.following: set[asyncio.StreamWriter] = set()
        self._answering: set[asyncio.Task[object]] = set()
        self._generation = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *error: object) -> None:
        self._server.close()
        self.break_off()
        await asyncio.gather(*self._answering, return_exceptions=True)
        await self._server.wait_closed()

    def break_off(self) -> None:
        """As a load balancer does that loses its connections."""
        for writer in list(self.following):
            writer.transport.abort()

    def end(self) -> None:
        """As the API server does after some minutes: the answers that go on end in order."""
        self._generation += 1

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if task := asyncio.current_task():
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)
        try:
            first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            target = urlsplit(first.split()[1])
            query = dict(parse_qsl(target.query))
            self.requests.append(query)
            status, message = self._judge(headers.get("authorization", ""), target.path, query)
            self.statuses.append(status)
            if status != 200:
                body = json.dumps({"kind": "Status", "message": message, "code": status}).encode()
                writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
                await writer.drain()
                return
            await self._log(reader, writer, query)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the other side has gone
        finally:
            writer.close()

    def _judge(self, authorization: str, path: str, query: dict[str, str]) -> tuple[int, str]:
        if authorization != f"Bearer {self.token}":
            return 401, "Unauthorized"
        if not self.allowed:
            return 403, 'pods "web-0" is forbidden: User "u" cannot get resource "pods/log" in API group ""'
        if path != self._path:
            return 404, 'pods "web-0" not found'
        if "container" not in query and len(self.containers) > 1:
            return (
                400,
                f"a container name must be specified for pod web-0, choose one of: [{' '.join(self.containers)}]",
            )
        container = self._container(query)
        if "previous" in query and container.previous is None:
            return 400, 'previous terminated container "app" in pod "web-0" not found'
        if container.waiting and "previous" not in query:
            return 400, f'container "app" in pod "web-0" is waiting to start: {container.waiting}'
        return 200, ""

    def _container(self, query: dict[str, str]) -> FakeKubelet:
        return self.containers[query["container"]] if "container" in query else next(iter(self.containers.values()))

    async def _log(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, query: dict[str, str]) -> None:
        container, generation = self._container(query), self._generation
        lines = container.previous if "previous" in query else container.lines
        assert lines is not None
        since = datetime.fromisoformat(query.get("sinceTime", "1970-01-01T00:00:00Z")).timestamp() * 1e9
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
        self.following.add(writer)
        sent, data = 0, self.raw
        try:
            while not reader.at_eof():
                over = lines is not container.lines or not container.running or generation != self._generation
                new = [f"{stamp(time)} {text}\n" for time, text in lines[sent:] if time >= since]
                sent = len(lines)
                data += "".join(new).encode()
                if data:  # the head is not sent before there is a line
                    writer.write(head + b"%x\r\n%b\r\n" % (len(data), data))
                    head = data = b""
                if over or "follow" not in query:
                    writer.write(head + b"0\r\n\r\n")
                    await writer.drain()
                    return
                await writer.drain()
                await asyncio.sleep(0.002)
        finally:
            self.following.discard(writer)
