"""One upstream: its queue, its flights, and what waits for it in the spool.

A parcel is in one place at a time, and each way out of it ends in `Ledger.settle` (done with) or `Ledger.forget` (the spool has
it)::

    offer ──> queue ──> flight ──> accepted            settled; its row, if it has one, is deleted
                │          ├─────> rejected, too large   settled; quarantined
                │          └─────> failed ──┐
                └─ impatient, upstream down ┴─> writing ──> the spool's; read again as backlog, oldest first

*Order.* `Parcel.number` is the order of arrival and the row's id. One flight of metrics is in the air at a time, and while any
row of metrics waits, fresh metrics go to the spool behind it. Traces and logs fly beside the backlog, which has one flight
and `BACKLOG` bytes a second.

A parcel without a place in the spool (`stowable` is false: no spool, its disk in trouble, our own telemetry) is refused, dropped
or kept in memory instead. Nobody waits for what an optional upstream is sent, so no patience ends: `KEPT` bytes of it may gather
in memory, and what is beyond them, or has failed, is written.

The files, each of which knows only those above it::

    standing     may anything be sent now, and if not, why and until when
    queue        what waits in memory
    ledger       what is open, and how a parcel ends
    sending      one request to the upstream, in parts where that helps
    stowing      into the spool
    flights      a joined batch in the air, cut in halves between requests where it is refused
    departures   when what waits leaves, and how much of it together
    backlog      out of the spool
    lane         all of it: what the relay asks for
"""
