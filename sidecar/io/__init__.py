"""Floor 2: thin hands on the operating system. Roots, clocks and addresses are arguments."""
