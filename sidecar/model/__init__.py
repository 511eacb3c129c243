"""Floor 0: frozen values. Nothing here decides, reads or waits."""
