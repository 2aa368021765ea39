"""Kill -9 of what works for a pilot, pilots that race for the same jobs, and journals that cannot be followed."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from hostile_kit import picture

from grid import Grid, wait_for

HERE = Path(__file__).parent
WAIT = "import time\nprint('begun', flush=True)\nwhile True: time.sleep(0.05)\n"
WITH_DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while True: time.sleep(0.05)
    os._exit(0)
os.wait()
print('begun', flush=True)
while True: time.sleep(0.05)
"""
"""A payload with a daemon of its own: another session, and an orphan."""


def begun(grid: Grid, job_id: int) -> dict[str, int]:
    """Wait for the payload's first words; its journal event."""
    grid.wait_event(job_id, "PayloadStarted")
    wait_for(lambda: (grid.job_dir(job_id) / "payload.stdout").stat().st_size, "the payload's first words")
    return next(one["event"] for one in grid.journal(job_id) if one["event"]["event"] == "PayloadStarted")


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def processes_in(directory: Path) -> list[int]:
    """The processes whose working directory this is."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cwd").readlink() == directory:
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def children_of(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(word) for task in tasks for word in (task / "children").read_text().split()]


def test_the_launcher_alone_is_killed(grid: Grid) -> None:
    """Lost with the slot (1200), not the program's failure; nothing of the payload survives, the pilot goes on."""
    first = grid.submit_python(WITH_DAEMON)
    pilot = grid.pilot()
    payload = begun(grid, first)
    directory = grid.job_dir(first)
    assert len(processes_in(directory)) == 2
    second = grid.submit("/bin/true")
    os.kill(parent_of(payload["pid"]), signal.SIGKILL)
    assert grid.wait_status(first, "failed", "finished") == "failed"
    assert grid.errors(first)["pilot"][0] == 1200, grid.errors(first)
    assert grid.wait_status(second, "finished", "failed") == "finished"
    assert pilot.wait(60) == 0, grid.output()[-3000:]
    assert processes_in(directory) == []
    assert "never awaited" not in grid.output()


@pytest.mark.parametrize("kind", ["symlink", "link"])
def test_a_stranger_who_writes_where_a_payload_s_link_leads_lives_on(grid: Grid, kind: str) -> None:
    """The payload put a link to somebody's log in place of its own: its leftovers are not told by that file."""
    log = grid.directory / "somebody.log"
    with log.open("wb") as output:
        stranger = subprocess.Popen(["sleep", "600"], stdout=output, stdin=subprocess.DEVNULL)
    try:
        job_id = grid.submit_python(
            "import os, time\nprint('begun', flush=True)\nos.rename('payload.stdout', 'kept')\n"
            f"os.{kind}({str(log)!r}, 'payload.stdout')\nwhile True: time.sleep(0.05)\n"
        )
        grid.pilot("--jobs", "1")
        grid.wait_event(job_id, "PayloadStarted")
        wait_for(lambda: (grid.job_dir(job_id) / "kept").exists(), "the link is there")
        payload = next(
            one["event"] for one in grid.journal(job_id) if one["event"]["event"] == "PayloadStarted"
        )
        os.kill(parent_of(payload["pid"]), signal.SIGKILL)
        assert grid.wait_status(job_id, "failed", "finished") == "failed"
        assert grid.errors(job_id)["pilot"][0] == 1200
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_pilot_and_launcher_are_killed(grid: Grid) -> None:
    """The next pilot ends what is left of the payload and reports 1200, not 1305."""
    job_id = grid.submit_python(WITH_DAEMON)
    pilot = grid.pilot()
    payload = begun(grid, job_id)
    launcher = parent_of(payload["pid"])
    pilot.kill()
    pilot.wait()
    os.kill(launcher, signal.SIGKILL)
    directory = grid.job_dir(job_id)
    assert grid.pilot().wait(60) == 0, grid.output()[-3000:]
    assert grid.wait_status(job_id, "failed", "finished") == "failed"
    code, diag = grid.errors(job_id)["pilot"]
    assert code == 1200, diag
    assert processes_in(directory) == []
    assert not directory.exists()


