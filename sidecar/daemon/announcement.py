"""What we found, and what we did not find and why: said once, within the first second."""

from __future__ import annotations

from ..io.listener import Listener
from ..io.proc import Proc
from ..logic.scalars import masked_url
from ..model.process import ProcessSample
from ..version import VERSION
from .identity import UNNAMED
from .listeners import bound
from .parts import Parts

NO_UPSTREAM = {"why": "no upstream", "remedy": "give --collector URL or OTEL_EXPORTER_OTLP_ENDPOINT"}


def announce(parts: Parts, api: Listener | None) -> None:
    """To the log."""
    config, log = parts.config, parts.log
    for warning in parts.warnings:
        log.warning("configuration", warning=warning)
    log.info(
        "outrider runs",
        version=VERSION,
        service=parts.resource.service,
        instance=parts.resource.instance,
        target=masked_url(config.target.url or "none"),
        checks=len(config.probes),
        api=bound(api) if api and api.up else "none",
    )
    if api is not None and not api.up:  # whoever asks there, asks another
        log.warning("api not open yet", why=api.why)
    if parts.resource.service == UNNAMED:
        log.warning("the service has no name", service=UNNAMED, remedy="set OTEL_SERVICE_NAME")
    if not config.probes:
        log.warning("no checks", remedy="give --target URL, or probes in a file")
    _announce_process(parts)
    _announce_logs(parts)
    _announce_otlp(parts)


def _announce_process(parts: Parts) -> None:
    log, process = parts.log, parts.neighbour.process
    if process.found:
        log.info("process found", pid=process.pid, name=process.name, processes=process.pids, why=process.why)
    else:
        log.info("process not found", why=process.why)
    for missing in process.missing:
        log.warning("cannot be measured", field=missing.field, reason=missing.reason, remedy=missing.remedy)


def _announce_logs(parts: Parts) -> None:
    log, logs = parts.log, parts.logs
    if logs is None or not logs.followed:
        log.info("no logs are read", remedy=_logs_remedy(parts.neighbour.process))
        return
    for followed in logs.followed:
        log.info("logs are read", source=followed.name, kind=followed.kind)
    if not parts.upstreams:
        log.warning("logs go nowhere", **NO_UPSTREAM)
    if logs.checkpoints is None and any(followed.kind != "child" for followed in logs.followed):
        log.warning("where reading of logs stands is not kept: a restart reads them again", remedy="give spool.path")


def _logs_remedy(process: ProcessSample) -> str:
    try:
        path = Proc().output_file(process.pid) if process.found else ""
    except OSError:
        path = ""
    return f"give --logs {path}" if path else "give --logs FILES, or start the service as: outrider run -- COMMAND"


def _announce_otlp(parts: Parts) -> None:
    log = parts.log
    if parts.upstreams and not parts.listeners:
        log.info("otlp closed", why="otlp.grpc and otlp.http are off")
    if not parts.upstreams:
        log.info("otlp closed", **NO_UPSTREAM)
    for name, listener in parts.listeners.items():
        protocol = name.removeprefix("otlp ")
        if listener.up:
            names = ", ".join(upstream.name for upstream in parts.upstreams)
            log.info("otlp open", protocol=protocol, address=bound(listener), upstreams=names)
        else:
            log.warning("otlp not open yet", protocol=protocol, why=listener.why)
