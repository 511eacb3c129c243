"""Floor 1: decisions without I/O. No await, no open, no clock: `now` and randomness are arguments."""
