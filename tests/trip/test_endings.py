"""Each way for a pilot or a job to end, as docs/reference/endings.md has it, with real processes."""

import json
import signal
import tarfile
from pathlib import Path

import pytest

from grid import Grid, wait_for
from picard_pilot.system import proc

WAIT_FOR_EVER = "import time\nprint('begun', flush=True)\nwhile True: time.sleep(1)\n"
IGNORE_TERM = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + WAIT_FOR_EVER
END_WELL_ON_TERM = (
    "import signal, sys, time\n"
    "def end(*_):\n    open('out.txt', 'w').write('saved'); sys.exit(0)\n"
    "signal.signal(signal.SIGTERM, end)\n" + WAIT_FOR_EVER
)
WRITE_OUTPUT = "open('out.txt', 'w').write('the result')\n"
OUTPUT = {"outFiles": "out.$PANDAID.txt", "scopeOut": "test"}


def write_output(job_name: str) -> str:
    """A payload that writes the one output, whose name has the job's number."""
    return f"import os\nopen('out.' + os.environ['PANDAID'] + '.txt', 'w').write('{job_name}')\n"


def payload_gone(pid: int, start_ticks: int) -> bool:
    return not proc.is_running(proc.ProcessId(pid=pid, start_ticks=start_ticks))


def started_payload(grid: Grid, job_id: int) -> tuple[int, int]:
    """Wait until the payload runs and has written something; its pid and start time."""
    grid.wait_event(job_id, "PayloadStarted")
    wait_for(lambda: (grid.job_dir(job_id) / "payload.stdout").stat().st_size, "the payload's first words")
    event = next(one["event"] for one in grid.journal(job_id) if one["event"]["event"] == "PayloadStarted")
    return event["pid"], event["start_ticks"]


def log_members(grid: Grid, job_id: int) -> list[str]:
    with tarfile.open(grid.store / f"log.{job_id}.tgz") as archive:
        return [Path(name).name for name in archive.getnames()]


def test_a_good_job_is_finished_and_leaves_nothing(grid: Grid) -> None:
    """Input checked, output stored where the report says, log archived, directory removed, exit code 0."""
    checksum = grid.put("in.txt", b"hello")
    job_id = grid.submit_python(
        "import os\ntext = open('in.txt').read()\n"
        "open('out.' + os.environ['PANDAID'] + '.txt', 'w').write(text.upper())\n",
        inFiles="in.txt", fsize="5", checksum=checksum, scopeIn="test", ddmEndPointIn="DISK", GUID="G1",
        outFiles="out.$PANDAID.txt", scopeOut="test",
    )  # fmt: skip
    pilot = grid.pilot("--jobs", "1")
    assert pilot.wait(60) == 0, grid.output()
    assert grid.wait_status(job_id, "finished", "failed") == "finished", grid.errors(job_id)
    files = {one["lfn"]: one for one in grid.job(job_id)["files"]}
    output = files[f"out.{job_id}.txt"]
    assert Path(output["surl"].removeprefix("file://")).read_text() == "HELLO"
    assert "pilotlog.txt" in log_members(grid, job_id)
    assert not grid.job_dir(job_id).exists()
    told = [one["sub_status"] for one in grid.job(job_id)["history"] if one["who"] == "pilot"]
    assert told == ["starting", "setup", "stagein", "running", "stageout", "finishing", "finished"]


def test_a_payload_that_exits_7_says_so(grid: Grid) -> None:
    """The payload's own exit code and its last words reach the server; the pilot itself did its part: 0."""
    job_id = grid.submit_python("import sys\nprint('no such calibration', file=sys.stderr)\nsys.exit(7)\n")
    assert grid.pilot("--jobs", "1").wait(60) == 0
    assert grid.wait_status(job_id, "failed", "finished") == "failed"
    code, diag = grid.errors(job_id)["pilot"]
    assert code == 1305
    assert "exit code 7" in diag
    assert "no such calibration" in diag
    assert grid.errors(job_id)["payload"][0] == 7


def test_a_payload_killed_by_a_signal_is_told_apart(grid: Grid) -> None:
    """The signal is named, and the server gets 128 + 9."""
    job_id = grid.submit_python("import os\nos.kill(os.getpid(), 9)\n")
    assert grid.pilot("--jobs", "1").wait(60) == 0
    assert grid.wait_status(job_id, "failed", "finished") == "failed"
    assert "signal 9 (SIGKILL)" in grid.errors(job_id)["pilot"][1]
    assert grid.errors(job_id)["payload"][0] == 137


