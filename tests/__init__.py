"""No test fails because the machine is busy, so nor does an example of hypothesis: in the tests, the fuzz and the models."""

from hypothesis import HealthCheck, settings

settings.register_profile("busy", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")
