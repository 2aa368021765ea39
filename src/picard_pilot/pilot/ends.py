"""Why and when this pilot leaves: the end of its slot, a signal, or a reason to take no further job.

What is known of the slot's end is read by `pilot.slot`; what becomes of the pilot's jobs is `pilot.supervisor`; the
whole table of ways to end is docs/reference/endings.md.
"""

import logging
import signal
from collections.abc import Iterable
from typing import NamedTuple

from picard_pilot.lifecycle.deadline import (
    Deadline,
    KnownEnd,
    Load,
    Rate,
    Reserve,
    deadline,
    gone_first,
    reserve_for,
)
from picard_pilot.lifecycle.holding import moment
from picard_pilot.lifecycle.pilot import Leaving
from picard_pilot.model.slot import Found, SignalGrace, SlotEnd, SlotView
from picard_pilot.model.stop import Stop, StopKind
from picard_pilot.pilot import signals
from picard_pilot.pilot.faults import slot_end_fault
from picard_pilot.pilot.rates import Rates
from picard_pilot.settings.settings import Settings
from picard_pilot.system.clock import Clock

log = logging.getLogger("picard.pilot")

LAST_WORD_S = 1.0
"""How long a leaving pilot waits for updates that are under way (`holding`); its exit follows within 2 s."""

PROMPT_SHARE = 0.9
"""Of a grace that leaves less than our own, the part that is used: HTCondor's SIGKILL came to the second."""

LEAST_JOB_S = 300.0
"""No job is asked for when less is left: most take longer to set up and to bring their inputs."""


EARLIER_S = 5.0
"""An end that comes earlier by so little was told in whole seconds."""


class Until(NamedTuple):
    """Moments of the monotonic clock: the last ones to begin a transfer at, and when the pilot has to be gone."""

    outputs: float
    log: float
    gone: float


