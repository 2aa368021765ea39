"""`ppilot diagnose`: what went wrong is told from whatever is left of a job, in bounded time, also for a ticket."""

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from picard_pilot.cli.main import main
from picard_pilot.journal.file import Journal
from picard_pilot.lifecycle.fold import fold
from picard_pilot.model import events as ev
from picard_pilot.model.command import PayloadExit
from picard_pilot.model.job import Job
from picard_pilot.payload import jobdir
from picard_pilot.testing.clock import VirtualClock

TRACEBACK = """Traceback (most recent call last):
  File "analysis.py", line 12, in <module>
    main()
ZeroDivisionError: division by zero
"""


def asked(capsys: pytest.CaptureFixture[str], path: Path, *words: str) -> tuple[int, dict[str, Any]]:
    """The exit code and the document of `ppilot diagnose --json`."""
    code = main(["diagnose", str(path), "--json", *words])
    return code, json.loads(capsys.readouterr().out)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A job's directory whose payload exited with 3, and was not diagnosed any more: its pilot was killed then."""
    bundle = jobdir.make(tmp_path, 17, 1)
    clock = VirtualClock()
    journal = Journal(Path(bundle.private, "journal.jsonl"), "p1", clock.now_utc)
    ended = PayloadExit(started_at=clock.now_utc(), ended_at=clock.now_utc(), wall_s=1.0, exit_code=3)
    job = Job(job_id=17, attempt_nr=1, transformation="python3", parameters="analysis.py")
    for event in (
        ev.JobReceived(job=job, queue="Q"),
        ev.Admitted(),
        ev.Prepared(),
        ev.PayloadStarted(pid=1, start_ticks=1, started_at=clock.now_utc()),
        ev.PayloadExited(exit=ended),
    ):
        journal.append(event)
    assert fold((record.event, record.at) for record in journal.records) is not None
    journal.close()
    Path(bundle.stderr).write_text("warming up\n" * 4 + TRACEBACK)
    Path(bundle.stdout).write_text("token=do-not-tell-anybody-123\nhello\n")
    return Path(bundle.directory)


