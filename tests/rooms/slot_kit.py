"""A slot on a virtual clock: one pilot, one job whose payload is told what to do, and a storage of a known speed."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pilot_kit import ToldDispatcher, parts_for

from picard_pilot.model import events as ev
from picard_pilot.model.command import CommandResult, EndedBy, PayloadExit
from picard_pilot.model.files import Checksum, ChecksumKind, FileRole, FileSpec
from picard_pilot.model.job import Job, Requirements
from picard_pilot.model.orders import Acquired
from picard_pilot.model.report import Update
from picard_pilot.model.site import Endpoint, PathRule, Protocol, Queue, Site
from picard_pilot.model.slot import Found
from picard_pilot.model.transfer import FileFacts, How, StatRequest, StoreRequest, Transferred
from picard_pilot.pilot import notice
from picard_pilot.pilot.supervisor import Supervisor
from picard_pilot.pilot.waiting import first_of
from picard_pilot.pilot.work import JobWork
from picard_pilot.testing.clock import VirtualClock

BEGAN = VirtualClock().now_utc()
"""When each pilot here begins, in UTC seconds."""

LOOK_S = 30.0
"""How often a payload looks for a notice."""

STEP_S = 600.0
"""After so much virtual time it is seen whether the pilot has left."""

OUTPUT, LOG = "out", "log.tgz"


class SlowStorage:
    """Takes every file, at `bytes_s`; notes when each was there, in seconds since the pilot's begin."""

    def __init__(self, clock: VirtualClock, bytes_s: float) -> None:
        self._clock = clock
        self.bytes_s = bytes_s
        self.stored: dict[str, float] = {}

    def warm_up(self) -> None:
        """It is there."""

    async def transfer(self, request: StoreRequest, on_progress: Any = None) -> Transferred:
        size_bytes = Path(request.source).stat().st_size
        seconds = 1.0 + size_bytes / self.bytes_s
        await self._clock.sleep(seconds)
        self.stored[request.surl.rpartition("/")[2]] = self._clock.monotonic()
        return Transferred(
            surl=request.surl,
            size_bytes=size_bytes,
            checksum=Checksum(ChecksumKind.ADLER32, "00000001"),
            seconds=seconds,
            how=How.COPY,
            mover="told",
        )

    async def stat(self, request: StatRequest) -> FileFacts:
        return FileFacts(exists=False)


class Unconfined:
    """Instead of `pilot.confining.Confining`, which asks the node what it can do."""

    async def choose(self, *_: object) -> None:
        """Nothing is needed."""

    def switch_of(self, *_: object) -> None:
        """The pilot's own user."""

    async def remove(self, *_: object) -> list[str]:
        """Nothing is left."""
        return []


class ToldPayload:
    """Instead of `pilot.payloads.Payloads`: writes its output at `writes_at`, ends by itself after `runs_s`, or when
    it is warned if it heeds that, or when it is stopped, with `exit_when_stopped`."""

    def __init__(self, slot: "ToldSlot") -> None:
        self._slot = slot
        self._stopped = asyncio.Event()
        self.confining = Unconfined()
        self.started_at: float | None = None
        self.warned_at: float | None = None
        self.stopped_at: float | None = None
        self.grace_s: float | None = None
        """Of the first stop."""

    async def launch(self, work: JobWork) -> ev.Event:
        self.started_at = self._slot.clock.monotonic()
        return ev.PayloadStarted(pid=1, start_ticks=1, started_at=self._slot.clock.now_utc())

    async def watch(self, work: JobWork) -> ev.Event:
        slot, clock = self._slot, self._slot.clock
        began, exit_code, stopped_by = clock.monotonic(), 0, None
        ends = began + slot.runs_s
        while clock.monotonic() < ends:
            if self._stopped.is_set():
                exit_code, stopped_by = slot.exit_when_stopped, "lifetime"
                break
            if slot.output_bytes and clock.monotonic() >= slot.writes_at:
                with (Path(work.bundle.directory) / OUTPUT).open("wb") as file:
                    file.truncate(slot.output_bytes)
            if self.warned_at is None and notice.path_of(work.bundle).exists():
                self.warned_at = clock.monotonic()
                if slot.heeds_warning:
                    break
            await first_of(self._stopped.wait(), clock.sleep(min(LOOK_S, ends - clock.monotonic())))
        slot.looks.append(work.slot)
        wall_s = clock.monotonic() - began
        return ev.PayloadExited(
            exit=PayloadExit(
                exit_code=exit_code, started_at=0.0, ended_at=wall_s, wall_s=wall_s, stopped_by=stopped_by
            )
        )

    async def stop(self, work: JobWork, grace_s: float) -> None:
        if self.stopped_at is None:
            self.stopped_at, self.grace_s = self._slot.clock.monotonic(), grace_s
        self._stopped.set()

    async def diagnose(self, work: JobWork) -> ev.Event:
        return ev.Diagnosed()


