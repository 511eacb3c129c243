"""Measurements. Machines are noisy: every figure stands beside that of a peer in the same run."""
