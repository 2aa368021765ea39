"""A signal in each phase of a job, and what the pilot leaves on disk to be looked at."""

import json
import os
import signal
from pathlib import Path

from test_endings import IGNORE_TERM, OUTPUT, payload_gone, started_payload, write_output

from grid import Grid, wait_for

HERE = Path(__file__).parent


def use_mover(grid: Grid, name: str) -> None:
    """Let the queue name a mover of the tests."""
    text = grid.site_file.read_text()
    grid.site_file.write_text(
        text.replace('status = "online"', f'status = "online"\nmovers = {{ default = ["{name}"] }}')
    )


def test_a_signal_during_setup(grid: Grid) -> None:
    """The payload is never started; the job is reported with the signal's number although a hook still hangs."""
    job_id = grid.submit("/bin/touch", str(grid.directory / "ran"))
    pilot = grid.pilot(
        "--plugin", "naughty_experiment:Naughty",
        PYTHONPATH=str(HERE), NAUGHTY_HOOK="prepare", NAUGHTY_WAY="hang",
    )  # fmt: skip
    grid.wait_event(job_id, "Admitted")
    pilot.send_signal(signal.SIGTERM)
    assert pilot.wait(60) == 143, grid.output()
    assert grid.wait_status(job_id, "failed", "finished") == "failed"
    assert grid.errors(job_id)["pilot"][0] == 1201
    assert not (grid.directory / "ran").exists()
    assert not grid.job_dir(job_id).exists()


def test_a_signal_during_stage_in(grid: Grid) -> None:
    """The transfer is ended with its worker, the payload is never started, nothing is left."""
    checksum = grid.put("in.dat", os.urandom(1_000_000))
    use_mover(grid, "patient_mover:Patient")
    job_id = grid.submit(
        "/bin/touch", str(grid.directory / "ran"),
        inFiles="in.dat", fsize="1000000", checksum=checksum, scopeIn="t", ddmEndPointIn="DISK", GUID="G",
    )  # fmt: skip
    pilot = grid.pilot(PYTHONPATH=str(HERE))
    wait_for(lambda: list(grid.job_dir(job_id).glob(".in.dat.*.part")), "the transfer is in mid-file")
    pilot.send_signal(signal.SIGTERM)
    assert pilot.wait(60) == 143, grid.output()
    assert grid.wait_status(job_id, "failed", "finished") == "failed"
    assert grid.errors(job_id)["pilot"][0] == 1201
    assert not (grid.directory / "ran").exists()
    assert not grid.job_dir(job_id).exists()


def storing(grid: Grid, *flags: str) -> tuple[int, "os.PathLike[str]"]:
    """A job whose payload is over and whose output waits for the storage; its number, and the file that lets it in."""
    use_mover(grid, "slow_storage:Slow")
    job_id = grid.submit_python(write_output("precious"), **OUTPUT)
    pilot = grid.pilot(*flags, PYTHONPATH=str(HERE))
    wait_for(lambda: (grid.store / "asked").exists(), "the output is on its way")
    pilot.send_signal(signal.SIGTERM)
    wait_for(lambda: "StopRequested" in grid.events(job_id), "the pilot has heard")
    return job_id, grid.store / "go"


def test_a_signal_during_stage_out_lets_it_end(grid: Grid) -> None:
    """The payload did its work: within the time for reports its output is stored and the job finished."""
    job_id, go = storing(grid, "--report-grace", "60")
    Path(go).touch()
    assert grid.pilots[0].wait(60) == 143, grid.output()
    assert grid.wait_status(job_id, "finished", "failed") == "finished", grid.errors(job_id)
    assert (grid.store / f"out.{job_id}.txt").read_text() == "precious"


def test_a_stage_out_that_takes_too_long_waits_for_a_later_pilot(grid: Grid) -> None:
    """The server is told that it holds; the next pilot stores what the first one could not."""
    job_id, go = storing(grid, "--report-grace", "0.5")
    assert grid.pilots[0].wait(60) == 143, grid.output()
    assert grid.wait_status(job_id, "holding", "failed", "finished") == "holding"
    assert grid.job_dir(job_id).exists()
    Path(go).touch()
    assert grid.pilot(PYTHONPATH=str(HERE)).wait(60) == 0, grid.output()
    assert grid.wait_status(job_id, "finished", "failed") == "finished", grid.errors(job_id)
    assert (grid.store / f"out.{job_id}.txt").read_text() == "precious"
    assert not grid.job_dir(job_id).exists()


def test_a_second_signal_leaves_no_time(grid: Grid) -> None:
    """The payload is killed without the rest of its grace, and the pilot leaves with what it can say in a second."""
    job_id = grid.submit_python(IGNORE_TERM)
    pilot = grid.pilot("--stop-grace", "3000")
    payload = started_payload(grid, job_id)
    pilot.send_signal(signal.SIGTERM)
    wait_for(lambda: "StopRequested" in grid.events(job_id), "the pilot has heard")
    pilot.send_signal(signal.SIGINT)
    assert pilot.wait(60) == 143, grid.output()
    wait_for(lambda: payload_gone(*payload), "the payload is gone")


def test_what_is_shown_on_disk(grid: Grid) -> None:
    """The job at a glance, the jobs of this pilot, and its sign of life, under the names that wrappers know."""
    job_id = grid.submit_python(write_output("text") + "raise SystemExit(3)\n", **OUTPUT)
    assert grid.pilot("--jobs", "1", "--no-cleanup").wait(60) == 0, grid.output()
    view = json.loads((grid.job_dir(job_id) / "picard" / "status.json").read_text())
    assert (view["schema"], view["job_id"], view["attempt_nr"]) == ("picard.status/1", job_id, 1)
    assert (view["phase"], view["state"], view["exit_code"], view["exit_signal"]) == (
        "failed",
        "failed",
        3,
        None,
    )
    assert view["payload_pid"] and view["held_because"] is None
    assert view["faults"][0].startswith("1305 PAYLOADEXECUTIONFAILURE: ")
    assert (view["staged"], view["stored"]) == ([], {})
    assert (grid.workdir / "pandaIDs.out").read_text() == f"{job_id}\n"
    beat = json.loads((grid.workdir / "pilot_heartbeat.json").read_text())
    assert beat["pid"] == grid.pilots[0].pid
    assert beat["last_pilot_update"] > 0
