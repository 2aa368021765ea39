"""What batch systems, features and administrators say of the slot's end, and what they may say instead."""

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest
from pilot_kit import ToldDispatcher, parts_for

from picard_pilot.cli.main import main
from picard_pilot.model.slot import Found
from picard_pilot.pilot import slot_sources
from picard_pilot.pilot.slot_sources import Sources
from picard_pilot.system.clock import RealClock
from picard_pilot.testing.clock import VirtualClock
from picard_pilot.watch.slot import drain, features, gridengine, htcondor, lsf, pbs, slurm, words

NOW = 1_800_000_000.0


def only(found: Found) -> float:
    """The one end, which everything was understood for."""
    (end,) = found.ends
    assert found.doubts == ()
    return end.at


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("1:30", 90),
        ("02:00:00", 7200),
        ("1-00:00:00", 86400),
        ("2-01:00", 2 * 86400 + 60),
        ("30.5", 30.5),
    ],
)
def test_durations_as_batch_systems_write_them(text: str, seconds: float) -> None:
    """Days, hours, minutes and seconds from the right."""
    assert words.duration_s(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "soon", "1:2:3:4", "-5", "1e3", "a-00:10", "INVALID", "٣", "inf", "nan"]
)
def test_what_is_no_duration(text: str) -> None:
    """It is said, and nothing is guessed."""
    assert words.duration_s(text) is None


def test_slurm_tells_the_end_in_the_environment() -> None:
    """Without a job of Slurm its variables mean nothing; what is no time is said."""
    assert only(slurm.look({"SLURM_JOB_ID": "7", "SLURM_JOB_END_TIME": "1800003600"})) == NOW + 3600
    assert slurm.look({"SLURM_JOB_END_TIME": "1800003600"}) == Found()
    assert slurm.look({"SLURM_JOB_ID": "7", "SLURM_JOB_END_TIME": "0"}).ends == ()
    (doubt,) = slurm.look({"SLURM_JOB_ID": "7", "SLURM_JOB_END_TIME": "never"}).doubts
    assert "SLURM_JOB_END_TIME says 'never'" in doubt


@pytest.mark.parametrize("environ", [{}, {"SLURM_JOB_END_TIME": "1800003600"}], ids=["alone", "too"])
def test_squeue_can_be_asked(environ: dict[str, str]) -> None:
    """Its answer is a time that is left, in no time zone; no limit is no end."""
    question = slurm.look({"SLURM_JOB_ID": "7_3", **environ}).question
    assert question is not None and question.argv == (
        "squeue",
        "--noheader",
        "--jobs",
        "7_3",
        "--format",
        "%L",
    )
    assert only(question.read("1-02:03:04\n", NOW)) == NOW + 93784
    for text in ("UNLIMITED\n", "NOT_SET\n", "", "\n"):
        assert question.read(text, NOW) == Found()
    assert question.read("INVALID", NOW).doubts


def test_pbs_tells_a_walltime_that_counts_from_the_session() -> None:
    """In seconds or as hours, minutes and seconds; nonsense is said."""
    assert only(pbs.look({"PBS_JOBID": "7", "PBS_WALLTIME": "3600"}, NOW)) == NOW + 3600
    assert only(pbs.look({"PBS_JOBID": "7", "PBS_WALLTIME": "01:00:00"}, NOW)) == NOW + 3600
    assert pbs.look({"PBS_WALLTIME": "3600"}, NOW) == Found()
    assert pbs.look({"PBS_JOBID": "7", "PBS_WALLTIME": "long"}, NOW).doubts
    assert pbs.look({"PBS_JOBID": "7", "PBS_WALLTIME": "99999999999"}, NOW).ends == ()


