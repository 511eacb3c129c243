"""An upstream for each export, with a name for people."""

from __future__ import annotations

from pathlib import Path

from sidecar.config import load
from sidecar.daemon.upstreams import upstreams_of
from sidecar.io.resolver import Resolver


async def test_an_upstream_says_where_it_is_and_in_which_protocol_without_its_credentials(tmp_path: Path) -> None:
    file = tmp_path / "outrider.yaml"
    file.write_text(
        "export:\n"
        "  - otlp_http: {endpoint: 'http://me:pass@127.0.0.1:9/in?api_key=secret'}\n"
        "  - otlp_grpc: {endpoint: 'http://token@127.0.0.1:9'}\n"
    )
    loaded = load({}, {"HOSTNAME": "pod-1", "OUTRIDER_API_LISTEN": "127.0.0.1:0"}, str(file))
    made = upstreams_of(loaded.config, Resolver())
    assert [(up.name, up.endpoint, up.protocol) for up in made] == [
        ("127.0.0.1:9", "http://127.0.0.1:9/in?api_key=***", "http/protobuf"),
        ("127.0.0.1:9#2", "http://127.0.0.1:9", "grpc"),
    ]
    for upstream in made:
        await upstream.sink.close()
