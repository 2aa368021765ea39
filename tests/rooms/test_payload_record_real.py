"""The payload's record with real processes: what the launcher saw is what the journal keeps and the server is told."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from launch_kit import payload
from process_kit import DEADLINE_S, go

from picard_pilot.diagnosis.faults import fault
from picard_pilot.journal.file import Journal, read
from picard_pilot.lifecycle.fold import fold
from picard_pilot.lifecycle.report import Sender, final_report
from picard_pilot.model import events as ev
from picard_pilot.model.command import PayloadExit
from picard_pilot.model.job import Job
from picard_pilot.payload import launcher
from picard_pilot.payload.launch import Exited, LaunchHandle
from picard_pilot.wire.update import update_values

JOB = Job(job_id=4711, attempt_nr=1, transformation="analyse")
BAD_END = fault("PAYLOADEXECUTIONFAILURE", "the payload ended badly", rule="test")

End = Callable[[LaunchHandle], object]


def nobody(handle: LaunchHandle) -> None:
    """The payload ends by itself."""


def limit(handle: LaunchHandle) -> None:
    """The pilot ends it for a broken limit."""
    launcher.stop(handle, DEADLINE_S, "limit")


def server(handle: LaunchHandle) -> None:
    """The server wants it killed."""
    launcher.stop(handle, DEADLINE_S, "server_kill")


def batch(handle: LaunchHandle) -> None:
    """A batch system signals the launcher."""
    os.kill(handle.launcher.pid, signal.SIGTERM)


def record_of(folder: Path, script: str, end: End) -> PayloadExit:
    """Run a payload, and end it or let it end."""

    async def scenario() -> PayloadExit:
        handle = await launcher.launch(payload(folder, script))
        end(handle)
        found = await asyncio.wait_for(launcher.wait(handle), DEADLINE_S)
        assert isinstance(found, Exited), found
        return found.exit

    return go(scenario())


@pytest.mark.parametrize(
    ("script", "end", "status", "by"),
    [
        ("exit 2", nobody, 2, "itself"),
        ("exit 3", nobody, 3, "itself"),
        ("exit 255", nobody, 255, "itself"),
        ("exit 137", nobody, 137, "itself"),
        ("kill -KILL $$", nobody, 137, "unknown"),
        ("kill -SEGV $$", nobody, 139, "itself"),
        ("exec sleep 600", limit, 143, "pilot"),
        ("exec sleep 600", server, 143, "server"),
        ("exec sleep 600", batch, 143, "batch"),
    ],
)
def test_what_the_launcher_saw_is_kept_and_told(
    tmp_path: Path, script: str, end: End, status: int, by: str
) -> None:
    """The journal's record is the launcher's to the last field, also when it is read again, and so is the report."""
    seen = record_of(tmp_path, script, end)
    journal = Journal(tmp_path / "journal.jsonl", "p1", lambda: 1_800_000_000.0)
    started = ev.PayloadStarted(pid=4242, start_ticks=99, started_at=seen.started_at)
    for event in (
        *(ev.JobReceived(job=JOB, queue="Q"), ev.Admitted(), ev.Prepared(), started),
        *(ev.PayloadExited(exit=seen), ev.Diagnosed(faults=(BAD_END,))),
    ):
        journal.append(event)
    journal.close()

    case = fold((record.event, record.at) for record in read(tmp_path / "journal.jsonl"))
    assert case is not None
    assert case.exit == seen
    found = go(launcher.find(tmp_path / "launch"))
    assert isinstance(found, Exited) and found.exit == seen

    values = update_values(final_report(case, Sender(site_name="Q", node="n1")))
    assert values["trans_exit_code"] == status
    metrics = dict(pair.split("=", 1) for pair in str(values["job_metrics"]).split())
    assert metrics["payloadEndedBy"] == by
    assert ("payloadSignal" in metrics) == (seen.signal is not None) == (not script.startswith("exit"))