def test_a_missing_input_is_named(grid: Grid) -> None:
    """1331 with the file's name; the payload never starts, the log is stored."""
    job_id = grid.submit(
        "/bin/true", inFiles="nowhere.root", fsize="5", checksum="ad:00000001", scopeIn="test", ddmEndPointIn="DISK",
        GUID="G1",
    )  # fmt: skip
    assert grid.pilot("--jobs", "1").wait(60) == 0
    assert grid.wait_status(job_id, "failed", "finished") == "failed"
    code, diag = grid.errors(job_id)["pilot"]
    assert code == 1331
    assert "nowhere.root" in diag
    assert "payload.stdout" not in log_members(grid, job_id)


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGTERM, 1201),
        (signal.SIGINT, 1208),
        (signal.SIGQUIT, 1202),
        (signal.SIGXCPU, 1204),
        (signal.SIGUSR1, 1207),
        (signal.SIGUSR2, 1200),
        (signal.SIGHUP, 1200),
    ],
)
def test_a_signal_stops_the_payload_and_the_report_leaves(
    grid: Grid, number: signal.Signals, code: int
) -> None:
    """The payload is gone, the job failed with the signal's number and its log, the exit code is 128 + signal."""
    job_id = grid.submit_python(WAIT_FOR_EVER)
    pilot = grid.pilot()
    payload = started_payload(grid, job_id)
    pilot.send_signal(number)
    assert pilot.wait(60) == 128 + number, grid.output()
    assert payload_gone(*payload)
    assert grid.wait_status(job_id, "failed", "finished") == "failed"
    assert grid.errors(job_id)["pilot"][0] == code
    assert "payload.stdout" in log_members(grid, job_id)
    assert not grid.job_dir(job_id).exists()


def test_a_payload_that_ignores_sigterm_is_killed_after_its_grace(grid: Grid) -> None:
    """Politely first, then with force."""
    job_id = grid.submit_python(IGNORE_TERM)
    pilot = grid.pilot("--stop-grace", "0.3")
    payload = started_payload(grid, job_id)
    pilot.send_signal(signal.SIGTERM)
    assert pilot.wait(60) == 143, grid.output()
    assert payload_gone(*payload)
    assert grid.errors(job_id)["payload"][0] == 137


def test_a_payload_that_ends_well_on_sigterm_keeps_its_results(grid: Grid) -> None:
    """What is done is stored, although the slot ends."""
    code = END_WELL_ON_TERM.replace("'out.txt'", "'out.' + __import__('os').environ['PANDAID'] + '.txt'")
    job_id = grid.submit_python(code, **OUTPUT)
    pilot = grid.pilot()
    started_payload(grid, job_id)
    pilot.send_signal(signal.SIGTERM)
    assert pilot.wait(60) == 143, grid.output()
    assert grid.wait_status(job_id, "failed", "finished") == "finished", grid.errors(job_id)
    assert (grid.store / f"out.{job_id}.txt").read_text() == "saved"


def test_the_server_s_kill_ends_the_payload_and_the_pilot_goes_on(grid: Grid) -> None:
    """1144, no outputs, and the next job is taken."""
    first = grid.submit_python(WAIT_FOR_EVER)
    pilot = grid.pilot()
    payload = started_payload(grid, first)
    second = grid.submit("/bin/true")
    grid.wait_status(first, "running")
    grid.kill(first)
    grid.wait_status(first, "failed", "cancelled")
    assert payload_gone(*payload)
    assert grid.wait_status(second, "finished", "failed") == "finished"
    assert pilot.wait(60) == 0, grid.output()
    assert grid.errors(first)["pilot"][0] == 1144


def test_softkill_lets_the_job_end_and_takes_no_further_one(grid: Grid) -> None:
    """The payload ends by itself and its output is stored."""
    code = (
        "import os, time\nprint('begun', flush=True)\n"
        "while not os.path.exists('go'): time.sleep(0.02)\n" + write_output("soft")
    )
    first = grid.submit_python(code, **OUTPUT)
    second = grid.submit("/bin/true")
    pilot = grid.pilot()
    started_payload(grid, first)
    grid.command(first, "softkill")
    wait_for(lambda: "softkill" in grid.output(), "the pilot heard of the softkill")
    (grid.job_dir(first) / "go").touch()
    assert pilot.wait(60) == 0, grid.output()
    assert grid.wait_status(first, "finished", "failed") == "finished"
    assert grid.status(second) == "activated"