def test_qstat_tells_it_in_three_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left, else the start and the limit, else the limit and what was used of it."""
    question = pbs.look({"PBS_JOBID": "7.s"}, NOW).question
    assert question is not None and question.argv == ("qstat", "-f", "7.s")
    limit = "    Resource_List.walltime = 02:00:00\n"
    assert only(question.read(limit + "    Walltime.Remaining = 1800\n", NOW)) == NOW + 1800
    assert only(question.read(limit + "    resources_used.walltime = 00:30:00\n", NOW)) == NOW + 5400
    start = "    stime = Fri Jan 15 08:00:00 2027\n"
    assert (
        abs(only(question.read(limit + start, NOW)) - NOW - 7200) <= 14 * 3600
    )  # in the node's own time zone
    assert question.read("    Job_Name = pilot\n", NOW) == Found()
    assert question.read(limit, NOW).doubts
    assert question.read("    Resource_List.walltime = eternal\n", NOW).doubts


def test_bjobs_tells_limit_and_time_so_far() -> None:
    """Minutes and seconds; an element of an array has its index."""
    question = lsf.look({"LSB_JOBID": "7", "LSB_JOBINDEX": "3"}).question
    assert question is not None and question.argv[-1] == "7[3]"
    assert lsf.look({}) == Found()
    assert only(question.read("60.0/hostA;600 second(s)\n", NOW)) == NOW + 3000
    assert question.read("-;600 second(s)\n", NOW) == Found()
    assert question.read("Job <7> is not found\n", NOW).doubts


def test_qstat_tells_grid_engine_s_limits() -> None:
    """The hard and the soft one of what the job needs, counted from the session; wishes are no limits."""
    environ = {"JOB_ID": "7", "SGE_TASK_ID": "undefined"}
    question = gridengine.look(environ, NOW - 600).question
    assert question is not None and question.argv == ("qstat", "-j", "7")
    assert gridengine.look({"JOB_ID": "7"}, NOW) == Found()
    head = "job_number:                 7\n"
    found = question.read(f"{head}hard resource_list:         mem_free=1G,s_rt=3000,h_rt=01:00:00\n", NOW)
    assert [(end.name, end.at) for end in found.ends] == [
        ("Grid Engine's s_rt", NOW + 2400),
        ("Grid Engine's h_rt", NOW + 3000),
    ]
    for text in (
        head,
        "soft resource_list:         h_rt=60\n",
        "hard resource_list:         h_rt=INFINITY,h_vmem=4G\n",
    ):
        assert question.read(text, NOW) == Found()
    assert question.read("hard_resource_list: h_rt=long\n", NOW).doubts


def test_who_says_how_long_it_waits_after_a_signal(tmp_path: Path) -> None:
    """LSF always, HTCondor in the advertisements, of which the shorter time holds; others do not."""
    (grace,) = lsf.look({"LSB_JOBID": "7"}).graces
    assert (grace.signal, grace.seconds) == ("SIGUSR2", 600)
    job, machine = tmp_path / "job.ad", tmp_path / "machine.ad"
    environ = {"_CONDOR_JOB_AD": str(job), "_CONDOR_MACHINE_AD": str(machine)}

    def graces(of_job: str, of_machine: str) -> list[tuple[str, float]]:
        job.write_text(of_job)
        machine.write_text(of_machine)
        return [(one.signal, one.seconds) for one in htcondor.look(environ, NOW).graces]

    assert graces("", "MachineMaxVacateTime = 600\n") == [("SIGTERM", 600)]
    assert graces('KillSig = "SIGINT"\nJobMaxVacateTime = 60\n', "MachineMaxVacateTime = 600\n") == [
        ("SIGINT", 60)
    ]
    # As HTCondor 23 writes its own default into the advertisement.
    assert graces("JobMaxVacateTime = 900\n", "MachineMaxVacateTime = 10 * 60\n") == [("SIGTERM", 600)]
    assert graces("", "MachineMaxVacateTime = ifThenElse(Cpus > 1, 600, 60)\n") == []
    assert slurm.look({"SLURM_JOB_ID": "7"}).graces == ()


def test_advertisements_of_htcondor(tmp_path: Path) -> None:
    """Limits of the job count from where they say; a glidein's end counts as well; names are no numbers."""
    job, machine = tmp_path / "job.ad", tmp_path / "machine.ad"
    job.write_text(
        f"JobCurrentStartDate = {NOW - 100:.0f}\nMaxRuntime = 7200\nBatchRuntime = undefined\n"
        "maxWallTime = 2880 * NumJobStarts\nAllowedJobDuration = 0\n"
    )
    machine.write_text(f"GLIDEIN_ToRetire = {NOW + 50:.0f}\nGLIDEIN_ToDie = {NOW + 500:.0f}\n")
    found = htcondor.look({"_CONDOR_JOB_AD": str(job), "_CONDOR_MACHINE_AD": str(machine)}, NOW)
    assert [(end.name, end.at) for end in found.ends] == [
        ("GLIDEIN_ToDie", NOW + 500),
        ("MaxRuntime", NOW + 7100),
    ]
    assert ["maxWallTime" in doubt for doubt in found.doubts] == [True]


