"""The jobs in this pilot's hands: taken up, kept alive, let go of.

What happens to each of them is `pilot.stepping`; when to ask for another is `lifecycle.pilot`.
"""

import logging
from collections.abc import Iterator
from pathlib import Path

from picard_pilot.model.states import HAS_PAYLOAD, State
from picard_pilot.pilot.noting import note_directory
from picard_pilot.pilot.parts import Parts
from picard_pilot.pilot.stepping import Stepper
from picard_pilot.pilot.teller import Tellers
from picard_pilot.pilot.work import JobWork

log = logging.getLogger("picard.pilot")

JOB_LOG = "pilotlog.txt"
"""The pilot's lines about one job, in its own directory: what goes into its log archive."""


class Jobs:
    """All that were adopted and not yet let go of, in the order of their coming."""

    def __init__(self, parts: Parts, tellers: Tellers, stepper: Stepper) -> None:
        """`stepper` knows who performs, which alone can give a directory back."""
        self._parts = parts
        self._tellers = tellers
        self._stepper = stepper
        self._works: list[JobWork] = []

    def __iter__(self) -> Iterator[JobWork]:
        return iter(self._works)

    def active(self) -> list[JobWork]:
        """Those that this pilot still has something to do for."""
        return [work for work in self._works if work.case.state is not State.HOLDING and work.tasks]

    def waiting(self) -> list[JobWork]:
        """Those whose outputs wait for a storage and for this pilot."""
        return [work for work in self._works if work.case.state is State.HOLDING and work.tasks]

    def unfinished(self) -> list[JobWork]:
        """Those that are neither over nor on hold; of some the next event may wait in the inbox alone."""
        return [work for work in self._works if not (work.case.over or work.case.state is State.HOLDING)]

    def has_payload(self) -> bool:
        """Whether a payload is running, or about to."""
        return any(work.case.state in HAS_PAYLOAD for work in self._works)

    def adopt(self, work: JobWork, *, silently: bool = False) -> None:
        """From here on the job is this pilot's: its log begins, and unless `silently` its updates."""
        self._works.append(work)
        self._stepper.costs.moved(work)
        note_directory(self._parts.ledger, work.bundle, work.job_id)
        if not work.case.over and not silently:
            self._tellers.add(work)
        try:
            work.end_log = self._parts.log.follow_job(work.job_id, Path(work.bundle.directory, JOB_LOG))
        except OSError as error:
            log.warning("job %s has no %s of its own: %s", work.job_id, JOB_LOG, error.strerror)

    def renew(self, works: list[JobWork]) -> None:
        """Renew the leases of `works`; one that a pilot elsewhere has taken over meanwhile is let go of."""
        for work in works:
            if not self._stepper.performer.renew(work):
                self._let_go(work)
                self._stepper.wake()

    def sweep(self) -> list[JobWork]:
        """Let go of the jobs that are over, or that wait on disk for a later pilot; these were they."""
        gone = [
            work
            for work in self._works
            if not work.tasks and (work.case.over or work.case.state is State.HOLDING)
        ]
        for work in gone:
            self._let_go(work)
        return gone

    def let_go_of_all(self) -> None:
        """The pilot leaves: payloads that still run go on under their launchers."""
        for work in list(self._works):
            self._let_go(work)

    def _let_go(self, work: JobWork) -> None:
        self._stepper.costs.gone(work)
        self._tellers.drop(work)
        work.cancel_all()
        work.end_log()
        self._stepper.performer.release(work)
        self._works.remove(work)
