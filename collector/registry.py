"""The fleet in memory: who is there, how each is, and what changed.

Every method takes `now` and none waits. State changes become events, to be taken by `take_events`, and raise
`revision`; new outputs and observed values do neither, so that whoever waits for a revision is not woken by a latency.
Services are judged in `settle`, once for any number of changes, because a service of thousands of instances changes
thousands of times while it rolls out.

An instance is known from its first *full* heartbeat on: half a state would have to be shown as half known, and the full
one is only one request away. Bounded: instances (those that are silent longest make room for others; 429 beyond), and
whatever `admission` says.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from sidecar.model.health import Check, State, Verdict
from sidecar.model.heartbeat import Heartbeat, HeartbeatReply

from .admission import MAX_CHECKS, Refused, cut, refusal, too_many_checks
from .departures import Departed, Departures
from .events import Event, EventKind, Moment, Restored, Standing
from .instance import Instance, newcomer, restored
from .notices import Notice, Notices
from .rival import TWO_SIDECARS
from .verdict import gates_of, service_verdict, unknown_verdict, why

MAX_INSTANCES = 20_000
FORGET_AFTER = 3600.0
"""Seconds of silence after which an instance is no longer counted."""

ROOM = 0.05
"""The share of all places that is kept free of silent instances."""

Key = tuple[str, str]
"""Service and instance: `service.instance.id` is unique only within its service (OTel semantic conventions)."""


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """`standing` is the status on record; `verdict` is shown, and differs only after the collector's restart.

    `members` are there in what `services` and `service` answer, the worst first, then by name.
    """

    name: str
    verdict: Verdict
    standing: Standing
    members: tuple[Instance, ...] = ()


class Fleet:
    """`revision` starts at what the caller says: greater than any before, or an ETag would lie after a restart."""

    def __init__(
        self,
        now: Moment,
        *,
        revision: int = 0,
        known: Iterable[Restored] = (),
        max_instances: int = MAX_INSTANCES,
    ) -> None:
        self.revision = revision
        self.ignored = 0
        """Heartbeats that changed nothing: late, repeated, or of a second sidecar."""
        self.instances: dict[Key, Instance] = {}
        self._services: dict[str, Service] = {}
        self._members: dict[str, set[Key]] = {}
        self._dirty: set[str] = set()
        self._service_of: dict[tuple[str, int], str] = {}  # a delta names only instance and epoch
        self._departures = Departures(max_instances)
        self._events: list[Event] = []
        self._notices = Notices()
        self._started = now.unix
        self._max_instances = max_instances
        self._restore(known, now)

    # What sidecars say

    def hear(self, beat: Heartbeat, now: Moment) -> HeartbeatReply | Refused:
        """Takes one heartbeat, in whatever order and however often it arrives."""
        if problem := refusal(beat, now.unix):
            return problem
        service = beat.resource.get("service.name") or self._service_of.get((beat.instance, beat.epoch))
        if service is None:
            return Refused(400, "the resource has no service.name") if beat.full else self._reply(resync=True)
        key = (service, beat.instance)
        old = self.instances.get(key)
        if old is None and (gone := self._departures.after(key, beat, now)):
            self._ignore(key, beat, gone, now)
            return self._reply()
        if old is not None and not old.is_news(beat, now):
            return self._overhear(key, beat, old, now)
        if beat.leaving:
            self._leave(key, beat, now)
            return self._reply()
        if not beat.full and (old is None or old.epoch < 0):
            return self._reply(resync=True)
        if old is None and len(self.instances) >= self._max_instances:
            full = f"the collector holds {self._max_instances} instances and takes no more"
            self._notices.tell(Notice("the fleet is full", "", "", full), now.monotonic)
            return Refused(429, full)
        new = (old or newcomer(beat.instance, service, now)).hear(cut(beat), now)
        if len(new.checks) > MAX_CHECKS:
            return too_many_checks(len(new.checks))
        self._departures.forget(key)
        self._service_of[beat.instance, beat.epoch] = service
        if old is not None and 0 <= old.epoch != new.epoch:
            self._service_of.pop((old.name, old.epoch), None)
            self._note(EventKind.RESTARTED, new, now, output="its sidecar started anew")
        self._put(old, new, now)
        return self._reply(resync=not new.synced)

    # What silence says

    def deaf(self, seconds: float) -> None:
        """For so long nobody could be heard, by our own fault: every lease is longer by that."""
        for key, old in self.instances.items():
            heard = Moment(old.heard.unix, old.heard.monotonic + seconds)
            self.instances[key] = msgspec.structs.replace(old, heard=heard)

    def tick(self, now: Moment) -> None:
        """Ends leases, forgets who was silent for too long, and settles. To be called about once a second."""
        for old in list(self.instances.values()):
            if now.monotonic - old.heard.monotonic > max(FORGET_AFTER, old.lease_s):
                self._remove(old, EventKind.FORGOTTEN, f"silent for more than {FORGET_AFTER:g} s", now)
            elif (new := old.expire(now)) is not old:
                self._put(old, new, now)
        self._make_room(now)
        self._notices.forget(now.monotonic)
        self.settle(now)

    # What is true

    def settle(self, now: Moment) -> None:
        """Judges the services whose instances changed since the last call."""
        for name in sorted(self._dirty):
            self._judge(name, now)
        self._dirty.clear()

    def services(self, now: Moment) -> list[Service]:
        self.settle(now)
        return [self._with_members(service) for service in self._services.values()]

    def service(self, name: str, now: Moment) -> Service | None:
        self.settle(now)
        found = self._services.get(name)
        return found and self._with_members(found)

    def take_events(self) -> list[Event]:
        """What happened since the last call, in order; the caller keeps it."""
        taken, self._events = self._events, []
        return taken

    def take_notices(self) -> list[Notice]:
        """What is to be logged about single instances since the last call."""
        return self._notices.take()

    # Inside

    def _overhear(self, key: Key, beat: Heartbeat, old: Instance, now: Moment) -> HeartbeatReply | Refused:
        """Answers a heartbeat that does not count, and says so where it comes from a second sidecar."""
        new = old.overhear(beat, now)
        if new is not old:
            self._put(old, new, now)
        if new.is_shared and not old.is_shared:
            self._note(EventKind.SHARED, new, now, output=TWO_SIDECARS)
        if not new.is_second(beat):
            self._ignore(key, beat, old, now)
            return self._reply(resync=not old.synced)
        self.ignored += 1
        self._notices.tell(Notice(TWO_SIDECARS.partition(":")[0], *key, TWO_SIDECARS), now.monotonic)
        return Refused(409, TWO_SIDECARS)

    def _ignore(self, key: Key, beat: Heartbeat, last: Instance | Departed, now: Moment) -> None:
        self.ignored += 1
        late = f"late or repeated: epoch {beat.epoch} seq {beat.seq} after epoch {last.epoch} seq {last.seq}"
        self._notices.tell(Notice("heartbeat ignored", *key, late), now.monotonic)

    def _reply(self, *, resync: bool = False) -> HeartbeatReply:
        return HeartbeatReply(revision=self.revision, resync=resync)

    def _put(self, old: Instance | None, new: Instance, now: Moment) -> None:
        key = (new.service, new.name)
        self.instances[key] = new
        self._members.setdefault(new.service, set()).add(key)
        if old is None or new.verdict != old.verdict:
            self._dirty.add(new.service)
        if old is None or new.face != old.face:
            self.revision += 1
        if not new.stale:
            self._note_checks(old.checks if old else (), new, now)
        before = old.standing.status if old else None
        if before is not new.standing.status:
            self._note(
                EventKind.STATUS if old else EventKind.JOINED,
                new,
                now,
                before=before,
                after=new.standing,
                output=why(new.verdict),
            )

    def _note_checks(self, old: tuple[Check, ...], new: Instance, now: Moment) -> None:
        """A check that is seen first and passes is no event: the start of a fleet would be nothing else."""
        before = {check.name: check.state for check in old}
        for check in new.checks:
            was = before.pop(check.name, None)
            if check.state is was or (was is None and check.state is State.PASS):
                continue
            after = Standing(check.state, check.since)
            self._note(EventKind.STATUS, new, now, check=check.name, before=was, after=after, output=check.output)
        for name, was in before.items():
            self._note(EventKind.LEFT, new, now, check=name, before=was, output="the check was removed")

    def _leave(self, key: Key, beat: Heartbeat, now: Moment) -> None:
        self._departures.add(key, beat, now)
        if key in self.instances:
            self._remove(self.instances[key], EventKind.LEFT, "its sidecar stopped in order", now)

    def _make_room(self, now: Moment) -> None:
        excess = len(self.instances) - int(self._max_instances * (1 - ROOM))
        if excess <= 0:
            return
        silent = (instance for instance in self.instances.values() if instance.stale and not instance.pending)
        for instance in sorted(silent, key=lambda instance: instance.heard.monotonic)[:excess]:
            self._remove(instance, EventKind.FORGOTTEN, "silent, and its place is needed", now)

    def _remove(self, old: Instance, kind: EventKind, output: str, now: Moment) -> None:
        key = (old.service, old.name)
        del self.instances[key]
        self._members[old.service].discard(key)
        self._dirty.add(old.service)
        self._service_of.pop((old.name, old.epoch), None)
        self.revision += 1
        self._note(kind, old, now, before=old.standing.status, output=output)

    def _judge(self, name: str, now: Moment) -> None:
        members = [self.instances[key] for key in self._members[name]]
        old = self._services.get(name)
        if not members:
            del self._members[name]
            if self._services.pop(name, None):
                self.revision += 1
                gone = Event(at=now.unix, kind=EventKind.LEFT, service=name, output="its last instance is gone")
                self._events.append(gone)
            return
        # Of a service that is new to us the last of its instances to change says since when it is so.
        record = old.standing if old else Standing(State.UNKNOWN, max(m.verdict.since for m in members))
        changed_at = now.unix if old else record.since
        verdict = service_verdict({m.name: m.verdict for m in members}, record.status, record.since, changed_at)
        standing = Standing(verdict.status, verdict.since)
        if standing.status is not record.status and any(m.pending for m in members):
            verdict = msgspec.structs.replace(verdict, since=self._started)
            standing = record
        self._services[name] = Service(name=name, verdict=verdict, standing=standing)
        if old is None or gates_of(old.verdict) != gates_of(verdict):
            self.revision += 1
        if old is None or standing.status is not record.status:
            self._events.append(
                Event(
                    at=now.unix,
                    kind=EventKind.STATUS if old else EventKind.JOINED,
                    service=name,
                    before=record.status if old else None,
                    after=standing.status,
                    since=standing.since,
                    output=why(verdict),
                )
            )

    def _with_members(self, service: Service) -> Service:
        members = sorted((self.instances[key] for key in self._members[service.name]), key=lambda member: member.place)
        return msgspec.structs.replace(service, members=tuple(members))

    def _note(
        self,
        kind: EventKind,
        about: Instance,
        now: Moment,
        *,
        check: str = "",
        before: State | None = None,
        after: Standing | None = None,
        output: str = "",
    ) -> None:
        self._events.append(
            Event(
                at=now.unix,
                kind=kind,
                service=about.service,
                instance=about.name,
                check=check,
                before=before,
                after=after.status if after else None,
                since=after.since if after else None,
                output=output,
            )
        )

    def _restore(self, known: Iterable[Restored], now: Moment) -> None:
        records = {(record.service, record.instance, record.check): record.standing for record in known}
        checks: dict[Key, list[Check]] = {}
        for (service, name, check), standing in records.items():
            if check:
                seen = Check(name=check, kind="", state=standing.status, since=standing.since)
                checks.setdefault((service, name), []).append(seen)
        for (service, name, check), standing in records.items():
            if name and not check:
                key = (service, name)
                self.instances[key] = restored(name, service, standing, tuple(checks.get(key, ())), now)
                self._members.setdefault(service, set()).add(key)
                self._dirty.add(service)
        for service in self._dirty:
            standing = records.get((service, "", ""), Standing(State.UNKNOWN, now.unix))
            unheard = unknown_verdict("not heard since the collector started", now.unix)
            self._services[service] = Service(name=service, verdict=unheard, standing=standing)
