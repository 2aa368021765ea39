"""`ppilot job describe`: what it says of a job whose files are on their way."""

from datetime import UTC, datetime

import pytest

from picard_pilot.cli.job_measured import measured
from picard_pilot.cli.job_text import description, error_text
from picard_pilot.cli.screen import Screen
from picard_pilot.diagnosis.catalogue.codes import BY_NUMBER
from picard_pilot.diagnosis.catalogue.dispatcher import BY_DISPATCHER
from picard_pilot.diagnosis.catalogue.transfers import BY_KEY
from picard_pilot.model.file_note import FileNote
from picard_pilot.model.progress import StageProgress
from picard_pilot.model.usage import ToldLimit
from picard_pilot.server.errors import Same
from picard_pilot.server.usage import UsagePoint
from picard_pilot.server.views import FileRow, JobDetail, JobError, JobRow
from picard_pilot.wire.progress import pairs_of
from picard_pilot.wire.transfer_notes import compose
from picard_pilot.wire.usage_now import pairs_of as now_pairs

NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)

MOVING = StageProgress(
    files_done=3,
    files_total=10,
    bytes_done=1_200_000_000,
    bytes_total=4_000_000_000,
    rate_bytes_s=95e6,
    left_s=30,
)

METRICS = " ".join(["nEvents=7", *(f"{key}={value}" for key, value in pairs_of(MOVING).items())])


def told(
    status: str,
    phase: str | None,
    metrics: str = METRICS,
    *,
    errors: tuple[JobError, ...] = (),
    files: tuple[FileRow, ...] = (),
    notes: tuple[FileNote, ...] = (),
    limits: tuple[ToldLimit, ...] = (),
    curve: tuple[UsagePoint, ...] = (),
    extract: str | None = None,
    same: Same | None = None,
) -> str:
    """The description of a job in this state whose last update carried these metrics."""
    row = JobRow(
        job_id=5,
        attempt_nr=1,
        max_attempt=1,
        parent_id=None,
        first_id=5,
        name="",
        queue="Q",
        label="user",
        owner="somebody",
        priority=0,
        cores=1,
        status=status,
        sub_status=phase,
        kill_requested=False,
        debug=False,
        host=None,
        pilot_id=None,
        batch_id=None,
        created_at=NOW,
        sent_at=NOW,
        started_at=NOW,
        ended_at=None,
        changed_at=NOW,
        updated_at=NOW,
        errors=errors,
    )
    detail = JobDetail(
        row=row,
        transformation="/bin/true",
        parameters="",
        resources={},
        usage={"cpu_consumption_time": 12, "cpu_consumption_unit": "s", "job_metrics": metrics},
        files=files,
        history=(),
        attempts=(row,),
        command=None,
        metadata=None,
        debug_stdout=None,
        pilot_log=extract,
        same=same,
        transfer_notes=(compose("stagein", notes),) if notes else (),
        limits=limits,
        curve=curve,
        event_id=1,
    )
    return description(detail, Screen(), "age", NOW)


@pytest.mark.parametrize(("status", "phase"), [("starting", "stagein"), ("running", "stageout")])
def test_files_that_move_are_told_in_words(status: str, phase: str) -> None:
    """Files, bytes, rate and time left as a sentence, and not once more as raw pairs."""
    says = told(status, phase)
    assert "Its files: 3 of 10 files, 1.2 GB of 4.0 GB, 95 MB/s, 30 s left." in says
    assert "Measured: CPU time 12s, nEvents 7\n" in says
    assert "stageFiles" not in says


@pytest.mark.parametrize(("status", "phase"), [("running", "running"), ("finished", "finished")])
def test_a_stage_that_is_over_is_not_told(status: str, phase: str) -> None:
    """What an earlier update said of it is no longer true."""
    says = told(status, phase)
    assert "Its files" not in says and "stageFiles" not in says


def test_nothing_but_progress_is_nothing_measured() -> None:
    """No empty word is left where the pairs stood."""
    only = METRICS.removeprefix("nEvents=7 ")
    assert "Measured: CPU time 12s\n" in told("starting", "stagein", only)


