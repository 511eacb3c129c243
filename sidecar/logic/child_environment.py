"""What to change in the environment of a command that we start, so that its OpenTelemetry SDK sends to us.

https://opentelemetry.io/docs/specs/otel/protocol/exporter/: the endpoint for all signals is a base URL, to which an SDK adds
`/v1/traces`; one signal's own endpoint is taken as it stands. Where the environment sets endpoints they are our upstreams
(`layers.otel_environment`), and what belongs to the way there (credentials, certificates) is ours alone.
"""

from __future__ import annotations

from collections.abc import Mapping

_EXPORTER = "OTEL_EXPORTER_OTLP_"
_SIGNALS = ("TRACES_", "METRICS_", "LOGS_")
_OF_THE_UPSTREAM = ("HEADERS", "CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY", "INSECURE")


def changes(
    environ: Mapping[str, str], http: str | None, grpc: str | None, service: str
) -> tuple[dict[str, str | None], str]:
    """The variables to set, or to take away (None), and why there are none.

    `http` and `grpc` are our endpoints, None where we take nothing; `service` is the configured name, if any. All or nothing: a
    program is not told to send here what nobody takes.
    """
    given = [signal for signal in ("", *_SIGNALS) if environ.get(f"{_EXPORTER}{signal}ENDPOINT")]
    default = "http/protobuf" if http else "grpc"
    spoken = environ.get(f"{_EXPORTER}PROTOCOL") or default
    changed: dict[str, str | None] = {}
    for signal in given or [""]:
        protocol = environ.get(f"{_EXPORTER}{signal}PROTOCOL") or spoken
        ours = grpc if protocol == "grpc" else http
        if ours is None:
            return {}, f"nothing takes OTLP by {protocol} here"
        path = f"/v1/{signal[:-1].lower()}" if signal and protocol != "grpc" else ""
        changed[f"{_EXPORTER}{signal}ENDPOINT"] = ours + path
        changed |= {name: None for key in _OF_THE_UPSTREAM if (name := f"{_EXPORTER}{signal}{key}") in environ}
    if not environ.get(f"{_EXPORTER}PROTOCOL"):
        changed[f"{_EXPORTER}PROTOCOL"] = spoken
    named = environ.get("OTEL_SERVICE_NAME") or "service.name=" in environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    if service and not named:
        changed["OTEL_SERVICE_NAME"] = service
    return changed, ""
