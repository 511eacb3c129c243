"""A program that we start is told to send to us; what it would have sent to is our upstream."""

from __future__ import annotations

import pytest

from sidecar.logic.child_environment import changes

HTTP, GRPC = "http://127.0.0.1:4318", "http://127.0.0.1:4317"
E = "OTEL_EXPORTER_OTLP_"


@pytest.mark.parametrize(
    ("environ", "changed"),
    [
        ({}, {f"{E}ENDPOINT": HTTP, f"{E}PROTOCOL": "http/protobuf"}),
        ({f"{E}ENDPOINT": "http://gw:4318"}, {f"{E}ENDPOINT": HTTP, f"{E}PROTOCOL": "http/protobuf"}),
        ({f"{E}ENDPOINT": ""}, {f"{E}ENDPOINT": HTTP, f"{E}PROTOCOL": "http/protobuf"}),
        ({f"{E}ENDPOINT": "gw:4317", f"{E}PROTOCOL": "grpc", f"{E}INSECURE": "false"},
         {f"{E}ENDPOINT": GRPC, f"{E}INSECURE": None}),
        ({f"{E}ENDPOINT": "https://gw", f"{E}HEADERS": "a=b", f"{E}CERTIFICATE": "/ca", f"{E}COMPRESSION": "gzip"},
         {f"{E}ENDPOINT": HTTP, f"{E}PROTOCOL": "http/protobuf", f"{E}HEADERS": None, f"{E}CERTIFICATE": None}),
        ({f"{E}TRACES_ENDPOINT": "http://gw:4318/t", f"{E}PROTOCOL": "http/json", f"{E}TRACES_HEADERS": "a=b"},
         {f"{E}TRACES_ENDPOINT": f"{HTTP}/v1/traces", f"{E}TRACES_HEADERS": None}),
        ({f"{E}LOGS_ENDPOINT": "http://gw:4317", f"{E}LOGS_PROTOCOL": "grpc", f"{E}ENDPOINT": "http://gw:4318",
          f"{E}PROTOCOL": "http/protobuf"},
         {f"{E}ENDPOINT": HTTP, f"{E}LOGS_ENDPOINT": GRPC}),
    ],
)  # fmt: skip
def test_endpoints_become_ours(environ: dict[str, str], changed: dict[str, str | None]) -> None:
    assert changes(environ, HTTP, GRPC, "") == (changed, "")


def test_with_grpc_alone_a_program_that_has_no_protocol_is_told_grpc() -> None:
    assert changes({}, None, GRPC, "") == ({f"{E}ENDPOINT": GRPC, f"{E}PROTOCOL": "grpc"}, "")


def test_what_we_do_not_take_is_left_as_it_is() -> None:
    environ = {f"{E}ENDPOINT": "http://gw:4317", f"{E}PROTOCOL": "grpc"}
    assert changes(environ, HTTP, None, "shop") == ({}, "nothing takes OTLP by grpc here")


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({}, "shop"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "a=b"}, "shop"),
        ({"OTEL_SERVICE_NAME": "api"}, None),
        ({"OTEL_RESOURCE_ATTRIBUTES": "a=b,service.name=api"}, None),
    ],
)
def test_the_configured_name_is_told_where_none_is_set(environ: dict[str, str], told: str | None) -> None:
    assert changes(environ, HTTP, GRPC, "shop")[0].get("OTEL_SERVICE_NAME") == told
    assert "OTEL_SERVICE_NAME" not in changes(environ, HTTP, GRPC, "")[0]
