"""A clean node with several pilots on it, with pilots that were killed, and with jobs that are left on purpose."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import clean_kit as outside
import pytest
from clean_kit import assert_nothing_is_left, diary, payload

from grid import Grid, clean_environment, wait_for
from picard_pilot.system.shim.kernel import call
from picard_pilot.system.strays import IPC_RMID

WAITS = (
    "tell('begun')\nend = time.monotonic() + 120\n"
    "while not os.path.exists('go') and time.monotonic() < end: time.sleep(0.02)\n"
)
"""A payload that goes on when it is told to."""


def begun(grid: Grid, count: int = 1) -> None:
    """Wait until so many payloads wait for their word."""
    wait_for(lambda: len(diary(grid, "begun")) >= count, f"{count} payloads to begin: {grid.output()}")


def entries_of(receipt: dict[str, list[dict[str, object]]], what: str, job_id: int) -> list[object]:
    """The kinds of things in this part of a receipt that are of the job."""
    return sorted(str(entry["kind"]) for entry in receipt[what] if entry["job_id"] == job_id)


@pytest.fixture
def innocent(mark: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A process of the same user that looks much like a payload's: it must live on."""
    code = "import sys, time; sys.stdin.readline()"
    started = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", code, "PanDA_Pilot-1"],
        stdin=subprocess.PIPE,
        env={"PANDAID": "1", "PICARD_LAUNCH_ID": "0" * 16},
        start_new_session=True,
    )
    yield started
    alive = started.poll() is None
    started.communicate(b"\n")
    assert alive


def test_pilots_on_one_node_do_not_touch_each_others_things(
    grid: Grid, workdir: Path, mark: str, innocent: "subprocess.Popen[bytes]"
) -> None:
    """One is over while the other's payload runs, with memory and processes of its own, in the same directory."""
    shm = "tell('segment %d' % ctypes.CDLL(None).shmget(0, 4096, 0o600))\n"
    file = "kept = seen(opened, '/dev/shm/' + MARK)\n"
    first = payload(
        grid, mark, shm + file + "subprocess.Popen(SLEEPER, start_new_session=True); started(1)\n" + WAITS
    )
    long = grid.pilot("--jobs", "1", workdir=workdir)
    begun(grid)
    second = grid.submit("/bin/true")
    assert grid.pilot("--jobs", "1", workdir=workdir).wait(120) == 0, grid.output()
    assert grid.wait_status(second, "finished", "failed") == "finished", grid.errors(second)
    (receipt,) = outside.receipts(workdir)
    assert receipt["covers"] == []
    assert receipt["remains"] == receipt["removed"] == receipt["kept"] == []
    assert outside.named(receipt["doubtful"], mark) == []
    # All of the first is there, and its ledger too.
    assert outside.processes(mark)
    assert outside.files(mark) == [f"/dev/shm/{mark}"]
    assert all(outside.has_segment(int(number)) for number in diary(grid, "segment"))
    assert len(outside.ledgers(workdir)) == 1
    (workdir / f"PanDA_Pilot-{first}" / "go").touch()
    assert long.wait(120) == 0, grid.output()
    assert grid.wait_status(first, "finished", "failed") == "finished", grid.errors(first)
    assert_nothing_is_left(grid, workdir, mark)
    assert outside.ledgers(workdir) == []