def test_the_end_of_the_lifetime_stops_the_payload(grid: Grid) -> None:
    """1213, and exit code 81."""
    job_id = grid.submit_python(WAIT_FOR_EVER)
    pilot = grid.pilot("--lifetime", "3")
    payload = started_payload(grid, job_id)
    assert pilot.wait(60) == 81, grid.output()
    assert payload_gone(*payload)
    assert grid.wait_status(job_id, "failed", "finished") == "failed"
    assert grid.errors(job_id)["pilot"][0] == 1213


def test_a_failed_job_is_tried_again_up_to_its_limit(grid: Grid) -> None:
    """The retry is a new job with the next attempt number, linked to its parent, and the same pilot may run it."""
    marker = grid.directory / "tried"
    code = f"import os, sys\nif not os.path.exists({str(marker)!r}):\n    open({str(marker)!r}, 'w'); sys.exit(3)\n"
    first = grid.submit_python(code, maxAttempt=3)
    assert grid.pilot("--queue-patience", "5").wait(60) == 0, grid.output()
    assert grid.wait_status(first, "failed", "finished") == "failed"
    attempts = grid.job(first)["attempts"]
    assert [(one["attempt_nr"], one["status"]) for one in attempts] == [(1, "failed"), (2, "finished")]
    assert grid.job(attempts[1]["job_id"])["row"]["parent_id"] == first


def test_an_empty_queue_is_left(grid: Grid) -> None:
    """82 when there never was a job."""
    assert grid.pilot().wait(60) == 82, grid.output()


def test_a_second_pilot_leaves_the_first_one_s_job_alone(grid: Grid) -> None:
    """The lease keeps two pilots in one work directory from each other's jobs."""
    job_id = grid.submit_python(WAIT_FOR_EVER)
    first = grid.pilot()
    payload = started_payload(grid, job_id)
    second = grid.pilot()
    assert second.wait(60) == 82, grid.output()
    assert not payload_gone(*payload)
    assert "holds this job" in grid.output()
    first.send_signal(signal.SIGTERM)
    assert first.wait(60) == 143


def test_a_pilot_without_queue_data_says_what_is_missing(grid: Grid) -> None:
    """71, with the three lines; 83 for a queue that is offline."""
    grid.queue = "NOWHERE"
    assert grid.pilot().wait(60) == 71
    assert "Nothing is known about the queue" in grid.output()
    grid.queue = "OFFLINE"
    grid.site_file.write_text('[queue.OFFLINE]\nstate = "ACTIVE"\nstatus = "offline"\n')
    assert grid.pilot().wait(60) == 83, grid.output()


def test_secrets_stay_out_of_everything_that_is_kept(grid: Grid) -> None:
    """The token is in no log, journal, archive or payload environment."""
    token = Path(grid.info.data_dir, "tokens", "pilot.token").read_text().strip()
    code = "import os, json, sys\nprint(json.dumps(dict(os.environ)))\n"
    job_id = grid.submit_python(code + "print('lost: hunter2' + '2', file=sys.stderr)\nsys.exit(3)\n")
    assert grid.pilot("--no-cleanup", "--jobs", "1", BEARER_TOKEN=token, MY_PASSWORD="hunter22").wait(60) == 0
    seen = json.loads((grid.job_dir(job_id) / "payload.stdout").read_text())
    assert seen["PANDAID"] == str(job_id)
    assert not {"BEARER_TOKEN", "MY_PASSWORD"} & seen.keys()
    for path in (path for path in grid.workdir.rglob("*") if path.is_file()):
        assert token.encode() not in path.read_bytes(), path
        assert path.name == "payload.stderr" or b"hunter22" not in path.read_bytes(), path
    told = json.dumps(grid.job(job_id))
    assert "exit code 3" in told and "lost: " in told and "hunter22" not in told
    with tarfile.open(grid.store / f"log.{job_id}.tgz") as archive:
        for member in archive.getmembers():
            content = archive.extractfile(member)
            assert content is None or token.encode() not in content.read(), member.name
