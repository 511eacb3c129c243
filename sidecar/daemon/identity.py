"""Who the telemetry is about.

https://opentelemetry.io/docs/specs/semconv/resource/service/
"""

from __future__ import annotations

from collections.abc import Sequence
from os.path import basename
from urllib.parse import urlsplit

from ..config import Config
from ..logic.command_line import program, redacted
from ..logic.printable import printable
from ..model.process import ProcessSample
from ..model.resource import Resource

UNNAMED = "unknown_service"


def resource_of(config: Config, process: ProcessSample) -> Resource:
    """As configured, else by the process, else by the target's address."""
    service, url = config.service, urlsplit(config.target.url or "")
    local = url.hostname in ("localhost", "127.0.0.1", "::1")
    found = program(process.name, process.cmdline) if process.found else "" if local else url.hostname
    name = service.name or found or UNNAMED
    attributes = {
        **service.attributes,
        "service.name": name,
        "service.namespace": service.namespace,
        "service.version": service.version,
        "service.instance.id": service.instance,
        "deployment.environment.name": service.environment,
    }
    return Resource({printable(key): printable(value) for key, value in attributes.items() if value})


def named_by(command: Sequence[str]) -> ProcessSample:
    """A process that is not there yet, as far as its name goes."""
    return ProcessSample(found=True, why="", name=basename(command[0]), cmdline=redacted(command))