def test_what_was_measured_is_told_in_words_with_units() -> None:
    """Memory and what was read come in kB, times in seconds; what has no words here stands as it came."""
    usage: dict[str, int | float | str] = {
        "cpu_consumption_time": 3725,
        "cpu_consumption_unit": "s",
        "core_count": 4,
        "pilot_timing": "1|65|7200|3|0|2",
        "job_metrics": "leak=0.5 phaseSince=1800000000 stdoutBytes=2048 remainingTime=3660",
        "reported_start": "2026-01-31 10:00:00",
        "max_rss": 1048576,
        "avg_rss": 524288,
        "tot_rchar": 3 * 1024.0,
        "rate_rchar": 1.0,
        "max_swap": 0,
    }
    assert measured(usage) == [
        "CPU time 1h02m",
        "cores 4",
        "RSS 1.0 GiB at most and 512.0 MiB on average",
        "swap 0 B at most",
        "read by calls 3.0 MiB at 1.0 KiB/s",
        "begun at 2026-01-31 10:00:00 UTC",
        "getting the job 1s",
        "stage-in 1m05s",
        "payload 2h00m",
        "stage-out 3s",
        "starting the pilot 0s",
        "set-up 2s",
        "stdout 2.0 KiB",
        "left in the slot 1h01m",
        "leak 0.5",
    ]
    assert measured({"cpu_consumption_time": 9, "cpu_consumption_unit": "HS06"}) == ["CPU time 9 HS06"]
    assert measured({"pilot_timing": "1|2"}) == ["pilot timing 1|2"]


def test_each_limit_says_how_near_the_job_is() -> None:
    """Value, limit, who set it and how; the pairs of the last look are not told once more."""
    memory = ToldLimit(
        measure="memory", value=2_097_152.0, unit="bytes", origin="queue", detail="maxrss 1 MB x 2\x1b[2J"
    )
    output = ToldLimit(measure="one output file", value=5e9, unit="bytes", origin="default", detail="largest")
    now = UsagePoint(wall_s=61.0, pss_kb=1024, swap_kb=0)
    metrics = " ".join(["nEvents=7", *(f"{key}={value}" for key, value in now_pairs(now).items())])
    says = told("running", "running", metrics, limits=(memory, output), curve=(now,))
    lines = says.splitlines()
    at = lines.index("limits")
    assert lines[at + 1].startswith(
        "    50%  memory: 1.0 MB now, 1.0 MB at most, limit 2.1 MB (queue: maxrss 1 MB x 2"
    )
    assert lines[at + 2] == "         one output file: limit 5.0 GB (default: largest)"
    assert "\x1b" not in says
    assert "Measured: CPU time 12s, nEvents 7\n" in says
    over = told("finished", "finished", metrics, limits=(memory,), curve=(now,))
    assert "    50%  memory: 1.0 MB at most, limit" in over


def an_input(lfn: str) -> FileRow:
    """An input of six bytes, which the server calls ready whatever became of it."""
    return FileRow(
        lfn=lfn,
        role="input",
        scope="s",
        guid=None,
        dataset=None,
        size_bytes=6,
        checksum="ad:036a00e1",
        endpoint=None,
        surl=None,
        may_be_absent=False,
        status="ready",
    )


def test_each_file_says_where_it_came_from_why_and_what_was_tried() -> None:
    """As on the job's page: an input that nobody had is not staged, whatever the server calls it."""
    lost, missing = (
        FileNote(lfn=lfn, endpoint="FAR_DISK", how="missing", ok=False, why="no such file")
        for lfn in ("lost", "found")
    )
    found = FileNote(lfn="found", endpoint="NEAR_DISK", how="copy", ok=True, why="another replica, near")
    says = told(
        "running", "running", files=(an_input("lost"), an_input("found")), notes=(lost, missing, found)
    )
    assert says.splitlines()[-6:] == [
        "files",
        "  input   lost  not staged, 6 B, ad:036a00e1",
        "          in vain, FAR_DISK: missing: no such file",
        "  input   found  staged, 6 B, ad:036a00e1",
        "          NEAR_DISK, copied: another replica, near",
        "          in vain, FAR_DISK: missing: no such file",
    ]


def test_the_same_failure_again_only_counts() -> None:
    """A copy that is bad by every door is one line, not four."""
    bad = FileNote(lfn="bad", endpoint="FAR_DISK", how="checksum", ok=False, why="other bytes")
    says = told("failed", "failed", files=(an_input("bad"),), notes=(bad, bad, bad, bad))
    assert says.splitlines()[-1] == "          in vain, FAR_DISK: checksum: other bytes (4 times)"


