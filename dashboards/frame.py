"""What all our dashboards share: variables, links to each other, crosshair, time range, refresh."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import Dashboard as Classic
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    Panel,
    VariableRefresh,
    VariableSort,
)

from .panels import DATASOURCE

TAG = "outrider"
Rows = Mapping[str, Iterable[Builder[Panel]]]


def build(uid: str, title: str, description: str, rows: Rows) -> Classic:
    """The dashboard with its `rows` (title -> panels, from left to right), panels numbered from 1."""
    frame = (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([TAG])
        .readonly()
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .time("now-30m", "now")
        .refresh("10s")
        .timezone("browser")
        .link(
            dashboard.DashboardLink("Outrider")
            .type(DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .include_vars(True)
            .keep_time(True)
        )
        .with_variable(dashboard.DatasourceVariable("datasource").label("Data Source").type("prometheus"))
        .with_variable(_values("job", "Job", "label_values(outrider_info, job)"))
        .with_variable(_values("instance", "Instance", 'label_values(outrider_info{job=~"$job"}, instance)'))
    )
    for row, panels in rows.items():
        frame.with_row(dashboard.Row(row))
        for panel in panels:
            frame.with_panel(panel)
    built = frame.build()
    for number, part in enumerate(built.panels or [], 1):
        part.id_val = number
    return built


def _values(name: str, label: str, query: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .query({"query": query, "refId": f"{name}s"})
        .definition(query)
        .datasource(DATASOURCE)
        .multi(True)
        .include_all(True)
        .all_value(".+")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
    )
