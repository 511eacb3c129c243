"""Grafana dashboards as code; `python -m dashboards` writes them to `dashboards/generated/`."""

import warnings

# The SDK announces, on import, that a newer builder exists. It writes schema v2, which Grafana's file
# provisioning refuses, so the classic one is right here; only this announcement is silenced.
with warnings.catch_warnings():
    warnings.filterwarnings("ignore", r"Prefer using dashboardv2\.Dashboard instead", DeprecationWarning)
    import grafana_foundation_sdk.builders.dashboard
    import grafana_foundation_sdk.builders.prometheus
    import grafana_foundation_sdk.builders.statetimeline
    import grafana_foundation_sdk.builders.timeseries  # noqa: F401