def test_the_next_pilots_receipt_covers_one_that_was_killed(
    grid: Grid, workdir: Path, mark: str, innocent: "subprocess.Popen[bytes]"
) -> None:
    """The later one finishes the job, and vouches for all that the first had made."""
    shm = "tell('segment %d' % ctypes.CDLL(None).shmget(0, 4096, 0o600))\n"
    job_id = payload(
        grid, mark, shm + "subprocess.Popen(SLEEPER, start_new_session=True); started(1)\n" + WAITS
    )
    pilot = grid.pilot("--jobs", "1", workdir=workdir)
    begun(grid)
    wait_for(lambda: "payload of job" in ledger_text(workdir), "the payload to stand in the ledger")
    pilot.kill()
    pilot.wait()
    assert outside.receipts(workdir) == []
    (left,) = outside.ledgers(workdir)
    (workdir / f"PanDA_Pilot-{job_id}" / "go").touch()
    assert grid.pilot("--jobs", "1", workdir=workdir).wait(120) in (0, 82), grid.output()
    assert grid.wait_status(job_id, "finished", "failed") == "finished", grid.errors(job_id)
    assert_nothing_is_left(grid, workdir, mark)
    (receipt,) = outside.receipts(workdir)
    assert receipt["covers"] == [left.name.removesuffix(".jsonl")]
    assert receipt["remains"] == receipt["kept"] == []
    assert outside.ledgers(workdir) == []


def test_what_a_killed_pilot_left_without_its_job_is_ended(
    grid: Grid, workdir: Path, mark: str, innocent: "subprocess.Popen[bytes]"
) -> None:
    """Somebody removed the job's directory and killed the payload's launcher as well: the ledger knows the rest."""
    code = "subprocess.Popen(SLEEPER, start_new_session=True); started(1)\n" + WAITS
    job_id = payload(grid, mark, code)
    pilot = grid.pilot("--jobs", "1", workdir=workdir)
    begun(grid)
    wait_for(lambda: "payload of job" in ledger_text(workdir), "the payload to stand in the ledger")
    pilot.kill()
    pilot.wait()
    launcher = next(line for line in ledger_text(workdir).splitlines() if "payload of job" in line)
    os.kill(int(launcher.partition('"launcher":{"pid":')[2].partition(",")[0]), signal.SIGKILL)
    shutil.rmtree(workdir / f"PanDA_Pilot-{job_id}")
    assert outside.processes(mark)
    assert grid.pilot("--jobs", "1", workdir=workdir).wait(120) in (0, 82), grid.output()
    assert_nothing_is_left(grid, workdir, mark)
    (receipt,) = outside.receipts(workdir)
    assert entries_of(receipt, "removed", job_id) == ["process tree"]
    assert receipt["remains"] == []
    assert outside.ledgers(workdir) == []


def test_a_job_that_waits_for_a_later_pilot_is_kept_and_said_to_be(
    grid: Grid, workdir: Path, mark: str
) -> None:
    """Its payload runs on; no receipt calls it a remnant, and the pilot that finishes it settles all."""
    job_id = payload(grid, mark, "subprocess.Popen(SLEEPER); started(1)\n" + WAITS)
    pilot = grid.pilot("--jobs", "1", workdir=workdir)
    begun(grid)
    wait_for(lambda: "payload of job" in ledger_text(workdir), "the payload to stand in the ledger")
    pilot.kill()
    pilot.wait()
    assert grid.pilot("--jobs", "1", "--no-recover", workdir=workdir).wait(120) in (0, 82), grid.output()
    (receipt,) = outside.receipts(workdir)
    assert receipt["remains"] == receipt["removed"] == []
    assert entries_of(receipt, "kept", job_id) == ["directory", "process tree"]
    assert outside.processes(mark)
    assert len(outside.ledgers(workdir)) == 1
    (workdir / f"PanDA_Pilot-{job_id}" / "go").touch()
    assert grid.pilot("--jobs", "1", workdir=workdir).wait(120) in (0, 82), grid.output()
    assert grid.wait_status(job_id, "finished", "failed") == "finished", grid.errors(job_id)
    assert_nothing_is_left(grid, workdir, mark)
    assert outside.ledgers(workdir) == []


def test_a_directory_that_was_to_be_kept_is_no_remnant(grid: Grid, workdir: Path, mark: str) -> None:
    """But of its payload nothing lives on."""
    job_id = payload(grid, mark, "subprocess.Popen(SLEEPER, start_new_session=True); started(1)\n")
    assert grid.pilot("--jobs", "1", "--no-cleanup", workdir=workdir).wait(120) == 0, grid.output()
    (receipt,) = outside.receipts(workdir)
    assert entries_of(receipt, "kept", job_id) == ["directory"]
    assert receipt["remains"] == []
    assert receipt["gone"]["process tree"] >= 1
    assert outside.processes(mark) == []