def test_an_error_says_who_can_act_and_what_to_do() -> None:
    """What the catalogue knows about its number; a number of others stands alone."""
    errors = (
        JobError(component="pilot", code=1331, diag="input x cannot be had"),
        JobError(component="payload", code=7, diag=None),
    )
    lines = told("failed", "failed", errors=errors).splitlines()
    assert lines[1:6] == [
        "  pilot 1331 MISSINGINPUTFILE: input x cannot be had",
        "    who can act: storage",
        f"    what to do:  {BY_NUMBER[1331].next_step}",
        "    more:        ppilot explain 1331",
        "  payload 7",
    ]


def test_an_error_of_the_server_says_as_much() -> None:
    """A pilot that was lost says nothing itself; its number is not taken for an exit code."""
    errors = (JobError(component="dispatcher", code=100, diag="lost heartbeat: no update for 6 hours"),)
    lines = told("failed", "failed", "", errors=errors).splitlines()
    assert lines[1:5] == [
        "  dispatcher 100 LOSTHEARTBEAT: lost heartbeat: no update for 6 hours",
        "    who can act: batch",
        f"    what to do:  {BY_DISPATCHER[100].site}",
        "    more:        ppilot explain dispatcher:100",
    ]


def test_what_the_pilot_says_to_do_comes_before_what_the_catalogue_does() -> None:
    """Nothing of it steers a terminal; and many that share only a number did not fail of the same."""
    errors = (JobError(component="pilot", code=1305, diag="a program rejected its options"),)
    extract = "1305 PAYLOADEXECUTIONFAILURE (user input): options\n  x: --nev\n  next: Correct \x1b[31mit."
    alike = Same(component="pilot", code=1305, fingerprint=None, finer=None, endpoint=None, jobs=8, nodes=2)
    lines = told("failed", "failed", "", errors=errors, extract=extract, same=alike).splitlines()
    assert "    what to do:  Correct \\x1b[31mit." in lines
    assert "  8 jobs failed with the error 1305, on 2 nodes" in lines


def test_a_failed_transfer_says_its_class_and_storage() -> None:
    """With the advice of the class; who can act is as its pilot saw it, and nothing of it steers a terminal."""
    errors = (JobError(component="pilot", code=1099, diag="input x cannot be had"),)
    metrics = "errorFiner=stagein/contact errorEndpoint=DISK%1B[31m errorBlame=network"
    lines = told("failed", "failed", metrics, errors=errors).splitlines()
    assert lines[2:6] == [
        "    class:       stagein/contact at DISK\\x1b[31m",
        "    who can act: network",
        f"    what to do:  {BY_KEY['stagein/contact'].site}",
        "    more:        ppilot explain 1099",
    ]


@pytest.mark.parametrize(
    ("metrics", "status", "says"),
    [
        ("payloadEndedBy=itself", 7, "exit code 7, by itself"),
        ("payloadEndedBy=itself", 137, "exit code 137, by itself"),
        ("payloadEndedBy=kernel payloadSignal=9", 137, "signal 9 (SIGKILL), by the kernel"),
        ("payloadEndedBy=batch payloadSignal=15", 143, "signal 15 (SIGTERM), by the batch system"),
        ("payloadEndedBy=unknown payloadSignal=9", 137, "signal 9 (SIGKILL), by whom is not known"),
        ("payloadEndedBy=itself", 0, "exit code 0, by itself"),
        ("payloadEndedBy=pilot payloadSignal=99", 137, "exit code 137, by the pilot"),
        ("payloadEndedBy=x payloadSignal=\u00b9", 1, "exit code 1, by whom is not known"),
    ],
)
def test_how_the_payload_ended_is_one_sentence(metrics: str, status: int, says: str) -> None:
    """A signal is told from an exit code of 128 + n, and who did it is named; odd texts of others do no harm."""
    errors = (JobError(component="payload", code=status, diag=None),) if status else ()
    lines = told("failed", "failed", f"{METRICS} {metrics}", errors=errors).splitlines()
    assert lines[1] == f"Its payload ended with {says}."
    assert not any("payloadEndedBy" in line or "payloadSignal" in line for line in lines)


def test_an_error_in_the_list_is_one_line() -> None:
    """However much the pilot had to say."""
    long = error_text([{"component": "pilot", "code": 1137, "diag": "the storage is away " * 50}])
    assert long.startswith("pilot:1137 the storage is away") and long.endswith(" …") and len(long) <= 102
    assert error_text([{"component": "payload", "code": 7, "diag": None}]) == "payload:7"
    assert error_text([]) == "-"