def test_advertisements_that_cannot_be_read(tmp_path: Path) -> None:
    """Gone, a directory, a pipe nobody writes into, bytes: none of them holds or ends a pilot."""
    pipe, noise = tmp_path / "pipe", tmp_path / "noise"
    os.mkfifo(pipe)
    noise.write_bytes(os.urandom(5000))
    for path in (tmp_path / "gone", tmp_path, pipe, noise):
        assert htcondor.look({"_CONDOR_JOB_AD": str(path), "_CONDOR_MACHINE_AD": str(path)}, NOW).ends == ()


def test_features_say_when_the_machine_goes_and_how_long_the_job_may_run() -> None:
    """An empty or zero shutdown time means none."""
    assert only(features.understand({"shutdowntime": "1800000500\n"}, NOW)) == NOW + 500
    assert (
        only(features.understand({"wall_limit_secs": "3600", "jobstart_secs": "1799999000"}, NOW))
        == NOW + 2600
    )
    assert only(features.understand({"wall_limit_secs": "3600"}, NOW - 5)) == NOW + 3595
    assert (
        features.understand({"shutdowntime": "", "shutdowntime_job": "0", "wall_limit_secs": "0"}, NOW)
        == Found()
    )
    assert len(features.understand({"shutdowntime": "soon", "wall_limit_secs": "long"}, NOW).doubts) == 2


def test_a_limit_on_cpu_time_is_an_end_at_which_all_cores_have_spent_it() -> None:
    """What was spent counts; the feature's cores before ours; without knowing what was spent it is no end."""
    cpu = features.Cpu(NOW, 8000.0, 4)
    assert only(features.understand({"cpu_limit_secs": "88000"}, NOW, cpu)) == NOW + 20_000
    eight = {"cpu_limit_secs": "88000", "allocated_cpu": "8"}
    assert only(features.understand(eight, NOW, cpu)) == NOW + 10_000
    assert only(features.understand({"cpu_limit_secs": "7000"}, NOW, cpu)) == NOW
    assert features.understand({"cpu_limit_secs": "88000"}, NOW) == Found()
    assert features.understand({"cpu_limit_secs": "0"}, NOW, cpu) == Found()
    assert "cpu_limit_secs" in features.understand({"cpu_limit_secs": "much"}, NOW, cpu).doubts[0]


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("1800000500", NOW + 500),
        ("2027-01-15T08:08:20+00:00", NOW + 500),
        ("2027-01-15 08:08:20\nfor the new kernel\n", NOW + 500),
        ("+10:00", NOW + 600),
        ("+300", NOW + 300),
    ],
)
def test_a_time_in_the_drain_file(tmp_path: Path, text: str, at: float) -> None:
    """As seconds, as a date, or from the file's own time on."""
    path = tmp_path / "drain"
    path.write_text(text)
    os.utime(path, (NOW, NOW))
    found = drain.look(path)
    assert only(found) == at and found.drain is not None


def test_other_drain_files(tmp_path: Path) -> None:
    """None, an empty one, words, and one that cannot be read."""
    path = tmp_path / "drain"
    assert drain.look(path) == Found()
    path.touch()
    assert (drain.look(path).ends, drain.look(path).drain is None) == ((), False)
    path.write_text("please go")
    found = drain.look(path)
    assert found.ends == () and found.drain is not None and "please go" in found.doubts[0]
    path.unlink()
    path.mkdir()
    assert drain.look(path).drain is None and drain.look(path).doubts


def test_the_session_began_before_its_process_looked() -> None:
    """The leader of a new session is a process of ours that was started a moment ago."""
    code = "from picard_pilot.watch.slot.words import session_began_at; print(session_began_at())"
    before = RealClock().now_utc()
    text = subprocess.run(
        [sys.executable, "-c", code], start_new_session=True, stdout=subprocess.PIPE, check=True
    ).stdout
    assert before - 2 <= float(text) <= RealClock().now_utc() + 2


def answer_of(directory: Path, script: str, program: str = "squeue") -> tuple[tuple[float, ...], str]:
    """The ends that a real `squeue` on the PATH leads to, and the doubts."""
    path = directory / "bin" / program
    path.parent.mkdir()
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    clock = VirtualClock(start_utc=NOW)
    parts = msgspec.structs.replace(
        parts_for(clock, ToldDispatcher(clock), directory),
        environ={"SLURM_JOB_ID": "7", "PATH": str(path.parent)},
    )
    known: dict[str, Found] = {}
    sources = Sources(parts, known.__setitem__)
    assert sources.takes_time
    asyncio.run(sources.ask())
    (found,) = (
        known[name] for name in known if name.startswith("batch system 0") and known[name].question is None
    )
    return tuple(end.at for end in found.ends), " ".join(found.doubts)


