"""Where lines come from, one kind per file."""
