"""The relay's budgets: most are relative to the Collector with its queue in memory, in the same cell and turn."""

from __future__ import annotations

import msgspec

from .cells import Cell

RSS = 60.0
"""MB, under any load."""
STEADY = 5.0
"""Per cent of a core at 10,000 spans a second."""
OUTAGE = 15.0
"""The same while the upstream is gone and all goes to disk."""
P99 = 0.5
"""Of the Collector's, where load is as fast as it is answered and the upstream answers at once."""


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """What one cell must keep. None: there is no budget."""

    cpu: float | None = None
    """CPU for a million spans, of the Collector's."""
    p99: float | None = None
    core: float | None = None
    outage: float | None = None
    rss: float = RSS


def budget(cell: Cell) -> Budget:
    if cell.outage:
        return Budget(outage=OUTAGE)
    if cell.rate:
        return Budget(core=STEADY)
    if cell.delay:
        return Budget()
    cpu = 0.25 if cell.gzip else 0.35 if cell.spans == 5 else 0.30
    return Budget(cpu=cpu, p99=P99)
