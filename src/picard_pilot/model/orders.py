"""What passes between the pilot and whoever gives it work: the request, the jobs, the orders, the trouble.

How it travels is `panda`; what a job is told to do about it is `lifecycle`.
"""

from typing import Protocol

import msgspec

from picard_pilot.model.job import Job
from picard_pilot.model.report import Update

KILL = "tobekilled"
"""Order: nobody wants this job any more. Also said of a job or attempt that the server does not know."""
ALREADY_DONE = "alreadydone"
"""Order: a final report was accepted before; stop sending."""
STORED = "0"
"""The server's code for a report that it took and stored."""


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """A request for jobs; what is None is not sent, and the server then sets no such limit."""

    site_name: str
    """The queue."""
    n_jobs: int = 1
    label: str | None = None
    """`prodSourceLabel`: managed, user, unified, test ..."""
    resource_type: str | None = None
    memory_mb: int | None = None
    disk_mb: int | None = None
    remaining_time_s: int | None = None
    """No job that needs more wall time than this."""
    node: str | None = None
    computing_element: str | None = None
    scheduler_id: str | None = None
    harvester_id: str | None = None
    worker_id: int | None = None
    timeout_s: int = 60
    """How long the server may look. It keeps 10 s in hand, so 10 or less never yields a job."""


class BadJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job that the server gave us and whose description cannot be worked on: to be reported failed.

    `job_id` and `attempt_nr` are None where not even these could be read; then only the log can tell.
    """

    job_id: int | None
    attempt_nr: int | None
    field: str
    why: str
    evidence: str
    code: int
    """PanDA's number for the failure."""

    @property
    def error(self) -> str:
        """One line that names the field and shows what stood there."""
        return f"{self.field}: {self.why} ({self.evidence})"


class Acquired(msgspec.Struct, frozen=True, kw_only=True):
    """The server gave us these, and waits to hear of every one of them."""

    jobs: tuple[Job, ...] = ()
    bad: tuple[BadJob, ...] = ()


class NoJobs(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing for this queue now. An unknown queue and a broken database get the same answer."""

    message: str


class ServerTrouble(msgspec.Struct, frozen=True, kw_only=True):
    """The server could not be reached, understood or satisfied."""

    kind: str
    """One word or two: refused, tls, timeout, not JSON, not allowed ..."""
    evidence: str
    where: str
    """The call, with the server's address."""
    may_pass: bool
    """Whether the same request may succeed later without a change on our side."""
    may_have_arrived: bool
    """Whether the server may have acted on the request all the same."""

    @property
    def says(self) -> str:
        """One line for the log."""
        return f"{self.where}: {self.kind}: {self.evidence}"


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """The server took an update; `commands` are what it wants done, in its order."""

    commands: tuple[str, ...] = ()

    @property
    def kill(self) -> bool:
        return KILL in self.commands

    @property
    def answer(self) -> str:
        """The server's word on a report: `0`, `alreadydone` or `tobekilled`; after any of them it is settled."""
        return next((word for word in (ALREADY_DONE, KILL) if word in self.commands), STORED)


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What the server says of a job when asked: its status there, and what is None where it was not told."""

    job_id: int
    status: str
    attempt_nr: int | None = None
    commands: tuple[str, ...] = ()


class Dispatcher(Protocol):
    """Whoever gives out jobs and takes reports. No call raises for what a server or a network does.

    Every call may be made again after trouble, but `acquire`: if its answer got lost, so did a job, which the
    server gives up after half an hour.
    """

    async def acquire(self, ask: Ask) -> Acquired | NoJobs | ServerTrouble: ...

    async def tell(self, update: Update, *, deadline_s: float | None = None) -> Orders | ServerTrouble:
        """Send one update; with a final status it is the report that ends the job."""

    async def tell_many(self, updates: tuple[Update, ...]) -> tuple[Orders | ServerTrouble, ...]:
        """Send updates in one call; one answer for each, in the same order."""

    async def status(self, job_ids: tuple[int, ...]) -> tuple[Standing, ...] | ServerTrouble:
        """Status and attempt number of each job."""

    async def orders_for(self, job_ids: tuple[int, ...]) -> tuple[Standing, ...] | ServerTrouble:
        """Status and waiting commands of each job, without an update: cheap enough to ask every few seconds."""

    async def worker_status(self, status: str) -> ServerTrouble | None:
        """Tell that this worker `started` or `finished`; nothing happens without Harvester's ids."""

    async def is_alive(self) -> ServerTrouble | None:
        """None when the server answers as a PanDA server does."""
