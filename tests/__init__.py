"""No test fails because the machine is busy, so nor does an example of hypothesis: in the tests, the fuzz and the models.

In CI they are the same examples each time: what a landing must pass is no matter of luck. Elsewhere new ones are tried."""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "busy",
    settings.default,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=os.environ.get("CI") == "true",
)
settings.load_profile("busy")
