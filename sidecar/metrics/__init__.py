"""Floor 3: what is measured, and how it is shown to Prometheus."""
