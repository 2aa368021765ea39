"""The pilot's update in the server's words: every field passes the server's own check."""

import json

import msgspec

from picard_pilot.model.cost import Cost
from picard_pilot.model.file_note import FileNote, StageNote
from picard_pilot.model.files import Checksum, ChecksumKind, StoredFile
from picard_pilot.model.progress import StageProgress
from picard_pilot.model.report import JobStatus, Update, UsageSummary
from picard_pilot.model.states import Phase
from picard_pilot.model.usage import ToldLimit, UsageNow
from picard_pilot.wire import v1
from picard_pilot.wire.check import check
from picard_pilot.wire.encode import prepare
from picard_pilot.wire.limit_notes import limits_in
from picard_pilot.wire.transfer_notes import notes_in
from picard_pilot.wire.update import update_values


def test_a_small_update_sends_only_what_is_known() -> None:
    """Unset fields are left out, and the phase travels as the sub status."""
    update = Update(job_id=7, attempt_nr=3, status=JobStatus.RUNNING, phase=Phase.STAGEOUT)
    assert prepare(v1.UPDATE_JOB, update_values(update)) == {
        "job_id": 7,
        "attempt_nr": 3,
        "job_status": "running",
        "job_sub_status": "stageout",
    }


def test_a_full_final_report_passes_the_server_s_own_check() -> None:
    """Times, timing, metrics, codes and the output report, in the types that the server wants."""
    file = StoredFile(
        lfn="o.root",
        guid="G",
        size_bytes=5,
        checksum=Checksum(kind=ChecksumKind.ADLER32, value="0000000a"),
        surl="file:///s/o.root",
        endpoint="LOCAL",
    )
    update = Update(
        job_id=7,
        attempt_nr=3,
        status=JobStatus.FAILED,
        phase=Phase.FAILED,
        start_time=1_800_000_000.4,
        end_time=1_800_000_060.9,
        usage=UsageSummary(cpu_time_s=12, max_rss_kb=34, stdout_bytes=56, stderr_bytes=0),
        timing_s=(0, 1, 2, 3, 4, 5),
        pilot_error_code=1305,
        pilot_error_diag="bad\0news" * 100,
        trans_exit_code=7,
        metrics={"nEvents": "9"},
        outputs=(file,),
    )
    values = prepare(v1.UPDATE_JOB, update_values(update))
    assert check(v1.UPDATE_JOB, values)
    assert values["start_time"] == "2027-01-15 08:00:00"
    assert values["pilot_timing"] == "0|1|2|3|4|5"
    assert values["job_metrics"] == "nEvents=9 stdoutBytes=56 stderrBytes=0"
    assert json.loads(str(values["job_output_report"])) == {
        "o.root": {
            "guid": "G",
            "fsize": 5,
            "adler32": "0000000a",
            "surl": "file:///s/o.root",
            "endpoint": "LOCAL",
        }
    }


def test_an_update_on_the_way_says_since_when_the_job_is_in_its_phase() -> None:
    """Beside the phase itself; the final report has no more use for it."""
    update = Update(
        job_id=7, attempt_nr=3, status=JobStatus.RUNNING, phase=Phase.STAGEIN, phase_since=1_800_000_000.4
    )
    values = update_values(update)
    assert (values["job_sub_status"], values["job_metrics"]) == ("stagein", "phaseSince=1800000000")
    final = update_values(msgspec.structs.replace(update, status=JobStatus.FINISHED))
    assert final["job_metrics"] is None


def test_progress_travels_beside_the_other_pairs_and_not_with_the_end() -> None:
    """While files move; it fits, and a report of the end has nothing left."""
    moved = StageProgress(
        files_done=3,
        files_total=10,
        bytes_done=10**12,
        bytes_total=4 * 10**12,
        rate_bytes_s=9.5e7,
        left_s=31_578.9,
    )
    update = Update(
        job_id=7,
        attempt_nr=3,
        status=JobStatus.STARTING,
        phase=Phase.STAGEIN,
        phase_since=1_800_000_000.0,
        progress=moved,
    )
    values = prepare(v1.UPDATE_JOB, update_values(update))
    assert values["job_metrics"] == (
        "phaseSince=1800000000 stageFiles=3/10 stageBytes=1000000000000/4000000000000 "
        "stageRate=95000000 stageLeft=31579"
    )
    assert values["job_sub_status"] == "stagein"
    final = msgspec.structs.replace(update, status=JobStatus.FINISHED, phase=Phase.FINISHED)
    assert "job_metrics" not in prepare(v1.UPDATE_JOB, update_values(final))


def test_the_note_of_a_stage_is_a_text_in_the_log_field() -> None:
    """An update has either; a report's own extract wins."""
    tried = FileNote(lfn="a", endpoint="DISK", how="copy", ok=True, why="near", size_bytes=5, seconds=1.0)
    note = StageNote(phase=Phase.STAGEIN, files=(tried,))
    update = Update(job_id=7, attempt_nr=3, status=JobStatus.RUNNING, phase=Phase.RUNNING, note=note)
    said = update_values(update)["pilot_log"]
    assert said == "transfers of stagein\nok | a | DISK | copy | 5 | 1.000 | near"
    assert update_values(msgspec.structs.replace(update, pilot_log="an extract"))["pilot_log"] == "an extract"


