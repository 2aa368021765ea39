"""All that one pilot is made of, in one place and passed explicitly; there are no singletons.

Building them is `pilot.wiring`.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from picard_pilot.data.worker import TransferWorker
from picard_pilot.experiments.base import Experiment
from picard_pilot.journal.lease import IsAlive, Owner
from picard_pilot.lifecycle.report import Sender
from picard_pilot.model.bundle import Node
from picard_pilot.model.files import FileSpec
from picard_pilot.model.job import Job
from picard_pilot.model.orders import Dispatcher
from picard_pilot.model.site import Site
from picard_pilot.model.slot import Found
from picard_pilot.pilot.rates import Rates
from picard_pilot.pilot.server_time import ServerTime
from picard_pilot.pilot.ways import Ways
from picard_pilot.settings.settings import Settings
from picard_pilot.system.clock import Clock
from picard_pilot.system.ledger import Ledger, in_memory
from picard_pilot.system.log import Log

if TYPE_CHECKING:
    from picard_pilot.data.walk import Attempt

OnAttempt = Callable[[Job, FileSpec, "Attempt"], None]
"""Told of each attempt to move a file, as soon as it has ended."""


def nobody_listens(_job: Job, _file: FileSpec, _attempt: "Attempt") -> None:
    """For a queue that wants no traces."""


def nothing_expires(_now: float) -> Found:
    """For a pilot without credentials."""
    return Found()


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """The pilot's parts. `environ` is its environment as it was at the start, `seed` makes its pauses its own."""

    settings: Settings
    environ: Mapping[str, str]
    workdir: Path
    owner: Owner
    node: Node
    site: Site
    sender: Sender
    experiment: Experiment
    dispatcher: Dispatcher
    worker: TransferWorker
    began_at: float | None = None
    """When the pilot's process began, on its monotonic clock; None: with whoever asks."""
    rates: Rates = msgspec.field(default_factory=Rates)
    expiries: Callable[[float], Found] = nothing_expires
    """The ends of the credentials, at a time in UTC seconds."""
    on_attempt: OnAttempt = nobody_listens
    clock: Clock
    log: Log
    seed: int
    is_alive: IsAlive
    ledger: Ledger = msgspec.field(default_factory=in_memory)
    """All that it makes on the node."""
    ways: Ways = msgspec.field(default_factory=Ways)
    """The ways to confine a payload."""
    left_is_lost: str | None = None
    """Why no later pilot would find what this one leaves in its work directory; None where one can."""
    server_time: ServerTime | None = None
    """Hears the server's clock; None for a pilot whose server tells none."""

    def job_time(self) -> float:
        """UTC seconds, as they stand in jobs' records."""
        return self.clock.now_utc() if self.server_time is None else self.server_time.now()
