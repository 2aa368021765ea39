"""Why and when this pilot leaves: its lifetime, a signal, or a reason to take no further job.

What becomes of its jobs then is `pilot.supervisor`; the whole table of ways to end is docs/reference/endings.md.
"""

import logging
import signal

from picard_pilot.lifecycle.pilot import Leaving
from picard_pilot.model.stop import Stop, StopKind
from picard_pilot.pilot import signals
from picard_pilot.pilot.faults import lifetime_fault
from picard_pilot.settings.settings import Settings
from picard_pilot.system.clock import Clock

log = logging.getLogger("picard.pilot")

LAST_WORD_S = 1.0
"""How long a leaving pilot waits for updates that are under way (`holding`); its exit follows within 2 s."""


class Ends:
    """What is known of this pilot's end. Moments are of its monotonic clock."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        """The pilot's lifetime begins now."""
        self._settings = settings
        self._clock = clock
        self.lifetime_ends = clock.monotonic() + settings.lifetime_s
        self.draining: Leaving | None = None
        """Why no further job is taken; None while one is."""
        self.signal: signal.Signals | None = None
        """The first that came."""
        self.leave_by: float | None = None
        """When the pilot must be gone, once it was told so; what is then not done waits on disk."""
        self.lifetime_stopped_a_job = False

    def drain(self, why: Leaving) -> None:
        """Take no further job. The first reason is the one that counts."""
        self.draining = self.draining or why

    def signalled(self, number: signal.Signals, *, with_payload: bool) -> Stop:
        """The slot is ending: what that means for each job. A second signal shortens it."""
        again = self.signal is not None
        grace_s = 0.0 if again else self._settings.stop_grace_s
        log.warning("%s received%s", number.name, " again: leaving now" if again else ": stopping")
        self.signal = self.signal or number
        self.drain(Leaving.DRAINING)
        patience_s = (
            LAST_WORD_S if again else self._settings.report_grace_s + (grace_s if with_payload else 0.0)
        )
        leave_by = self._clock.monotonic() + patience_s
        self.leave_by = leave_by if self.leave_by is None else min(self.leave_by, leave_by)
        return signals.stop_for(number, grace_s)

    def lifetime_is_over(self, now: float) -> bool:
        """Whether the pilot's own lifetime ends at this moment: said once, and not where it leaves already."""
        if self.leave_by is not None or now < self.lifetime_ends:
            return False
        log.warning("the pilot's lifetime of %g s is over", self._settings.lifetime_s)
        self.leave_by = now + self._settings.stop_grace_s + self._settings.report_grace_s
        self.drain(Leaving.LIFETIME)
        return True

    def lifetime_stop(self) -> Stop:
        """What the end of the lifetime means for a job."""
        self.lifetime_stopped_a_job = True
        return Stop(
            kind=StopKind.LIFETIME,
            fault=lifetime_fault(self._settings.lifetime_s),
            grace_s=self._settings.stop_grace_s,
        )

    def stop_for_newcomer(self) -> Stop | None:
        """For a job that comes when the others were told to stop already; None while none was."""
        if self.signal is not None:
            return signals.stop_for(self.signal, 0.0)
        return None if self.leave_by is None else self.lifetime_stop()

    def must_leave(self, now: float) -> bool:
        """Whether the time is over that the jobs had to come to an end."""
        return self.leave_by is not None and now >= self.leave_by
