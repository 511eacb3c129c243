"""The sidecar, assembled (`parts`: it reads as the architecture's diagram) and run (`daemon`).

The files, each of which knows only those above it::

    identity      who the telemetry is about
    checks        the monitor, with a probe for each check
    upstreams     where telemetry goes
    listeners     where it comes in, and who may speak there
    neighbour     the process beside us
    watch         what changes while we run, each change said once
    parts         all of it, made out of the configuration
    announcement  what was found, once everything is open
    metrics       what we export
    status        what `/status` shows
    enduring      a task that the system may refuse something
    daemon        start, stop, drain
"""