class Ends:
    """What is known of this pilot's end. Moments are of its monotonic clock."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        """The pilot's lifetime begins now."""
        self._settings = settings
        self._clock = clock
        self._began_at, self._began_utc = clock.monotonic(), clock.now_utc()
        self._known: dict[str, tuple[KnownEnd, ...]] = {}
        self._doubts: set[str] = set()
        self._load = Load()
        self._rate: Rate = Rates().rate(settings.assumed_rate_bytes)
        self.draining: Leaving | None = None
        """Why no further job is taken; None while one is."""
        self.signal: signal.Signals | None = None
        """The first that came."""
        self.leave_by: float | None = None
        """When the pilot must be gone, once it was told so; what is then not done waits on disk."""
        self.stopped_with: int | None = None
        """The number of the fault, if a job had to be stopped for the end of the slot."""
        self._at_the_end: Deadline | None = None
        self._graces: dict[str, SignalGrace] = {}
        """By signal, how long the batch system lets us live after it."""
        self._granted: SignalGrace | None = None
        """The one of the signal that came, where it leaves more time than our own graces need."""
        lifetime = SlotEnd(
            at=self._began_utc + settings.lifetime_s,
            name="the pilot's lifetime",
            evidence=f"a lifetime of {settings.lifetime_s:g} s",
            hard=False,
        )
        self._known["lifetime"] = (KnownEnd(self._began_at + settings.lifetime_s, lifetime),)
        self.deadline = self._judge()
        """The end that counts now."""

    # What is known

    def know(self, source: str, found: Found) -> None:
        """What `source` says now, in place of what it said before. An end before the pilot's own begin is passed over:
        whoever says so does not speak of this slot, or its clock is wrong."""
        past = [end for end in found.ends if end.at <= self._began_utc]
        self._doubt(
            f"{end.name} says {moment(end.at)}, when this pilot had not begun; passed over" for end in past
        )
        self._doubt(found.doubts)
        offset_s = self._clock.monotonic() - self._clock.now_utc()
        before = self._known.get(source, ())
        # The wall clock counts when an end is heard of; who sets it later moves none.
        self._known[source] = tuple(
            next(
                (known for known in before if _is_same(end, offset_s, known)),
                KnownEnd(end.at + offset_s, end),
            )
            for end in found.ends
            if end not in past
        )
        for grace in found.graces:
            self._graces[grace.signal] = grace
        if found.drain is not None and self.draining is None:
            log.warning("%s: no further job is taken", found.drain)
            self.drain(Leaving.DRAINING)
        self.deadline = self._judge()

    def measured(self, load: Load, rate: Rate) -> None:
        """What has to leave before the end, and how fast it can."""
        self._load, self._rate = load, rate
        self.deadline = self._judge()

    def _judge(self) -> Deadline:
        settings = self._settings
        graces = {"stop_s": settings.stop_grace_s, "report_s": settings.report_grace_s}
        found = deadline(
            [known for ends in self._known.values() for known in ends],
            reserve_for(self._load, self._rate, **graces),
            began_at=self._began_at,
            margin_s=settings.slot_margin_s,
            warning_s=settings.payload_warning_s,
            least_job_s=LEAST_JOB_S,
        )
        assert found is not None  # the lifetime is always known
        return found

    def _doubt(self, sentences: Iterable[str]) -> None:
        """Say each once."""
        for sentence in sentences:
            if sentence not in self._doubts:
                self._doubts.add(sentence)
                log.warning("%s", sentence)

    def says(self) -> str:
        """The end that counts, for the log, and the others."""
        counts = self.deadline
        later = "; ".join(
            f"{known.end.name}: {moment(known.end.at)}"
            for ends in self._known.values()
            for known in ends
            if known is not counts.known
        )
        stops = (
            f"payloads are stopped {counts.known.at - counts.stops_at:.0f} s before, "
            if counts.end.hard
            else ""
        )
        kept = f"{stops}reserve {counts.reserve.says()}"
        others = f"; other ends: {later}" if later else ""
        when = f"{moment(counts.end.at)}, by {counts.end.name} ({counts.end.evidence})"
        return f"this slot ends at {when}; {kept}{others}"

    def view(self) -> SlotView:
        """The end that counts, in UTC, as far as anybody knows it now."""
        counts, offset_s = self.deadline, self._clock.now_utc() - self._clock.monotonic()
        if self.signal is not None and self.leave_by is not None:
            now_utc = self._clock.now_utc()
            at, by, evidence = self.leave_by + offset_s, self.signal.name, f"{self.signal.name} received"
            stops_at = warns_at = min(now_utc, at)
        else:
            at, by, evidence = counts.known.at + offset_s, counts.end.name, counts.end.evidence
            stops_at, warns_at = counts.stops_at + offset_s, counts.warns_at + offset_s
        return SlotView(
            ends_at=at,
            by=by,
            evidence=evidence,
            stops_at=stops_at,
            warns_at=warns_at,
            reserve_s=counts.reserve.total_s,
            reserve=counts.reserve.says(),
        )

    # What follows from it

    def drain(self, why: Leaving) -> None:
        """Take no further job. The first reason is the one that counts."""
        self.draining = self.draining or why

    def until(self) -> Until:
        """Until when transfers may be begun, now."""
        if self.leave_by is None:
            now = self.deadline
            gone = now.gone_by if now.end.hard else now.known.at
            return Until(now.outputs_until, now.log_until, gone)
        if self._at_the_end is not None and self._at_the_end.end.hard:
            return self._before(self.leave_by, self._at_the_end.reserve)
        if self._granted is not None:
            return self._before(self.leave_by, self.deadline.reserve)
        last = self.leave_by - LAST_WORD_S
        return Until(last, last, self.leave_by)

    @staticmethod
    def _before(leave_by: float, reserve: Reserve) -> Until:
        log_until = leave_by - reserve.report_s
        return Until(log_until - reserve.log_s, log_until, leave_by)

    def signalled(self, number: signal.Signals, *, with_payload: bool) -> Stop:
        """The slot is ending: what that means for each job. A second signal shortens it."""
        again = self.signal is not None
        grace_s = 0.0 if again else self._settings.stop_grace_s
        own_s = self._settings.report_grace_s + (grace_s if with_payload else 0.0)
        granted = None if again else self._graces.get(number.name)
        if granted is not None and granted.seconds * PROMPT_SHARE < own_s:
            share = granted.seconds * PROMPT_SHARE / own_s
            grace_s, own_s = grace_s * share, own_s * share
        granted_s = 0.0 if granted is None else granted.seconds - self._settings.slot_margin_s
        self._granted = granted if granted_s > own_s else None
        patience_s = LAST_WORD_S if again else max(own_s, granted_s)
        why = "" if granted is None else f", {granted.evidence}"
        says = "again: leaving now" if again else f"stopping, {patience_s:g} s at most{why}"
        log.warning("%s received: %s", number.name, says)
        self.signal = self.signal or number
        self.drain(Leaving.DRAINING)
        leave_by = self._clock.monotonic() + patience_s
        self.leave_by = leave_by if self.leave_by is None else min(self.leave_by, leave_by)
        return signals.stop_for(number, grace_s)

    def slot_is_over(self, now: float) -> bool:
        """Whether payloads are stopped at this moment: said once, and not where the pilot leaves already."""
        if self.leave_by is not None or now < self.deadline.stops_at:
            return False
        self._at_the_end = self.deadline
        log.warning("the time of the slot is used up: %s", self.says())
        every = [known for ends in self._known.values() for known in ends]
        gone = gone_first(every, self._settings.slot_margin_s)
        leave_by = self.deadline.gone_by if gone is None else min(gone, self.deadline.gone_by)
        self.leave_by = max(leave_by, now + LAST_WORD_S)
        self.drain(Leaving.LIFETIME)
        return True

    def slot_stop(self) -> Stop:
        """What the end of the slot means for a job."""
        why = self._at_the_end or self.deadline
        found = slot_end_fault(why)
        self.stopped_with = found.code
        return Stop(kind=StopKind.LIFETIME, fault=found, grace_s=self._settings.stop_grace_s)

    def stop_for_newcomer(self) -> Stop | None:
        """For a job that comes when the others were told to stop already; None while none was."""
        if self.signal is not None:
            return signals.stop_for(self.signal, 0.0)
        return None if self.leave_by is None else self.slot_stop()

    def must_leave(self, now: float) -> bool:
        """Whether the time is over that the jobs had to come to an end."""
        return self.leave_by is not None and now >= self.leave_by


def _is_same(end: SlotEnd, offset_s: float, known: KnownEnd) -> bool:
    """Whether the end that is told now is one that is known: word for word, or as exactly as its source tells it."""
    if end == known.end:
        return True
    later_s = end.at + offset_s - known.at
    return end.wavers_s > 0 and -EARLIER_S <= later_s <= end.wavers_s