class ToldSlot:
    """One story. Times are seconds since the pilot's begin; `happens` are things done to the pilot at their times."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
        self.clock = VirtualClock()
        self.dispatcher = ToldDispatcher(self.clock)
        self.storage = SlowStorage(self.clock, 10e6)
        self.directory = directory
        self.settings: dict[str, Any] = {"queue_patience_s": 1.0, **settings}
        self.environ: dict[str, str] = {}
        self.queue: dict[str, Any] = {}
        self.expiries: Callable[[float], Found] = lambda _now: Found()
        self.happens: dict[float, Callable[[Supervisor], object]] = {}
        self.runs_s = 1e9
        self.output_bytes = 0
        self.writes_at = 1.0
        self.heeds_warning = False
        self.exit_when_stopped = 0
        self.walltime_s: int | None = None
        self.payload = ToldPayload(self)
        self.looks: list[Any] = []
        self.left_at = 0.0

        async def call(_limit_s: float, hook: Callable[..., Any], *args: Any, **more: Any) -> Any:
            return hook(*args, **more)

        async def to_thread(function: Callable[..., Any], *args: Any) -> Any:
            return function(*args)

        async def unwatched(_watching: object) -> None:
            await asyncio.Event().wait()

        async def aside(sources: Any, source: str, read: Callable[[], Found]) -> None:
            sources._know(source, read())

        async def no_command(argv: tuple[str, ...], **_: Any) -> CommandResult:
            return CommandResult(
                ended_by=EndedBy.ITSELF, exit_code=1, stderr_tail=f"{argv[0]}: no controller"
            )

        monkeypatch.setattr("picard_pilot.pilot.slot_sources.Sources._aside", aside)
        # A node may have a batch system's commands.
        monkeypatch.setattr("picard_pilot.system.run.run", no_command)
        # Its looks every few seconds are of no concern here, and would cost most of the time.
        monkeypatch.setattr("picard_pilot.pilot.watching.Watching.run", unwatched)
        # No thread: virtual time would pass while it works.
        monkeypatch.setattr("picard_pilot.pilot.hooking.call_hook", call)
        monkeypatch.setattr("asyncio.to_thread", to_thread)
        monkeypatch.setattr("picard_pilot.pilot.perform.Payloads", lambda *_: self.payload)
        for user in ("words", "environment"):
            monkeypatch.setattr(f"picard_pilot.watch.slot.{user}.session_began_at", lambda: BEGAN)

    def run(self) -> int:
        """The pilot's exit code."""
        outputs = (FileSpec(lfn=OUTPUT, role=FileRole.OUTPUT),) if self.output_bytes else ()
        job = Job(
            job_id=5,
            attempt_nr=1,
            transformation="/bin/true",
            outputs=outputs,
            log=FileSpec(lfn=LOG, role=FileRole.LOG),
            requirements=Requirements(walltime_s=self.walltime_s),
        )
        self.dispatcher.jobs.append(Acquired(jobs=(job,)))
        endpoints = {"A": Endpoint(name="A", protocols=(Protocol(prefix="told://A"),), paths=PathRule.FLAT)}
        queue = Queue(name="Q", panda_resource="Q", endpoints={"pw": ("A",), "pl": ("A",)}, **self.queue)
        worker: Any = self.storage
        parts = msgspec.structs.replace(
            parts_for(self.clock, self.dispatcher, self.directory, **self.settings),
            environ=self.environ,
            site=Site(queue=queue, endpoints=endpoints),
            worker=worker,
            expiries=self.expiries,
        )

        async def scenario() -> int:
            async with asyncio.timeout(120):
                supervisor = Supervisor(parts)
                pilot = asyncio.create_task(supervisor.run([]))
                pilot.add_done_callback(self._left)
                for at in sorted(self.happens):
                    await self._until(pilot, at)
                    self.happens[at](supervisor)
                await self._until(pilot, 1e9)
                return pilot.result()

        return asyncio.run(scenario())

    def _left(self, _: object) -> None:
        self.left_at = self.clock.monotonic()

    async def _until(self, pilot: "asyncio.Task[int]", at: float) -> None:
        while not pilot.done() and self.clock.monotonic() < at:
            await self.clock.advance(min(at - self.clock.monotonic(), STEP_S))

    @property
    def report(self) -> tuple[float, Update]:
        """When the final report was told, and what it was."""
        return next((at, update) for at, update in self.dispatcher.told if update.final)

    @property
    def remaining_told(self) -> list[int]:
        """The `remaining_time` of each question for a job, in seconds."""
        return [ask.remaining_time_s for _, ask in self.dispatcher.asked]