def test_what_nobody_can_assign_is_told_and_left_alone(grid: Grid, workdir: Path, mark: str) -> None:
    """A directory in /tmp, semaphores, a message queue: the kernel does not say who made them."""
    code = (
        "library = ctypes.CDLL(None)\nos.mkdir('/tmp/' + MARK)\ntell('semaphores %d' % library.semget(0, 1, 0o600))\n"
        "tell('queue %d' % library.msgget(0, 0o600))\n"
    )
    job_id = payload(grid, mark, code)
    try:
        assert grid.pilot("--jobs", "1", workdir=workdir).wait(120) == 0, grid.output()
        (receipt,) = outside.receipts(workdir)
        assert len(outside.named(receipt["doubtful"], mark)) == 1
        (semaphores,), (queue,) = diary(grid, "semaphores"), diary(grid, "queue")
        for says in (f"semaphore set {semaphores}", f"message queue {queue}"):
            (entry,) = outside.named(receipt["doubtful"], says)
            assert entry["job_id"] == job_id
        assert outside.files(mark) == [f"/tmp/{mark}"]
    finally:
        Path("/tmp", mark).rmdir()
        # It says that they are still there.
        for number in diary(grid, "semaphores"):
            assert call("semctl", int(number), 0, IPC_RMID) == 0
        for number in diary(grid, "queue"):
            assert call("msgctl", int(number), IPC_RMID, 0) == 0


def test_what_others_use_is_not_removed(grid: Grid, workdir: Path, mark: str) -> None:
    """A file that the payload made, and that somebody else has open by then: it stays, with the job's number."""
    made = Path("/dev/shm", mark)
    job_id = payload(grid, mark, "kept = seen(opened, '/dev/shm/' + MARK)\n" + WAITS)
    pilot = grid.pilot("--jobs", "1", workdir=workdir)
    begun(grid)
    with made.open():
        (workdir / f"PanDA_Pilot-{job_id}" / "go").touch()
        assert pilot.wait(120) == 0, grid.output()
        (receipt,) = outside.receipts(workdir)
        (entry,) = receipt["remains"]
        assert (entry["kind"], entry["job_id"]) == ("file", job_id)
        assert f"process {os.getpid()}" in entry["why"]
        assert "the node is not clean: " in grid.output()
        assert made.exists()
    (told,) = [row for row in told_of(workdir) if row["state"] == "remains"]
    assert (told["job_id"], told["says"], told["why"]) == (job_id, entry["says"], entry["why"])
    # The next pilot settles it.
    assert grid.pilot("--jobs", "1", workdir=workdir).wait(120) in (0, 82), grid.output()
    assert outside.receipts(workdir)[-1]["remains"] == []
    assert [row for row in told_of(workdir) if row["state"] == "remains"] == []
    assert_nothing_is_left(grid, workdir, mark)
    assert outside.ledgers(workdir) == []


def told_of(workdir: Path) -> list[dict[str, object]]:
    """What the command line says of this work directory's receipts."""
    command = (sys.executable, "-m", "picard_pilot.cli.main", "recover", "receipts", str(workdir), "--json")
    done = subprocess.run(command, capture_output=True, text=True, env=clean_environment(), check=True)
    return list(json.loads(done.stdout)["data"])


def ledger_text(workdir: Path) -> str:
    """All ledgers."""
    return "".join(path.read_text() for path in outside.ledgers(workdir))


