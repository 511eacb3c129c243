"""The demo: two ordinary services, traffic, and a run of the whole stack around them on one machine."""
