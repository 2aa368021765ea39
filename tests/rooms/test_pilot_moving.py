"""A stage that moves files, on a virtual clock: its progress in updates, the log and status.json; its note once."""

import asyncio
import json
import logging
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
from pilot_kit import ToldDispatcher, parts_for, work_for

from picard_pilot.data.walk import Attempt
from picard_pilot.model.files import Checksum, ChecksumKind, FileRole, FileSpec
from picard_pilot.model.job import Job
from picard_pilot.model.site import Endpoint
from picard_pilot.model.transfer import (
    FailureClass,
    How,
    Opened,
    Source,
    TransferFailure,
    Transferred,
)
from picard_pilot.pilot.moving import Moving
from picard_pilot.pilot.parts import Parts
from picard_pilot.pilot.teller import Teller
from picard_pilot.pilot.work import JobWork
from picard_pilot.testing.clock import VirtualClock

SOURCE = Source(surl="root://door//a", endpoint=Endpoint(name="DISK"), reason="the site's own")


def _file(lfn: str) -> FileSpec:
    return FileSpec(lfn=lfn, role=FileRole.INPUT)


def _done(size_bytes: int, how: How = How.COPY) -> Transferred:
    checksum = Checksum(ChecksumKind.ADLER32, "00000001")
    return Transferred(
        surl=SOURCE.surl, size_bytes=size_bytes, checksum=checksum, seconds=1.0, how=how, mover="local"
    )


class Stage:
    """A stage of one job, with everything that hears of it."""

    def __init__(self, directory: Path, **settings: float) -> None:
        self.clock = VirtualClock()
        self.dispatcher = ToldDispatcher(self.clock)
        self.heard: list[tuple[Job, FileSpec, Attempt]] = []
        parts = parts_for(self.clock, self.dispatcher, directory, **settings)
        self.parts: Parts = msgspec.structs.replace(parts, on_attempt=lambda *what: self.heard.append(what))
        self.work: JobWork = work_for(directory, self.clock)
        Path(self.work.bundle.private).mkdir(parents=True)
        self.teller = Teller(self.work, self.parts, lambda *_: None)

    def moving(self, sizes: dict[str, int | None]) -> Moving:
        """The stage begins."""
        return Moving(self.parts, self.work, sizes, lambda _: self.teller.tell_progress())

    def ended(self, moving: Moving, lfn: str, outcome: Transferred | Opened | TransferFailure) -> None:
        """A try has ended."""
        moving.attempted(_file(lfn), Attempt(SOURCE, outcome, self.clock.now_utc(), 1))


def _run(tmp_path: Path, story: Callable[[Stage], Awaitable[None]], **settings: float) -> Stage:
    stage = Stage(tmp_path, **settings)

    async def whole() -> None:
        task = asyncio.create_task(stage.teller.run())
        await story(stage)
        await stage.teller.hush()
        await task

    asyncio.run(whole())
    return stage


