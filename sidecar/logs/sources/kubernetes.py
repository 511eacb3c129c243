"""The output of a container of this Pod, or of another one, by the Kubernetes API: `GET …/pods/POD/log`.

Nothing is mounted and no privilege is needed but a Role with `pods/log: get`. Stdout and stderr come as one stream, which the API
does not tell apart. It outlives restarts of the container, of the API server and of ours: the API is asked from the last settled
line on, and what was read before is left out. Each time it is first asked for what the container said before its last restart,
for the last words of a container that died are the ones that count.

The kubelet reads its own files for us, so a source that has to wait makes no container wait. It shows the newest of its files
only (10 MiB by default): what was rotated away while nobody read is gone, and nothing tells how much that was.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from ...io.kubernetes_api import ACCOUNT, KubernetesApi, Refused
from ...logic.carry import Carry
from ...logic.stamped_lines import since
from ...model.logs import ORDINAL_BITS, StartAt
from ..api_stream import STAMP, ApiStream, pour, read_mark, show_mark, uid_of
from ..base import SourceContext
from ..settings import Kubernetes

PERIOD = 1.0
"""Seconds until it is asked again after an answer has ended."""
LONGEST = 10.0
"""The same, when that brought nothing again and again."""

SILENCE = 300.0
"""Seconds without a line, after which it is asked again."""

_WORDS = {400: "waiting", 401: "unauthorized", 403: "forbidden", 404: "not_found"}
_ROLE = '{apiGroups: [""], resources: [pods/log], verbs: [get]}'


class KubernetesSource:
    def __init__(
        self,
        config: Kubernetes,
        context: SourceContext,
        environ: Mapping[str, str] = os.environ,
        account: Path = ACCOUNT,
    ) -> None:
        self._config = config
        self._context = context
        self._environ = environ
        self._api = KubernetesApi(context.resolver, environ, account)
        self._stream: ApiStream | None = None
        self._names = "", ""
        """Namespace and Pod."""
        self._share = 1.0
        """Of every wait, so that thousands of sidecars do not ask together."""
        self._start = self._recall()
        self._why = ""

    async def run(self) -> None:
        fruitless = 0
        while True:
            before = self._stream.lines.read_to if self._stream else 0
            try:
                await self._read()
            except (OSError, ValueError) as error:  # ValueError: a token that would be more than one header
                self._trouble(error)
            fruitless = 0 if self._stream and self._stream.lines.read_to > before else fruitless + 1
            await self._context.clock.sleep(min(LONGEST, PERIOD * 2.0 ** min(fruitless, 5)) * self._share)

    def checkpoint(self) -> Mapping[str, object]:
        """Also tells the counters how far behind the source is."""
        oldest = self._stream.oldest if self._stream else None
        lag = 0.0 if oldest is None else self._context.clock.now() - oldest / 1e9
        self._context.counters.lag_seconds = max(0.0, lag)
        return {"mark": show_mark(self._stream.settled if self._stream else self._start)}

    def _recall(self) -> int:
        remembered = self._context.remembered
        if remembered:
            try:
                return read_mark(remembered.get("mark"))
            except ValueError as error:
                self._context.log.warning(
                    "what was remembered is not usable", source=self._context.name, why=str(error)
                )
        elif self._config.start_at is StartAt.END:
            return int(self._context.clock.now() * 1e9) << ORDINAL_BITS
        return 0

    async def _read(self) -> None:
        """What is new of the container that was, then of the one that is, until it ends or the connection does."""
        stream = self._stream or self._begin()
        stream.lines.begin()  # once: the container's lines count as written after those of the one before
        try:
            await self._reading(stream, previous=True)
        except Refused as error:
            if error.status not in (400, 404):  # it has not been restarted
                raise
        await self._reading(stream, follow=SILENCE)

    def _begin(self) -> ApiStream:
        """Raises `OSError` where it is not known which Pod is meant."""
        config, environ = self._config, self._environ
        pod = config.pod or environ.get("POD_NAME") or environ.get("HOSTNAME")
        if not pod:
            raise OSError("neither POD_NAME nor HOSTNAME names the Pod: set `pod`")
        self._names = config.namespace or self._api.namespace(), pod
        attributes = dict(zip(("k8s.namespace.name", "k8s.pod.name"), self._names, strict=True))
        if config.container:
            attributes["k8s.container.name"] = config.container
        uid = uid_of(*self._names, config.container or "")
        self._share = 0.5 + int(uid[:2], 16) / 510
        stream = self._context.intake.stream(uid, attributes, self._start)
        self._stream = ApiStream(stream, "", config.max_line, self._context.counters, self._start)
        return self._stream

    async def _reading(self, stream: ApiStream, *, previous: bool = False, follow: float | None = None) -> None:
        begin = since(stream.lines.read_to >> ORDINAL_BITS)
        container = self._config.container
        answer = await self._api.logs(*self._names, container, begin, follow=follow, previous=previous)
        if answer is None:
            return
        carry = Carry(self._config.max_line + STAMP, self._context.counters)
        self._context.counters.streams = 1
        self._context.counters.why = ""
        try:
            await pour(answer, lambda data: stream.feed(carry.lines(data)), stream.flush, SILENCE)
        finally:
            self._context.counters.streams = 0
            answer.close()
        if stream.lines.foreign:  # the kubelet tells its troubles among the lines
            self._trouble(OSError(stream.lines.foreign.decode(errors="replace")))
            stream.lines.foreign = b""
        elif self._why:
            self._why = ""
            self._context.log.info("the container's log is read", source=self._context.name)

    def _trouble(self, error: OSError | ValueError) -> None:
        status = error.status if isinstance(error, Refused) else 0
        errors = self._context.counters.errors
        word = _WORDS.get(status, f"status_{status}" if status else "broken")
        errors[word] = errors.get(word, 0) + 1
        why = f"{error}: the service account needs a Role with {_ROLE}" if status == 403 else str(error)
        self._context.counters.why = why
        if why != self._why:
            self._why = why
            log = self._context.log
            say = log.info if status in (400, 404) else log.warning  # as long as the container has not begun
            say("the container's log cannot be read", source=self._context.name, why=why)
