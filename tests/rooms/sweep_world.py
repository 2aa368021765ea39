"""What outlives a pilot that is killed, in memory and on a virtual clock: the server, the storages, the payload.

The pilots that live and die among them are `sweep_kit`.
"""

import asyncio
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pilot_kit import DOWN

from picard_pilot.lifecycle import holding
from picard_pilot.model.command import PayloadExit, ProcessId
from picard_pilot.model.files import Checksum, ChecksumKind
from picard_pilot.model.job import Job
from picard_pilot.model.orders import Acquired, NoJobs, Orders, ServerTrouble, Standing
from picard_pilot.model.report import JobStatus, Update
from picard_pilot.model.transfer import (
    FailureClass,
    FetchRequest,
    FileFacts,
    How,
    Registered,
    RegisterRequest,
    Remedy,
    Removed,
    RemoveRequest,
    Replicas,
    ReplicasRequest,
    StatRequest,
    StoreRequest,
    TransferFailure,
    Transferred,
)
from picard_pilot.payload.launch import Exited, Found, LaunchHandle, LaunchSpec, Lost, NeverStarted, Running
from picard_pilot.pilot.waiting import first_of
from picard_pilot.testing.clock import VirtualClock

HOUR_S = 3600.0

PAYLOAD_S = 10.0
"""How long the payload takes, in virtual seconds."""

SLOW_S = 400.0
"""How long a slow store takes: longer than what a pilot keeps in hand of the server's window."""

FINAL = frozenset({JobStatus.FINISHED, JobStatus.FAILED})

OVER = frozenset({"finished", "failed", "cancelled", "closed"})


class Panda:
    """One job at a server that behaves as panda-server 1.0.4 was seen to: states, attempts, windows, lost heartbeat."""

    def __init__(self, clock: VirtualClock, job: Job) -> None:
        self._clock = clock
        self.job = job
        self.status = "activated"
        self.attempt_nr = job.attempt_nr
        self.known = True
        self.down = False
        self.reports: list[Update] = []
        """Final reports that it took and stored."""
        self.told: list[tuple[str, Update]] = []
        """All that it heard, with the pilot's name."""
        self._heard_at = 0.0
        self._held_at: float | None = None

    def give(self) -> Acquired | NoJobs | ServerTrouble:
        """The job, to the first who asks."""
        if self.down:
            return DOWN
        if self.status != "activated":
            return NoJobs(message="No jobs in PanDA")
        self.status = "sent"
        return Acquired(jobs=(self.job,))

    def hear(self, who: str, update: Update) -> Orders | ServerTrouble:
        """An update, or the final report."""
        if self.down:
            return DOWN
        self.watch()
        self.told.append((who, update))
        final = update.status in FINAL
        if not self.known or update.attempt_nr != self.attempt_nr:
            return Orders(commands=("tobekilled",))
        if self.status in OVER:
            return Orders(commands=("alreadydone",) if self.reports and final else ("tobekilled",))
        if final:
            self.reports.append(update)
            self.status = update.status.value
        elif self.status != "holding":
            self.status, self._heard_at = update.status.value, self._clock.monotonic()
            if self.status == "holding":
                self._held_at = self._heard_at
        return Orders()

    def standing(self) -> tuple[Standing, ...] | ServerTrouble:
        """What it says when it is asked."""
        if self.down:
            return DOWN
        self.watch()
        if not self.known:
            return ()
        return (Standing(job_id=self.job.job_id, status=self.status, attempt_nr=self.attempt_nr),)

    def watch(self) -> None:
        """Give up what was silent, or held, for too long."""
        now = self._clock.monotonic()
        silent = self.status in ("starting", "running") and now - self._heard_at > 2 * HOUR_S
        late = self._held_at is not None and now - self._held_at > holding.window(self.job).seconds
        if silent or (self.status == "holding" and late):
            self.status = "failed"