def test_what_a_payload_uses_travels_under_the_server_s_names() -> None:
    """Memory in kB, I/O in bytes; what was never measured is not sent."""
    usage = UsageSummary(max_pss_kb=11, avg_swap_kb=0, total_read_bytes=2**40, rate_wchar=13)
    update = Update(job_id=7, attempt_nr=3, status=JobStatus.RUNNING, phase=Phase.RUNNING, usage=usage)
    values = prepare(v1.UPDATE_JOB, update_values(update))
    assert check(v1.UPDATE_JOB, values)
    measured = {
        name: value for name, value in values.items() if name.startswith(("max_", "avg_", "tot_", "rate_"))
    }
    assert measured == {"max_pss": 11, "avg_swap": 0, "tot_rbytes": 2**40, "rate_wchar": 13}
    assert {f"{kind}_{name}" for kind in ("max", "avg") for name in ("rss", "vmem", "swap", "pss")} | {
        f"{kind}_{name}" for kind in ("tot", "rate") for name in ("rchar", "wchar", "rbytes", "wbytes")
    } <= set(update_values(update))


MEMORY = ToldLimit(
    measure="memory", value=8388608000.0, unit="bytes", origin="queue", detail="maxrss 4000 MB x 2"
)


def test_limits_travel_once_in_the_log_field_beside_the_note_of_a_stage() -> None:
    """Alone or behind it, and never longer than the field; a report's own extract wins."""
    update = Update(
        job_id=7, attempt_nr=3, status=JobStatus.RUNNING, phase=Phase.RUNNING, limits=(MEMORY,) * 3
    )
    alone = str(update_values(update)["pilot_log"])
    assert alone.splitlines()[:2] == [
        "limits of the job",
        "memory | 8388608000 | bytes | queue | maxrss 4000 MB x 2",
    ]
    files = tuple(
        FileNote(lfn=f"f{number}", endpoint="DISK", how="copy", ok=True, why="n" * 200)
        for number in range(40)
    )
    with_note = msgspec.structs.replace(update, note=StageNote(phase=Phase.STAGEIN, files=files))
    both = str(prepare(v1.UPDATE_JOB, update_values(with_note))["pilot_log"])
    assert both.startswith("transfers of stagein\n") and len(both) <= 4000
    assert limits_in(both) == limits_in(alone) == (MEMORY,) * 3
    assert notes_in(both)[0].lfn == "f0"
    final = msgspec.structs.replace(with_note, pilot_log="an extract")
    assert update_values(final)["pilot_log"] == "an extract"


def test_the_last_look_travels_with_heartbeats_and_not_with_the_end() -> None:
    """It fits beside all other pairs at their longest."""
    now = UsageNow(
        wall_s=345_600.04,
        cpu_s=22_118_400.0,
        rss_kb=10**9,
        pss_kb=10**9,
        swap_kb=10**8,
        processes=10**4,
        directory_bytes=10**13,
        free_bytes=10**15,
        output_bytes=10**12,
        quiet_s=7200.0,
        spinning_s=43_200.0,
    )
    update = Update(
        job_id=7,
        attempt_nr=3,
        status=JobStatus.RUNNING,
        phase=Phase.RUNNING,
        phase_since=1_800_000_000.0,
        usage=UsageSummary(stdout_bytes=10**10, stderr_bytes=10**10),
        now=now,
        metrics={"remainingTime": "345600", "processesHeldBy": "pid_namespace+subreaper+process_group"},
    )
    metrics = str(prepare(v1.UPDATE_JOB, update_values(update))["job_metrics"])
    assert metrics == update_values(update)["job_metrics"], "it was cut"
    assert "nowWall=345600 nowCpu=22118400 nowRss=1000000000" in metrics
    final = msgspec.structs.replace(update, status=JobStatus.FINISHED, phase=Phase.FINISHED)
    assert "now" not in str(update_values(final)["job_metrics"])


def test_metrics_that_are_too_many_are_left_out_as_whole_pairs() -> None:
    """Half a number would be another one; what the monitor reads stands first, an experiment's own last."""
    metrics = {f"experimentsOwn{number}": "1234567890" for number in range(30)}
    spent = Cost(wall_s={Phase.RUNNING: 3600.0}, bytes_in=10**15)
    update = Update(
        job_id=1, attempt_nr=1, status=JobStatus.FAILED, phase=Phase.FAILED, metrics=metrics, cost=spent
    )
    text = str(update_values(update)["job_metrics"])
    assert len(text) <= 500
    assert text.startswith("costWall=0.00/0.00/0.00/3600.00/0.00/0.00 bytesIn=1000000000000000 ")
    assert all(word.endswith("=1234567890") for word in text.split()[2:])