def test_progress_is_told_once_a_minute_while_something_moves(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An update, a line and status.json each minute; where nothing moves, the line alone."""

    async def story(stage: Stage) -> None:
        async with stage.moving({"a": 1000, "b": 1000}) as moving:
            await stage.clock.advance(30)
            moving.passed(_file("a"), 500)
            await stage.clock.advance(31)
            stage.ended(moving, "a", _done(1000))
            await stage.clock.advance(60)
            await stage.clock.advance(300)
            status = json.loads(Path(stage.work.bundle.private, "status.json").read_bytes())
            assert (status["progress"]["files_done"], status["progress"]["bytes_done"]) == (1, 1000)
        await stage.clock.advance(600)

    with caplog.at_level(logging.INFO):
        stage = _run(tmp_path, story, heartbeat_s=7200.0)
    told = [(when, update.progress) for when, update in stage.dispatcher.told]
    assert [(when, progress.bytes_done) for when, progress in told if progress] == [(60, 500), (120, 1000)]
    lines = [line for line in caplog.messages if "still" in line]
    assert len(lines) == 7
    assert "0 of 2 files, 500 B of 2.0 kB" in lines[0] and "1 of 2 files" in lines[1]
    assert stage.work.progress is None


def test_a_stage_that_waits_says_for_what(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Each new failure is a line at once; the line of each minute, status.json and the updates have the last one, with
    the next try, until the file is through."""
    token = secrets.token_urlsafe(24)
    away = TransferFailure(kind=FailureClass.CONTACT, says=f"nobody listens ({'x' * 90} {token})")

    async def story(stage: Stage) -> None:
        stage.parts.log.hide(token)
        async with stage.moving({"a": 1000, "b": None}) as moving:
            for _ in range(3):
                stage.ended(moving, "a", away)
                moving.waits(_file("a"), 90.0)
                await stage.clock.advance(60)
            stage.ended(moving, "a", TransferFailure(kind=FailureClass.TIMEOUT, says="no byte"))
            await stage.clock.advance(60)
            status = json.loads(Path(stage.work.bundle.private, "status.json").read_bytes())
            assert status["progress"]["trouble"] == "a from DISK: timeout: no byte"
            stage.ended(moving, "a", _done(1000))
            await stage.clock.advance(60)
            assert len(moving.logged) == 2

    with caplog.at_level(logging.INFO):
        stage = _run(tmp_path, story, heartbeat_s=7200.0)
    lines = [line for line in caplog.messages if "still" not in line]
    assert len(lines) == 2 and all(line.startswith("job 5: a from DISK: ") for line in lines)
    ticks = [line for line in caplog.messages if "still" in line]
    assert "; a from DISK: contact: nobody listens (xxx" in ticks[0] and "again in 30 s" in ticks[0]
    assert "timeout: no byte" in ticks[3] and "again" not in ticks[3]
    assert "DISK" not in ticks[4]
    told = [update.progress.trouble for _, update in stage.dispatcher.told if update.progress]
    assert [text and text.split(": ")[1] for text in told] == ["contact", "timeout", None]
    assert not any(token[:8] in str(text) for text in [*told, *ticks])


def test_a_quick_stage_tells_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """No line, no update and no task left: most stages are over before the first minute."""

    async def story(stage: Stage) -> None:
        async with stage.moving({"a": 10}) as moving:
            stage.ended(moving, "a", _done(10))
            await stage.clock.advance(59)
        await stage.clock.settle()
        assert stage.clock.sleepers == 1  # the teller's heartbeat

    with caplog.at_level(logging.INFO):
        stage = _run(tmp_path, story)
    assert stage.dispatcher.told == [] and caplog.messages == []


def test_progress_never_pushes_a_phase_out(tmp_path: Path) -> None:
    """While the server is away, minutes of progress do not fill the queue of what it must hear."""

    async def story(stage: Stage) -> None:
        stage.dispatcher.down = True
        stage.teller.tell()
        async with stage.moving({"a": 10**6}) as moving:
            for minute in range(60):
                moving.passed(_file("a"), minute + 1)
                await stage.clock.advance(60)
        stage.dispatcher.down = False
        stage.dispatcher.told.clear()
        await stage.clock.advance(301)
        assert stage.dispatcher.phases == ["starting"]

    _run(tmp_path, story, heartbeat_s=7200.0)


def test_every_way_counts_and_is_noted(tmp_path: Path) -> None:
    """Copied, linked, read directly and failed; the note goes with the next update and with no other."""

    async def story(stage: Stage) -> None:
        async with stage.moving({"copied": 10, "linked": 20, "direct": 30, "lost": 40}) as moving:
            stage.ended(moving, "copied", _done(10))
            stage.ended(moving, "linked", _done(20, How.SYMLINK))
            stage.ended(moving, "direct", Opened(surl=SOURCE.surl, seconds=0.1, mover="xrootd"))
            moving.passed(_file("lost"), 15)
            stage.ended(moving, "lost", TransferFailure(kind=FailureClass.MISSING, says="nobody has it"))
            view = moving.progress()
            assert (view.files_done, view.bytes_done, view.bytes_total) == (3, 60, 100)
        stage.teller.tell()
        stage.teller.tell()
        await stage.clock.settle()
        assert [attempt.outcome for _, _, attempt in stage.heard][-1].kind is FailureClass.MISSING

    stage = _run(tmp_path, story)
    first, second = (update.note for _, update in stage.dispatcher.told)
    assert second is None and first is not None
    assert {(note.lfn, note.how, note.ok) for note in first.files} == {
        ("copied", "copy", True),
        ("linked", "symlink", True),
        ("direct", "direct", True),
        ("lost", "missing", False),
    }


def test_a_note_holds_no_secret(tmp_path: Path) -> None:
    """What storages say may hold what they were sent."""
    token = secrets.token_urlsafe(24)

    async def story(stage: Stage) -> None:
        stage.parts.log.hide(token)
        async with stage.moving({"a": 10}) as moving:
            says = f"the door refused {token}"
            stage.ended(moving, "a", TransferFailure(kind=FailureClass.AUTH, says=says))
        stage.teller.tell()
        await stage.clock.settle()

    stage = _run(tmp_path, story)
    note = stage.dispatcher.told[0][1].note
    assert note is not None and "the door refused" in note.files[0].why and token not in str(note)


def test_a_cancelled_stage_ends_its_ticking(tmp_path: Path) -> None:
    """A job that is stopped in the middle of its stage-in is told no further progress."""

    async def story(stage: Stage) -> None:
        async def work() -> None:
            async with stage.moving({"a": 10}):
                await asyncio.Event().wait()

        task = asyncio.create_task(work())
        await stage.clock.settle()
        task.cancel()
        await asyncio.wait([task])
        await stage.clock.settle()
        assert stage.work.moving is None and stage.clock.sleepers == 1

    _run(tmp_path, story)
