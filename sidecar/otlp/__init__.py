"""Floor 3: the receivers of applications' telemetry."""
