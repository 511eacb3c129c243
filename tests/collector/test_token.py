"""Heartbeats with a token: a file that rotates."""

from __future__ import annotations

import io
import json
from pathlib import Path

import msgspec

from sidecar.io import log as logging

from .sidecars import checks, full
from .test_api import collector, get, send_otlp
from .test_traces import request as otlp_request

BEAT = msgspec.json.encode(full("shop-1", 1, checks(ready="+")))


async def test_only_heartbeats_need_the_token_and_it_may_change(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    async with collector(token_file=str(file)) as (running, session):

        async def beat(authorization: str | None) -> int:
            headers = {} if authorization is None else {"Authorization": authorization}
            async with session.post("/v1/heartbeats", data=BEAT, headers=headers) as response:
                if response.status == 401:
                    assert response.content_type == "application/problem+json"
                    assert response.headers["WWW-Authenticate"] == "Bearer"
                return response.status

        tried = (
            None,
            "Bearer",
            "Bearer second",
            "Basic first",
            "first",
            "Bearer fïrst",
            "Bearer first",
            "bearer first",
        )
        assert [await beat(one) for one in tried] == [401] * 6 + [200] * 2
        assert (await get(session, "/v1/services"))[0] == 200
        assert (await send_otlp(running, otlp_request("api", {"trace": 1, "span": 1})))[0] == 200
        file.write_text("another one")
        assert [await beat("Bearer first"), await beat("Bearer another one")] == [401, 200]
        file.write_text("")
        assert await beat("Bearer ") == 503, "an empty file lets nobody in"
        file.unlink()
        assert await beat("Bearer another one") == 503


async def test_without_a_token_file_a_token_is_ignored() -> None:
    async with (
        collector() as (_, session),
        session.post("/v1/heartbeats", data=BEAT, headers={"Authorization": "Bearer x"}) as response,
    ):
        assert response.status == 200


async def test_a_file_that_is_gone_is_told_once_in_the_log_and_its_path_to_nobody_else(tmp_path: Path) -> None:
    file, out = tmp_path / "token", io.StringIO()
    file.write_text("x")
    async with collector(token_file=str(file), log=logging.configure("info", out)) as (_, session):
        file.unlink()
        for _ in range(2):
            async with session.post("/v1/heartbeats", data=BEAT) as response:
                assert response.status == 503
                assert str(tmp_path) not in await response.text()
    (said,) = [json.loads(line) for line in out.getvalue().splitlines() if "stood still" not in line]
    assert said["why"] == f"[Errno 2] No such file or directory: '{file}'"
