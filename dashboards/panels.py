"""The vocabulary of our panels, in one look.

A panel has a title, a sentence that says what it means, a unit and its queries (legend -> PromQL); the
datasource is always the one picked above. Where `links` is true, a click on a series opens the *Service*
dashboard of its instance; such series keep the labels `job` and `instance`."""

from __future__ import annotations

from collections.abc import Mapping
from string import ascii_uppercase

from grafana_foundation_sdk.builders import common, prometheus, stat, statetimeline, timeseries
from grafana_foundation_sdk.builders.dashboard import DashboardLink
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    BigValueTextMode,
    DataSourceRef,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import Panel, ValueMap, ValueMapping, ValueMappingResult

Queries = Mapping[str, str]
DATASOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
# How /metrics counts health. The word stands beside the colour everywhere.
HEALTH = ("pass", "green"), ("warn", "yellow"), ("fail", "red"), ("unknown", "purple")
YES_NO = ("down", "red"), ("up", "green")
UPSTREAM = ("ok", "green"), ("retrying", "yellow"), ("held", "red"), ("full", "dark-red")
ROW_WIDTH = 24
SERVICE_URL = (
    "/d/outrider-service?var-job=${__field.labels.job}&var-instance=${__field.labels.instance}"
    "&${datasource:queryparam}&${__url_time_range}"
)


def timeline(
    title: str,
    description: str,
    queries: Queries,
    *,
    words: tuple[tuple[str, str], ...] = HEALTH,
    links: bool = False,
) -> Builder[Panel]:
    """States over time, one lane per series; the number 0, 1, ... is shown as its word."""
    panel = (
        statetimeline.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .unit("none")
        .mappings(_words(words))
        .show_value(VisibilityMode.ALWAYS)
        .merge_values(True)
        .row_height(0.8)
        .fill_opacity(80)
        .legend(common.VizLegendOptions().show_legend(False))
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
        .height(8)
        .span(ROW_WIDTH)
    )
    if links:
        panel.data_links([_to_service()])
    for target in _targets(queries):
        panel.with_target(target)
    return panel


def lines(
    title: str,
    description: str,
    unit: str,
    queries: Queries,
    *,
    width: int = 8,
    top: float | None = None,
    links: bool = False,
) -> Builder[Panel]:
    """Values over time, from zero; `top` fixes the axis where a full scale exists (1 for a ratio)."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .unit(unit)
        .min(0)
        .fill_opacity(8)
        .show_points(VisibilityMode.NEVER)
        .legend(
            common.VizLegendOptions()
            .display_mode(LegendDisplayMode.TABLE)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs(["lastNotNull", "max"])
        )
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
        .height(8)
        .span(width)
    )
    if links:
        panel.data_links([_to_service()])
    if top is not None:
        panel.max(top)
    for target in _targets(queries):
        panel.with_target(target)
    return panel


def number(
    title: str,
    description: str,
    unit: str,
    queries: Queries,
    *,
    width: int = 4,
    words: tuple[tuple[str, str], ...] = (),
) -> Builder[Panel]:
    """The value now, large; with `words`, the state's name in its colour."""
    panel = (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .unit(unit)
        .mappings(_words(words))
        .color_mode(BigValueColorMode.VALUE if words else BigValueColorMode.NONE)
        .graph_mode(BigValueGraphMode.NONE)
        .text_mode(BigValueTextMode.AUTO)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .height(4)
        .span(width)
    )
    for target in _targets(queries, instant=True):
        panel.with_target(target)
    return panel


def _targets(queries: Queries, *, instant: bool = False) -> list[prometheus.Dataquery]:
    targets = [
        prometheus.Dataquery().expr(expression).legend_format(legend).ref_id(ref).datasource(DATASOURCE)
        for ref, (legend, expression) in zip(ascii_uppercase, queries.items(), strict=False)
    ]
    return [target.instant() if instant else target.range() for target in targets]


def _to_service() -> DashboardLink:
    return DashboardLink("Service: ${__field.labels.instance}").url(SERVICE_URL)


def _words(words: tuple[tuple[str, str], ...]) -> list[ValueMapping]:
    if not words:
        return []
    return [
        ValueMap(
            {
                str(value): ValueMappingResult(text=word, color=color, index=value)
                for value, (word, color) in enumerate(words)
            }
        )
    ]
