"""A payload that lives where a pilot can neither watch nor end it: on another node, or in another container.

Its job is for pilots there, until the payload's end is on record; then it is for whoever finds it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from launch_kit import payload
from pilot_kit import ToldDispatcher, parts_for
from process_kit import DEADLINE_S, go
from test_pilot_recovery import left_by

from picard_pilot.journal import file as journal_file
from picard_pilot.journal import lease
from picard_pilot.model import events as ev
from picard_pilot.model.job import Job
from picard_pilot.payload import launcher
from picard_pilot.payload.jobdir import LAUNCH_DIRECTORY
from picard_pilot.payload.launch import Exited
from picard_pilot.pilot import recovery
from picard_pilot.system import proc
from picard_pilot.system.shim import protocol
from picard_pilot.testing.clock import VirtualClock
from picard_pilot.tools.left import look, me
from picard_pilot.tools.recover import discard

BEGUN = (
    ev.JobReceived(job=Job(job_id=5, attempt_nr=1), queue="Q"),
    ev.Admitted(),
    ev.Prepared(),
)


@contextlib.asynccontextmanager
async def running(directory: Path) -> AsyncIterator[Path]:
    """The private directory of a job whose payload runs while its pilot is gone; it is over when this ends."""
    private = left_by(directory, VirtualClock(), 5, *BEGUN)
    spec = payload(private.parent, "while [ ! -e go ]; do sleep 0.02; done")
    handle = await launcher.launch(msgspec.structs.replace(spec, directory=str(private / LAUNCH_DIRECTORY)))
    try:
        yield private
    finally:
        (private.parent / "go").touch()
        ended = await asyncio.wait_for(launcher.wait(handle), DEADLINE_S)
        assert isinstance(ended, Exited)


def carry_off(monkeypatch: pytest.MonkeyPatch, private: Path, where: str) -> str:
    """Let the launcher be out of sight; on which host."""
    path = private / LAUNCH_DIRECTORY / protocol.STARTED_FILE
    record = msgspec.json.decode(path.read_bytes())
    if where == "container":
        monkeypatch.setattr(proc, "is_running", lambda process: False)
        return str(record["host"])
    del record["check"]
    path.write_bytes(protocol.encode_record({**record, "boot_id": "0" * 36, "host": "node7"}))
    return "node7"


@pytest.mark.parametrize("where", ["node", "container"])
def test_a_payload_that_runs_out_of_sight_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Nobody says that it is lost, removes its directory or keeps the lease; once it has ended, anybody may go on."""

    async def scenario() -> None:
        parts = parts_for(VirtualClock(), ToldDispatcher(VirtualClock()), tmp_path)
        reasons: recovery.Reasons = {}
        async with running(tmp_path) as private:
            job_dir, launch = private.parent, private / LAUNCH_DIRECTORY
            assert launcher.out_of_sight(launch) is None
            with monkeypatch.context() as away:
                host = carry_off(away, private, where)
                assert launcher.out_of_sight(launch) == host
                journal = (private / journal_file.NAME).read_bytes()
                assert recovery.take_up(parts, passed_over=reasons) == []
                assert f"its payload still runs on {host}" in reasons[job_dir]
                assert (private / journal_file.NAME).read_bytes() == journal
                assert lease.read(private) is None
                left = look(job_dir, me("t"), 0.0)
                assert f"its payload still runs on {host}" in (left.obstacle or "")
                outcome = await asyncio.to_thread(discard, left)
                assert not outcome.gone and host in outcome.why
                assert job_dir.is_dir()
        assert launcher.out_of_sight(launch) is None
        assert look(job_dir, me("t"), 0.0).obstacle is None
        assert [work.job_id for work in recovery.take_up(parts)] == [5]

    go(scenario())


def test_a_payload_that_can_be_seen_is_taken_up(tmp_path: Path) -> None:
    """On the same host, in the same container: whoever takes the job up watches it."""

    async def scenario() -> None:
        parts = parts_for(VirtualClock(), ToldDispatcher(VirtualClock()), tmp_path)
        async with running(tmp_path):
            assert [work.job_id for work in recovery.take_up(parts)] == [5]

    go(scenario())


def test_a_payload_that_never_started_runs_nowhere(tmp_path: Path) -> None:
    """There is no lock, or nobody holds it."""
    assert launcher.out_of_sight(tmp_path / "launch") is None
    (tmp_path / "launch").mkdir()
    (tmp_path / "launch" / protocol.LOCK_FILE).touch()
    assert launcher.out_of_sight(tmp_path / "launch") is None