def test_a_job_whose_pilot_was_killed_before_it_could_say_why(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rules of today find the cause, with file and line; the payload's end follows from it."""
    code, told = asked(capsys, folder)
    found = told["data"]
    assert (code, found["kind"], found["job_id"]) == (4, "job", 17)
    first = found["causes"][0]
    assert (first["name"], first["blame"]) == ("PAYLOADEXECUTIONFAILURE", "payload")
    assert "ZeroDivisionError" in first["says"]
    assert ("payload.stderr", 8) in {(one.get("file"), one.get("line")) for one in first["evidence"]}
    assert "recover list" in found["notes"][0]
    assert main(["diagnose", str(folder)]) == 4
    text = capsys.readouterr().out
    assert "payload.stderr:8: ZeroDivisionError: division by zero" in text


def test_a_ticket_holds_summary_and_logs_and_no_secret(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An older file is never overwritten."""
    target = tmp_path / "ticket.tgz"
    assert asked(capsys, folder, "--bundle", str(target))[0] == 4
    with tarfile.open(target) as archive:
        names = archive.getnames()
        summary = archive.extractfile("ticket-17/summary.md")
        stdout = archive.extractfile("ticket-17/payload.stdout")
        assert summary is not None and stdout is not None
        assert "ZeroDivisionError" in summary.read().decode()
        assert b"do-not-tell-anybody" not in stdout.read()
    assert {"ticket-17/payload.stderr", "ticket-17/picard/journal.jsonl"} <= set(names)
    assert asked(capsys, folder, "--bundle", str(target))[0] == 1


def test_its_log_archive_tells_the_same(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also when a server has packed it another way."""
    archive = tmp_path / "log.17.tgz"
    with tarfile.open(archive, "w:gz") as made:
        made.add(folder, arcname="tarball_PandaJob_17_Q")
    code, told = asked(capsys, archive)
    assert (code, told["data"]["causes"][0]["blame"]) == (4, "payload")
    assert told["data"]["notes"] == []


def test_a_lone_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its own name stands in the evidence; one without an error is not recognised."""
    log = tmp_path / "job.out"
    log.write_text("one\n" + TRACEBACK)
    code, told = asked(capsys, log)
    assert (code, told["data"]["kind"]) == (4, "log")
    assert {one.get("file") for one in told["data"]["causes"][0]["evidence"]} <= {"job.out", None}
    log.write_text("all is well\n")
    assert asked(capsys, log)[0] == 3
    assert asked(capsys, tmp_path / "nothing")[0] == 3


@pytest.mark.parametrize("exit_code, name", [(2, "1378"), (3, "1368")])
def test_pilot3s_misreadings_are_set_right(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], exit_code: int, name: str
) -> None:
    """It takes an exit code of 2 or 3 for a timeout of its own; the payload's traceback tells the truth."""
    (tmp_path / "pilotlog.txt").write_text(
        "2026-01-31 12:00:00,000 | INFO     | payload execution finished, exit code=0\n"
        f"2026-01-31 12:00:01,000 | INFO     | {{'jobId': '4711', 'pilotErrorCode': {name},"
        f" 'transExitCode': {exit_code}, 'pilotErrorDiag': 'timed out'}}\n"
    )
    (tmp_path / "payload.stdout").write_text("")
    (tmp_path / "payload.stderr").write_text(TRACEBACK)
    code, told = asked(capsys, tmp_path)
    found = told["data"]
    assert (code, found["kind"], found["job_id"]) == (4, "pilot3 job", 4711)
    assert (found["causes"][0]["code"], found["causes"][0]["blame"]) == (1305, "payload")
    assert f"exits with {exit_code} as {name}" in found["notes"][0]


def test_pilot3s_own_verdict_is_kept_where_it_knows_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A stage-in that failed has no payload."""
    (tmp_path / "pilotlog.txt").write_text(
        "2026-01-31 12:00:01,000 | INFO | {'PandaID': 5, 'pilotErrorCode': 1151, 'pilotErrorDiag': 'copy timed out'}\n"
    )
    code, told = asked(capsys, tmp_path)
    first = told["data"]["causes"][0]
    assert (code, first["code"], first["says"]) == (4, 1151, "copy timed out")
    assert (first["evidence"][0]["file"], first["evidence"][0]["line"]) == ("pilotlog.txt", 1)


def test_rubbish_is_read_in_bounded_time_and_a_verdict_comes_all_the_same(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A log of ten gigabytes without a line's end, a pipe for a report, a journal that is cut off."""
    with (folder / "payload.stdout").open("r+b") as file:
        file.truncate(10 << 30)
    os.mkfifo(folder / "jobReport.json")
    (folder / "payload_error_report.json").write_text("[" * 100_000)
    journal = folder / "picard" / "journal.jsonl"
    journal.write_bytes(journal.read_bytes() + b'{"v":1,"seq":6,\xff\xfe')
    code, told = asked(capsys, folder)
    assert (code, told["data"]["causes"][0]["blame"]) == (4, "payload")
    journal.write_bytes(b"\0" * 4096)
    code, told = asked(capsys, folder)
    assert (code, "journal" in told["data"]["notes"][0]) == (4, True)


def test_all_of_a_log_is_read_where_that_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error stands in the middle, far from both ends: then, and only then, it is found."""
    log = tmp_path / "long.log"
    filler = b"nothing of interest here\n" * 100_000
    log.write_bytes(filler + TRACEBACK.encode() + filler)
    code, told = asked(capsys, log)
    assert (code, "--all" in told["data"]["notes"][0]) == (3, True)
    code, told = asked(capsys, log, "--all")
    assert (code, told["data"]["causes"][0]["evidence"][0]["line"]) == (4, 100_004)


def test_all_of_a_log_tells_no_less_than_its_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The error stands at the end of one line without end, or behind a progress bar."""
    crash = b"*** Break *** segmentation violation"
    for start in (b"an error of x " * 300_000, b"".join(b"%d%% of it\r" % part for part in range(20_000))):
        log = tmp_path / "line.log"
        log.write_bytes(start + crash)
        found = [asked(capsys, log, *words) for words in ((), ("--all",))]
        assert [(code, told["data"]["causes"][0]["name"]) for code, told in found] == [
            (4, "PAYLOADSIGSEGV")
        ] * 2


def test_a_file_whose_name_is_no_text(tmp_path: Path) -> None:
    """Any bytes are a name; what cannot be shown is escaped, in JSON and on a screen."""
    log = tmp_path / os.fsdecode(b"caf\xe9")
    log.write_text(TRACEBACK)
    command = "import sys; from picard_pilot.cli.main import main; sys.exit(main(sys.argv[1:]))"
    for words in (["--json"], [], ["--bundle", str(tmp_path / os.fsdecode(b"\xe9.tgz"))]):
        told = subprocess.run([sys.executable, "-c", command, "diagnose", log, *words], capture_output=True)
        assert told.returncode == 4, told
        assert b"ZeroDivisionError" in told.stdout
