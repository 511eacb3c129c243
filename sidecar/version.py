"""The version, in a file of its own: `outrider healthcheck` and the build read it without importing anything."""

VERSION = "0.1.0"
