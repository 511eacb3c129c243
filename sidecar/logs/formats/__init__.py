"""How programs write their lines, one kind per file."""