def test_the_transfer_worker_is_killed_in_mid_file(grid: Grid) -> None:
    """The file is fetched again, whole, by a new worker; nothing is left of the half one."""
    content = os.urandom(2_000_000)
    checksum = grid.put("in.dat", content)
    grid.site_file.write_text(
        grid.site_file.read_text().replace(
            'status = "online"', 'status = "online"\nmovers = { default = ["patient_mover:Patient"] }'
        )
    )
    job_id = grid.submit_python(
        "import os\nprint(os.path.getsize('in.dat'), sorted(os.listdir('.')))\n",
        inFiles="in.dat", fsize="2000000", checksum=checksum, scopeIn="t", ddmEndPointIn="DISK", GUID="G",
    )  # fmt: skip
    pilot = grid.pilot("--jobs", "1", "--no-cleanup", PYTHONPATH=str(HERE))
    wait_for(lambda: list(grid.job_dir(job_id).glob(".in.dat.*.part")), "the transfer is in mid-file")
    (worker,) = children_of(pilot.pid)
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: worker not in children_of(pilot.pid), "the worker is gone")
    (grid.store / "in.dat.go").touch()
    assert pilot.wait(60) == 0, grid.output()[-3000:]
    assert grid.wait_status(job_id, "finished", "failed") == "finished", grid.errors(job_id)
    said = (grid.job_dir(job_id) / "payload.stdout").read_text()
    assert said.startswith("2000000")
    assert ".part" not in said
    assert (grid.job_dir(job_id) / "in.dat").read_bytes() == content


def left_jobs(grid: Grid, count: int) -> list[int]:
    """Jobs whose pilots were killed while their payloads ran, all in one work directory."""
    left = []
    for _ in range(count):
        job_id = grid.submit_python(
            "import os, time\nprint('begun', flush=True)\nwhile not os.path.exists('go'): time.sleep(0.02)\n"
            "open('out.' + os.environ['PANDAID'] + '.txt', 'w').write('saved')\n",
            outFiles="out.$PANDAID.txt", scopeOut="t",
        )  # fmt: skip
        pilot = grid.pilot("--jobs", "1", "--no-recover")
        begun(grid, job_id)
        pilot.kill()
        pilot.wait()
        left.append(job_id)
    return left


def test_four_pilots_race_for_five_left_jobs(grid: Grid) -> None:
    """Each job is taken up by exactly one of them, ends once, and leaves nothing in the work directory."""
    left = left_jobs(grid, 5)
    pilots = [grid.pilot() for _ in range(4)]
    for job_id in left:
        grid.wait_event(job_id, "Resumed")
    wait_for(
        lambda: grid.output().count("holds this job") == 15, "the three others saw each job with its holder"
    )
    journals = {job_id: grid.events(job_id) for job_id in left}
    for job_id in left:
        (grid.job_dir(job_id) / "go").touch()
    assert {pilot.wait(60) for pilot in pilots} <= {0, 82}, grid.output()[-3000:]
    for job_id in left:
        assert journals[job_id].count("Resumed") == 1
        assert grid.output().count(f"job {job_id} was left by an earlier pilot") == 1
        assert grid.wait_status(job_id, "finished", "failed") == "finished", grid.errors(job_id)
        assert (grid.store / f"out.{job_id}.txt").read_text() == "saved"
    assert not list(grid.workdir.glob("PanDA_Pilot-*"))


def test_rescuers_that_come_one_after_another_leave_nothing(grid: Grid) -> None:
    """A pilot that looks while another one is just clearing a directory away makes no ghost of it."""
    left = left_jobs(grid, 3)
    for job_id in left:
        (grid.job_dir(job_id) / "go").touch()
    pilots = [grid.pilot() for _ in range(4)]
    assert {pilot.wait(60) for pilot in pilots} <= {0, 82}, grid.output()[-3000:]
    for job_id in left:
        assert grid.wait_status(job_id, "finished", "failed") == "finished", grid.errors(job_id)
    assert not list(grid.workdir.glob("PanDA_Pilot-*"))