class Storages:
    """All storages and their catalogue. `mood` says how a store at an endpoint goes: up, down, slow or late.

    A slow one takes `SLOW_S`; a late one takes the file and loses the answer.
    """

    def __init__(self, clock: VirtualClock, mood: Callable[[str, str, float], str]) -> None:
        self._clock = clock
        self._mood = mood
        self.files: dict[str, bytes] = {}
        self.commits: list[str] = []
        """The address of every file that was written, in order; one that stood there already is not."""
        self.registered: dict[str, list[str]] = {}
        self.has_catalogue = False

    async def transfer(self, request: FetchRequest | StoreRequest) -> Transferred | TransferFailure:
        await asyncio.sleep(0)
        if isinstance(request, FetchRequest):
            content = self.files[request.surl]
            Path(request.target).write_bytes(content)
            return self._done(request.surl, content, How.COPY)
        content = Path(request.source).read_bytes()
        assert request.context.endpoint is not None
        mood = self._mood(request.context.endpoint.name, request.lfn, self._clock.monotonic())
        if mood == "down":
            return TransferFailure(
                kind=FailureClass.CONTACT, says="nobody answers", surl=request.surl, remedy=Remedy.NEXT
            )
        if mood == "slow":
            await self._clock.sleep(SLOW_S)
        how = How.ALREADY_THERE
        if request.surl not in self.files:
            self.files[request.surl] = content
            self.commits.append(request.surl)
            how = How.COPY
        elif self.files[request.surl] != content:
            return TransferFailure(
                kind=FailureClass.SPECIFICATION, says="another file stands there", surl=request.surl,
                remedy=Remedy.STOP, fault="FILEEXISTS",
            )  # fmt: skip
        await asyncio.sleep(0)
        if mood == "late":
            return TransferFailure(
                kind=FailureClass.TRANSFER,
                says="the connection was lost",
                surl=request.surl,
                remedy=Remedy.NEXT,
            )
        return self._done(request.surl, content, how)

    async def stat(self, request: StatRequest) -> FileFacts:
        await asyncio.sleep(0)
        content = self.files.get(request.surl)
        if content is None:
            return FileFacts(exists=False)
        return FileFacts(exists=True, size_bytes=len(content), checksum=adler32(content))

    async def remove(self, request: RemoveRequest) -> Removed:
        await asyncio.sleep(0)
        return Removed(was_there=self.files.pop(request.surl, None) is not None)

    async def replicas(self, request: ReplicasRequest) -> Replicas | TransferFailure:
        return Replicas(files=(), catalogue="told" if self.has_catalogue else "")

    async def register(self, request: RegisterRequest) -> Registered:
        await asyncio.sleep(0)
        places = self.registered.setdefault(request.stored.lfn, [])
        if request.surl not in places:
            places.append(request.surl)
        await asyncio.sleep(0)
        return Registered(catalogue="told")

    def _done(self, surl: str, content: bytes, how: How) -> Transferred:
        return Transferred(
            surl=surl, size_bytes=len(content), checksum=adler32(content), seconds=1.0, how=how, mover="told"
        )


def adler32(content: bytes) -> Checksum:
    """As catalogues write it."""
    return Checksum(ChecksumKind.ADLER32, f"{zlib.adler32(content):08x}")


class _Run:
    """One run of the payload."""

    def __init__(self, handle: LaunchHandle, cwd: str, began: float) -> None:
        self.handle = handle
        self.cwd = Path(cwd)
        self.began = began
        self.ends = began + PAYLOAD_S
        self.stopped_by: str | None = None
        self.stopped = asyncio.Event()
        self.over = False


class Payload:
    """Stands for `payload.launcher`: a payload that goes on whoever dies, and writes its outputs when it ends."""

    def __init__(self, clock: VirtualClock, outputs: dict[str, bytes], wall_s: float) -> None:
        """`wall_s` is what its exit record says, so that a long job need not take long."""
        self._clock = clock
        self._outputs = outputs
        self._wall_s = wall_s
        self._runs: dict[str, _Run] = {}
        self.runs = 0
        """How often it was started."""

    @property
    def lives(self) -> bool:
        """Whether one computes now."""
        return any(not self._ended(run) for run in self._runs.values())

    async def find(self, directory: Path) -> Found:
        await asyncio.sleep(0)
        run = self._runs.get(str(directory))
        if run is None:
            return NeverStarted()
        return Exited(run.handle, self._exit(run)) if self._ended(run) else Running(run.handle)

    async def launch(self, spec: LaunchSpec) -> LaunchHandle:
        await asyncio.sleep(0)
        if (before := self._runs.get(spec.directory)) is not None:
            return before.handle  # the launcher's lock
        self.runs += 1
        me = ProcessId(pid=4_000_000 + self.runs, start_ticks=self.runs)
        now = self._clock.monotonic()
        handle = LaunchHandle(
            directory=spec.directory, launch_id="1", launcher=me, main=me, boot_id="b", host="h",
            started_at=self._clock.now_utc(),
        )  # fmt: skip
        self._runs[spec.directory] = _Run(handle, spec.cwd, now)
        await asyncio.sleep(0)
        return handle

    async def wait(self, handle: LaunchHandle) -> Exited:
        run = self._runs[handle.directory]
        while not self._ended(run):
            await first_of(self._clock.sleep(run.ends - self._clock.monotonic()), run.stopped.wait())
        return Exited(handle, self._exit(run))

    def stop(self, handle: LaunchHandle, grace_s: float, reason: str) -> bool:
        run = self._runs[handle.directory]
        if self._ended(run):
            return False
        run.ends, run.stopped_by = self._clock.monotonic(), reason
        run.stopped.set()
        return True

    async def kill_leftovers(self, lost: Lost) -> tuple[int, int]:
        return 0, 0

    def _ended(self, run: _Run) -> bool:
        if self._clock.monotonic() < run.ends:
            return False
        if not run.over and run.stopped_by is None and run.cwd.is_dir():
            for name, content in self._outputs.items():
                (run.cwd / name).write_bytes(content)
        run.over = True
        return True

    def _exit(self, run: _Run) -> PayloadExit:
        ended: dict[str, Any] = {"exit_code": 0} if run.stopped_by is None else {"signal": 15}
        return PayloadExit(
            started_at=run.handle.started_at, ended_at=run.handle.started_at + run.ends - run.began,
            wall_s=self._wall_s, cpu_user_s=self._wall_s, stopped_by=run.stopped_by, **ended,
        )  # fmt: skip
