"""A sidecar process before the real Collector with a pipeline for traces alone, as Jaeger and Tempo have."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.e2e.processes import eventually, get
from tests.e2e.spooling import point
from tests.e2e.test_grpc_upstream import collector, expected, names, post, request, sidecar
from tests.fakes import RecordingUpstream


@pytest.mark.parametrize("spooled", [False, True])
@pytest.mark.parametrize(("protocol", "said"), [("grpc", "gRPC UNIMPLEMENTED: "), ("http", "HTTP 404")])
async def test_traces_flow_while_metrics_our_own_too_are_held(
    tmp_path: Path, protocol: str, said: str, spooled: bool
) -> None:
    spool = f"spool: {{path: {tmp_path}/spool}}\n" if spooled else ""
    async with RecordingUpstream() as upstream, collector(tmp_path, upstream, protocol) as port:
        sink = f"{{otlp_{protocol}: {{endpoint: 'http://127.0.0.1:{port}'}}}}"
        with sidecar(tmp_path / "sidecar", sink, spool, metrics="1s") as made:
            await asyncio.to_thread(eventually, lambda: made.relay()[0]["held_signals"])
            for start in range(0, 300, 100):
                assert await post(made.http, [request(n) for n in range(start, start + 100)]) == {200: 100}
                assert await post(made.http, [point(start)], signal="metrics") == {200 if spooled else 503: 1}
                await asyncio.sleep(0.7)
            await asyncio.to_thread(eventually, lambda: names(upstream.spans) == expected(300))
            await asyncio.to_thread(eventually, lambda: made.relay()[0]["lost"])
            (relay,) = made.relay()
            assert (relay["state"], relay["why"]) == ("ok", "")
            assert relay["held_signals"].keys() == {"metrics"}
            assert relay["held_signals"]["metrics"].startswith(said)
            assert relay["queue_rows"] == (3 if spooled else 0)
            assert relay["items"] == {"accepted": 3000, "refused": 0 if spooled else 3}
            assert relay["lost"].keys() == {"dropped"}, "our own"
            samples = get(f"http://127.0.0.1:{made.api}/metrics").text.splitlines()
            name = f'upstream="127.0.0.1:{port}"'
            assert f'outrider_relay_held{{signal="metrics",{name}}} 1.0' in samples
            assert f'outrider_relay_held{{signal="traces",{name}}} 0.0' in samples
            assert f'outrider_relay_sends_total{{outcome="hold",signal="metrics",{name}}} 1.0' in samples
        lines = [json.loads(line) for line in (tmp_path / "sidecar" / "sidecar.log").read_text().splitlines()]
        told = [line["to"] for line in lines if line["event"] == "cannot deliver"]
        assert told.count(f"upstream 127.0.0.1:{port}, metrics") == 1
