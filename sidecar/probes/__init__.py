"""Floor 3: probes, one kind per file.

A kind is a frozen `Config`, a class with one method, and a line in `PROBES`. The caller owns schedule, deadline,
thresholds and exceptions; a probe looks once and says what it saw.
"""

from __future__ import annotations

from . import http, log, process, tcp
from .base import ProbeKind

PROBES = {
    http.KIND: ProbeKind(http.Config, http.HttpProbe, http.misses),
    tcp.KIND: ProbeKind(tcp.Config, tcp.TcpProbe, tcp.misses),
    log.KIND: ProbeKind(log.Config, log.LogProbe, log.misses),
    process.KIND: ProbeKind(process.Config, process.ProcessProbe, process.misses),
}
