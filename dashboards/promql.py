"""PromQL as the panels need it.

Every selector is held to the variables `$job` and `$instance`; every rate is over `$__rate_interval`, which
Grafana makes at least four scrapes long, so that no step of a graph is empty."""

from __future__ import annotations

PICKED = 'job=~"$job", instance=~"$instance"'


def select(metric: str, *matchers: str) -> str:
    """`metric` of the picked services; `matchers` are further ones, such as `gate="overall"`."""
    return f"{metric}{{{', '.join([PICKED, *matchers])}}}"


def latest(metric: str, by: str, *matchers: str) -> str:
    """A gauge by these labels, which name one series each; its other labels are dropped."""
    return f"max by ({by}) ({select(metric, *matchers)})"


def rate(metric: str, by: str, *matchers: str) -> str:
    """A counter's increase per second, summed `by` these labels."""
    return f"sum by ({by}) (rate({select(metric, *matchers)}[$__rate_interval]))"


def increase(metric: str, by: str) -> str:
    """A counter's increase over the time range that the dashboard shows, summed `by` these labels."""
    return f"sum by ({by}) (increase({select(metric)}[$__range]))"


def ratio(part: str, whole: str) -> str:
    """`part` of `whole`, both with the same labels.

    A part without series is none of it: a service without a single error shows 0, not "No data"."""
    return f"({part} or {whole} * 0) / {whole}"


def quantile(q: float, histogram: str, by: str, *matchers: str) -> str:
    """In the histogram's unit; exact only within a bucket's borders."""
    return f"histogram_quantile({q}, {rate(f'{histogram}_bucket', f'le, {by}', *matchers)})"


def or_zero(expression: str) -> str:
    """`expression`, which must keep the label `instance`, and 0 for each sidecar without such a series."""
    everyone = select("up", 'source="sidecar"')
    return f"{expression} or on (instance) sum by (job, instance) ({everyone}) * 0"
