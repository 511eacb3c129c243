"""When the lines of these tests were written."""

NOW = 1_704_168_000_000_000_000
"""2024-01-02T04:00:00Z, when they are read."""
AT = 1_704_164_645_000_000_000
"""2024-01-02T03:04:05Z, when most of them were written."""
MS, US = 1_000_000, 1_000
