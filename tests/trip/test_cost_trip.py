"""Where a slot's time went, with real pilots: nothing of it is missing, and a killed pilot's part is told too."""

import json
import os
import signal
import time

import pytest

from grid import Grid, wait_for
from picard_pilot.cli.main import main
from picard_pilot.pilot.costs import FILE

SHORT = "import time\ntime.sleep(0.7)\n"
BAD = "import sys, time\ntime.sleep(0.3)\nsys.exit(7)\n"
WAITING = """
import os, time
open('begun', 'w').close()
while not os.path.exists('go'): time.sleep(0.02)
"""


def test_every_second_of_a_slot_is_somebodys(grid: Grid) -> None:
    """A good job and a failed one: the parts add up to the slot, which is the life of the pilot's process."""
    good, bad = grid.submit_python(SHORT), grid.submit_python(BAD)
    before = time.time()
    pilot = grid.pilot("--no-cleanup")
    assert pilot.wait(60) == 0
    after = time.time()
    told = json.loads((grid.workdir / FILE).read_bytes())
    jobs = {job["job_id"]: job for job in told["jobs"]}
    parts = told["own_core_s"] + sum(sum(job["core_s"].values()) for job in jobs.values())
    assert parts == pytest.approx(told["wall_s"] * told["cores"], abs=0.05)
    # The batch system saw the process from its start to its end; only the last steps of an exit are not in it.
    assert before - 0.1 <= told["began_at"] <= told["began_at"] + told["wall_s"] <= after + 0.1
    assert set(jobs) == {good, bad}
    assert jobs[good]["core_s"]["running"] >= 0.7
    assert (jobs[bad]["whole"]["error"], jobs[bad]["whole"]["blame"]) == (
        "PAYLOADEXECUTIONFAILURE",
        "payload",
    )
    assert "this slot: " in grid.output()
    assert "to PAYLOADEXECUTIONFAILURE (payload)" in grid.output()


def test_a_killed_pilots_part_is_in_the_account(
    grid: Grid, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its journal tells it at once; when another has brought the job home, the server counts it as saved."""
    job_id = grid.submit_python(WAITING)
    first = grid.pilot()
    grid.wait_event(job_id, "PayloadStarted")
    wait_for((grid.job_dir(job_id) / "begun").exists, "the payload runs")
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert main(["cost", str(grid.workdir), "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)["data"]
    assert (told["job_id"], told["state"]) == (job_id, "running")
    assert {"starting", "setup", "running"} <= set(told["cost"]["wall_s"])
    (grid.job_dir(job_id) / "go").touch()
    second = grid.pilot()
    assert second.wait(60) == 0
    grid.wait_status(job_id, "finished")
    monkeypatch.setenv("PICARD_SERVER", grid.info.url)
    flags = ["--ca", grid.ca_file, "--token-file", str(grid.token_file), "--queue", grid.queue]
    assert main(["cost", *flags, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["data"]
    assert [(one["by"], one["jobs"]) for one in found["saved"]] == [("recovery", 1)]
    assert found["good"]["core_s"]["running"] > 0
    assert main(["cost", *flags]) == 0
    assert "saved by a later pilot: 1 job" in capsys.readouterr().out