def test_a_directory_that_nobody_understands_is_told_and_not_removed(
    grid: Grid, workdir: Path, mark: str
) -> None:
    """Its journal is damaged: whether its outputs are safe has to be seen by somebody, so that nothing is lost."""
    job_id = payload(grid, mark, WAITS)
    pilot = grid.pilot("--jobs", "1", workdir=workdir)
    begun(grid)
    wait_for(lambda: "payload of job" in ledger_text(workdir), "the payload to stand in the ledger")
    pilot.kill()
    pilot.wait()
    directory = workdir / f"PanDA_Pilot-{job_id}"
    (directory / "go").touch()
    wait_for((directory / f"out.{job_id}.txt").exists, "the output")
    journal = directory / "picard" / "journal.jsonl"
    journal.write_bytes(b"damaged\n" + journal.read_bytes())
    assert grid.pilot("--jobs", "1", workdir=workdir).wait(120) in (0, 82), grid.output()
    assert (directory / f"out.{job_id}.txt").exists()
    (receipt,) = outside.receipts(workdir)
    assert "directory" in entries_of(receipt, "remains", job_id)
    assert "its journal cannot be followed" in grid.output()


def test_a_removal_that_was_interrupted_is_finished(grid: Grid, workdir: Path, mark: str) -> None:
    """The journal goes last: without it an empty directory is all that is left of a job."""
    job_id = payload(grid, mark, WAITS)
    pilot = grid.pilot("--jobs", "1", workdir=workdir)
    begun(grid)
    wait_for(lambda: "payload of job" in ledger_text(workdir), "the payload to stand in the ledger")
    pilot.kill()
    pilot.wait()
    directory = workdir / f"PanDA_Pilot-{job_id}"
    for path in sorted(directory.rglob("*"), reverse=True):
        if path.name != "picard":
            path.rmdir() if path.is_dir() else path.unlink()
    assert grid.pilot("--jobs", "1", workdir=workdir).wait(120) in (0, 82), grid.output()
    assert_nothing_is_left(grid, workdir, mark)
    (receipt,) = outside.receipts(workdir)
    assert entries_of(receipt, "removed", job_id) == ["directory", "process tree"]


def test_on_a_network_file_system_nothing_is_left(grid: Grid, workdir: Path, mark: str) -> None:
    """There no directory goes in which a file was removed that anybody on the node had open: the pilot itself, its
    transfer worker, the launcher, or what the payload left running. Two jobs, so that the pilot goes on meanwhile."""
    leaves = (
        "kept = open('held', 'w')\n"
        "subprocess.Popen(SLEEPER, start_new_session=True, pass_fds=[kept.fileno()]); started({count})\n"
    )
    jobs = [payload(grid, mark, leaves.format(count=count)) for count in (1, 2)]
    pilot = grid.pilot("--jobs", "2", workdir=workdir, program=("tests/trip/network_pilot.py",))
    assert pilot.wait(120) == 0, grid.output()
    assert [grid.wait_status(job_id, "finished", "failed") for job_id in jobs] == ["finished"] * 2
    assert "not removed" not in grid.output()
    assert_nothing_is_left(grid, workdir, mark)
    (receipt,) = outside.receipts(workdir)
    assert receipt["remains"] == receipt["kept"] == []
    assert outside.ledgers(workdir) == []


def test_what_a_hook_started_ends_with_the_pilot(grid: Grid, workdir: Path, mark: str) -> None:
    """It is a child of the pilot, which has waited for all that it started itself."""
    job_id = grid.submit("/bin/true")
    naughty = {"NAUGHTY_HOOK": "check", "NAUGHTY_WAY": "start", "NAUGHTY_MARK": mark}
    place = {"PYTHONPATH": str(Path(__file__).parent)}
    flags = ("--jobs", "1", "--plugin", "naughty_experiment:Naughty")
    pilot = grid.pilot(*flags, workdir=workdir, **naughty, **place)
    assert pilot.wait(120) == 0, grid.output()
    assert grid.wait_status(job_id, "finished", "failed") == "finished", grid.errors(job_id)
    assert_nothing_is_left(grid, workdir, mark)
    (receipt,) = outside.receipts(workdir)
    assert len(outside.named(receipt["removed"], "started by the pilot itself")) == 1