def test_a_command_is_really_run(tmp_path: Path) -> None:
    """With the arguments that Slurm knows."""
    script = '[ "$*" = "--noheader --jobs 7 --format %L" ] && echo "  2:00"'
    assert answer_of(tmp_path, script) == ((NOW + 120,), "")


def test_a_command_that_fails_is_quoted(tmp_path: Path) -> None:
    """Its last line stands in the log; the end is not known then."""
    ends, doubts = answer_of(tmp_path, "echo 'slurm_load_jobs error: Unable to contact' >&2; exit 1")
    assert ends == () and "Unable to contact" in doubts and "squeue" in doubts


def test_a_command_that_says_nothing_is_no_answer(tmp_path: Path) -> None:
    """Such as one that no longer knows the job: what was known before holds."""
    ends, doubts = answer_of(tmp_path, "exit 0")
    assert ends == () and "it says nothing" in doubts


def test_a_command_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Worker nodes of some sites have no commands of the batch system."""
    ends, doubts = answer_of(tmp_path, "", program="scontrol")
    assert ends == () and "squeue" in doubts and "not_started" not in doubts


def sources_of(directory: Path, known: dict[str, Found], **environ: str) -> Sources:
    clock = VirtualClock(start_utc=NOW)
    parts = parts_for(clock, ToldDispatcher(clock), directory, drain_file=str(directory / "drain"))
    return Sources(msgspec.structs.replace(parts, environ=environ), known.__setitem__)


def test_a_site_s_file_system_that_hangs_holds_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What the drain file said before holds, the rest is read; nothing more is begun there until it is back."""
    back, looks = threading.Event(), []

    def look(path: Path) -> Found:
        looks.append(path)
        back.wait(60)
        return Found(drain="it is there")

    monkeypatch.setattr(drain, "look", look)
    monkeypatch.setattr(slot_sources, "ANSWER_S", 0.05)
    known: dict[str, Found] = {}
    sources = sources_of(tmp_path, known)

    async def story() -> None:
        await sources.read()
        await sources.read()
        assert "drain file" not in known and len(looks) == 1
        back.set()
        monkeypatch.setattr(slot_sources, "ANSWER_S", 60.0)
        while "drain file" not in known:
            await sources.read()
            await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(story(), 60))
    sources.close()
    assert known["drain file"].drain == "it is there"
    assert "cannot be read" in caplog.text


def test_features_are_really_fetched(tmp_path: Path) -> None:
    """From a web server that knows some of the keys, without a word of who asks."""
    asked: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        asked.append(head)
        known = "/mf/shutdowntime " in head
        body = f"{NOW + 900:.0f}\n".encode() if known else b"no such key"
        status = "200 OK" if known else "404 Not Found"
        writer.write(
            f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body
        )
        writer.close()

    async def story() -> dict[str, Found]:
        known: dict[str, Found] = {}
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            sources = sources_of(tmp_path, known, MACHINEFEATURES=f"{url}/mf", JOBFEATURES=f"{url}/jf/")
            await sources.read()
            sources.close()
        return known

    known = asyncio.run(asyncio.wait_for(story(), 60))
    assert only(known["features"]) == NOW + 900
    assert len(asked) == 6 and not any("authorization" in head.lower() for head in asked)


def test_the_configuration_shows_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the slot in which it is asked for; the first end first, each with what was read."""
    for name in ("_CONDOR_JOB_AD", "_CONDOR_MACHINE_AD", "PBS_JOBID", "LSB_JOBID", "MACHINEFEATURES"):
        monkeypatch.delenv(name, raising=False)
    now = RealClock().now_utc()
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_JOB_END_TIME", f"{now + 9000:.0f}")
    monkeypatch.setenv("JOBFEATURES", str(tmp_path))
    (tmp_path / "shutdowntime_job").write_text(f"{now + 5000:.0f}")
    show = ["config", "show", "slot.end", "slot.end.2", "--format", "plain", "--fields", "key,origin"]
    assert main(show) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("slot.end\tmachine/job feature shutdowntime_job (shutdowntime_job = ")
    assert second.startswith("slot.end.2\tSLURM_JOB_END_TIME (SLURM_JOB_END_TIME=")
