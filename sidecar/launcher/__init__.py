"""`outrider run -- COMMAND`: a small process that owns the command, and starts the sidecar beside it.

::

    stdin ───────────────────> command ── stdout, stderr ──> launcher ──> our stdout, stderr     first, unchanged
                                                                └──────> sidecar                 then, as far as there is room

Nothing that happens to the sidecar reaches the command. The launcher imports the standard library and two small modules of ours.
"""
