"""Floor 3: where things are sent, one kind per file."""
