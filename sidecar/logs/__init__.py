"""Logs of the neighbour: sources, formats, and the way from a line to OTLP."""