DAMAGES = {
    "not a record": lambda path: path.write_bytes(b"hello\n" + path.read_bytes()),
    "a changed byte": lambda path: path.write_bytes(path.read_bytes().replace(b"Admitted", b"Admitten", 1)),
    "a missing record": lambda path: path.write_bytes(b"".join(path.read_bytes().splitlines(True)[::2])),
    "a record twice": lambda path: path.write_bytes(path.read_bytes() + path.read_bytes()),
    "a directory": lambda path: (path.unlink(), path.mkdir()),
    "a pipe": lambda path: (path.unlink(), os.mkfifo(path)),
    "a link": lambda path: (path.rename(path.with_name("j")), path.symlink_to("j")),
    "a device": lambda path: (path.unlink(), path.symlink_to("/dev/zero")),
    "binary": lambda path: path.write_bytes(os.urandom(100_000) + b"\n" + os.urandom(1000)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_journal_is_left_alone_and_said(grid: Grid, damage: str) -> None:
    """The directory stays as it is, the line says where and why, and the pilot does its other work."""
    (job_id,) = left_jobs(grid, 1)
    private = grid.job_dir(job_id) / "picard"
    shutil.copy(private / "journal.jsonl", grid.directory / "whole")
    DAMAGES[damage](private / "journal.jsonl")
    before = picture(private)
    other = grid.submit("/bin/true")
    pilot = grid.pilot()
    try:
        assert pilot.wait(60) == 0, grid.output()[-3000:]
        assert grid.wait_status(other, "finished", "failed") == "finished"
        said = [line for line in grid.output().splitlines() if "is left as it is" in line]
        assert len(said) == 1, grid.output()[-3000:]
        assert f"PanDA_Pilot-{job_id}" in said[0]
        after = picture(private)
        assert {name: after[name] for name in before if "lease" not in name} == {
            name: kind for name, kind in before.items() if "lease" not in name
        }
        assert '  File "' not in grid.output()
    finally:
        # The grid ends the left payload, which it finds by the journal.
        shutil.rmtree(private / "journal.jsonl") if damage == "a directory" else (
            private / "journal.jsonl"
        ).unlink()
        shutil.copy(grid.directory / "whole", private / "journal.jsonl")


def test_remains_of_all_kinds_do_not_stop_a_pilot(grid: Grid) -> None:
    """Things named like job directories: files, links, empty ones, ones that may not be entered."""
    grid.workdir.mkdir()
    (grid.workdir / "PanDA_Pilot-1001").write_text("a file")
    (grid.workdir / "PanDA_Pilot-1002").symlink_to(grid.directory)
    (grid.workdir / "PanDA_Pilot-1003").mkdir()
    (grid.workdir / "PanDA_Pilot-1004").mkdir()
    (grid.workdir / "PanDA_Pilot-1004" / "picard").write_text("a file")
    empty = grid.workdir / "PanDA_Pilot-1005" / "picard"
    empty.mkdir(parents=True)
    (empty / "journal.jsonl").touch()
    locked = grid.workdir / "PanDA_Pilot-1006" / "picard"
    locked.mkdir(parents=True)
    (locked / "journal.jsonl").touch()
    for private in (empty, locked):
        (private.parent / "kept").touch()  # with nothing beside the empty journal they would be removed
    locked.chmod(0o000)
    job_id = grid.submit("/bin/true")
    try:
        assert grid.pilot().wait(60) == 0, grid.output()[-3000:]
    finally:
        locked.chmod(0o700)
    assert grid.wait_status(job_id, "finished", "failed") == "finished"
    assert '  File "' not in grid.output()
    assert len(list(grid.workdir.glob("PanDA_Pilot-100*"))) == 6
