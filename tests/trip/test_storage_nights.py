"""Whole jobs whose storages have a bad night: the alternative takes their outputs, or these wait for a later pilot."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from fickle_storage import TROUBLE
from test_endings import OUTPUT

from grid import Grid

HERE = str(Path(__file__).parent)


class Storages:
    """The grid's storage, DISK, and a second one, T1, both with moods."""

    def __init__(self, grid: Grid, alternative: bool = True) -> None:
        self.grid = grid
        self.first = grid.store
        self.second = grid.directory / "t1"
        self.second.mkdir()
        text = grid.site_file.read_text().replace(
            'status = "online"', 'status = "online"\nmovers = { default = ["fickle_storage:Fickle"] }'
        )
        if alternative:
            text = text.replace('pl = ["DISK"]', 'pl = ["DISK"]\nwrite_alternative = ["T1"]')
        grid.site_file.write_text(
            text + f'\n[endpoint.T1]\nprotocols = ["file://{self.second}"]\npaths = "flat"\n'
        )

    def trouble(self, word: str, *folders: Path) -> None:
        """From now on these storages are in trouble."""
        for folder in folders or (self.first, self.second):
            (folder / TROUBLE).write_text(word)

    def well(self) -> None:
        """All storages work again."""
        for folder in (self.first, self.second):
            (folder / TROUBLE).unlink(missing_ok=True)


def submit(grid: Grid, **spec: Any) -> tuple[int, Path]:
    """A job with one output; its payload counts how often it runs."""
    counter = grid.directory / "runs"
    return grid.submit_python(
        f"import os\nopen({str(counter)!r}, 'a').write('x')\n"
        "open('out.' + os.environ['PANDAID'] + '.txt', 'w').write('precious')\n",
        **{**OUTPUT, "useJobRecovery": "True", **spec},
    ), counter


def record(grid: Grid, job_id: int) -> dict[str, Any]:
    """What the server knows about the output."""
    return next(file for file in grid.job(job_id)["files"] if file["role"] == "output")


def run(grid: Grid, *flags: str, **more: Any) -> int:
    """A pilot's exit code."""
    return grid.pilot(*flags, PYTHONPATH=HERE, **more).wait(60)


def test_the_alternative_takes_what_the_first_refuses(grid: Grid) -> None:
    """Finished; the report, the counters and the log say where the output really is."""
    storages = Storages(grid)
    job_id, _ = submit(grid)
    storages.trouble("space", storages.first)
    assert run(grid, "--jobs", "1", "--no-cleanup") == 0, grid.output()
    assert grid.wait_status(job_id, "finished", "failed") == "finished", grid.errors(job_id)
    lfn = f"out.{job_id}.txt"
    assert (storages.second / lfn).read_text() == "precious"
    assert not (storages.first / lfn).exists()
    found = record(grid, job_id)
    assert (found["surl"], found["endpoint"]) == (f"file://{storages.second}/{lfn}", "T1")
    events = grid.events(job_id)
    at = events.index("OutputDiverted")
    assert events[at : at + 4] == ["OutputDiverted", "OutputStored", "OutputPlaceCleared", "OutputsStored"]
    view = json.loads((grid.job_dir(job_id) / "picard" / "status.json").read_text())
    assert view["outputs"] == {lfn: "stored at T1, the alternative"}
    assert "filesAltStageOut=1" in json.dumps(grid.job(job_id))


def test_a_late_success_of_the_first_is_no_second_copy(grid: Grid) -> None:
    """It took the file, but the transfer ended in a time-out: the copy at the alternative is the only one."""
    storages = Storages(grid)
    job_id, _ = submit(grid)
    storages.trouble("late", storages.first)
    assert run(grid, "--jobs", "1") == 0, grid.output()
    assert grid.wait_status(job_id, "finished", "failed") == "finished", grid.errors(job_id)
    assert not (storages.first / f"out.{job_id}.txt").exists()
    assert (storages.second / f"out.{job_id}.txt").read_text() == "precious"
    assert record(grid, job_id)["endpoint"] == "T1"


@pytest.mark.parametrize(
    ("when", "event", "counts"),
    [
        ("after", "OutputDiverted", "first"),
        ("before", "OutputStored", "first"),
        ("after", "OutputStored", "second"),
    ],
)
def test_kill_9_between_two_storages(grid: Grid, when: str, event: str, counts: str) -> None:
    """Whatever the next pilot finds, one copy is registered, and the other one is removed."""
    storages = Storages(grid)
    job_id, counter = submit(grid)
    storages.trouble("late", storages.first)
    order = ["JobReceived", "Admitted", "Prepared", "PayloadStarted", "PayloadExited", "Diagnosed"]
    number = [*order, "OutputDiverted", "OutputStored"].index(event) + 1
    mortal = ("tests/crash/mortal_pilot.py", when, str(number))
    assert run(grid, "--jobs", "1", program=mortal) == -9, grid.output()
    storages.well()
    assert run(grid) == 0, grid.output()
    assert grid.wait_status(job_id, "finished", "failed") == "finished", grid.errors(job_id)
    lfn = f"out.{job_id}.txt"
    assert (storages.first / lfn).exists() is (counts == "first")
    assert (storages.second / lfn).exists() is (counts == "second")
    assert record(grid, job_id)["endpoint"] == ("DISK" if counts == "first" else "T1")
    assert counter.read_text() == "x"


def test_forced_outputs_go_straight_to_the_alternative(grid: Grid) -> None:
    """The first storage is not even asked."""
    storages = Storages(grid)
    job_id, _ = submit(grid, altStageOut="force")
    storages.trouble("space", storages.first)
    assert run(grid, "--jobs", "1") == 0, grid.output()
    assert grid.wait_status(job_id, "finished", "failed") == "finished", grid.errors(job_id)
    assert (storages.second / f"out.{job_id}.txt").exists()
    assert not (storages.first / ".tried").exists()


def test_a_job_that_wants_no_alternative_waits_for_its_storage(grid: Grid) -> None:
    """Off: the alternative is well, and not asked."""
    storages = Storages(grid)
    job_id, _ = submit(grid, altStageOut="off")
    storages.trouble("contact", storages.first)
    assert run(grid, "--jobs", "1") == 0, grid.output()
    assert grid.wait_status(job_id, "holding", "finished", "failed") == "holding"
    assert list(storages.second.iterdir()) == []


@pytest.mark.parametrize("logs", ["", " and logs"])
def test_everything_is_down_and_a_later_pilot_finishes_the_job(grid: Grid, logs: str) -> None:
    """Holding, with a text that says where and until when; the pilot goes on with the next job; nothing is lost."""
    storages = Storages(grid)
    job_id, counter = submit(grid)
    storages.trouble("contact" + logs)
    second = grid.submit("/bin/false")
    assert run(grid) == 0, grid.output()
    assert grid.wait_status(second, "finished", "failed") == "failed"
    assert grid.wait_status(job_id, "holding", "finished", "failed") == "holding"
    code, text = grid.errors(job_id)["pilot"]
    assert code == 1137
    assert text.startswith("outputs are safe in ")
    assert str(grid.job_dir(job_id)) in text
    assert " UTC, the next pilot there tries again" in text
    view = json.loads((grid.job_dir(job_id) / "picard" / "status.json").read_text())
    assert (view["phase"], view["faults"], view["next_try_at"]) == ("holding", [], None)
    assert view["outputs"] == {f"out.{job_id}.txt": "waits in the job's directory"}
    assert view["held_until"] > view["since"] + 47 * 3600
    assert ("LogStored" in grid.events(job_id)) is (not logs)
    assert (grid.job_dir(job_id) / f"out.{job_id}.txt").read_text() == "precious"
    storages.well()
    assert run(grid) == 0, grid.output()
    assert grid.wait_status(job_id, "finished", "failed") == "finished", grid.errors(job_id)
    assert (storages.first / f"out.{job_id}.txt").read_text() == "precious"
    assert (storages.first / f"log.{job_id}.tgz").exists()
    assert counter.read_text() == "x"
    assert "pilot" not in grid.errors(job_id)
    assert not grid.job_dir(job_id).exists()


def test_a_pilot_runs_the_next_job_while_it_waits_for_a_storage(grid: Grid) -> None:
    """During a long break the cores are free; when the storage is back, the first job ends while the second runs."""
    storages = Storages(grid, alternative=False)
    first, counter = submit(grid)
    storages.trouble("contact and logs", storages.first)
    second = grid.submit_python("import os, time\nwhile not os.path.exists('go'): time.sleep(0.02)\n")
    pilot = grid.pilot(PYTHONPATH=HERE, program=("tests/trip/restless_pilot.py",))
    grid.wait_event(second, "PayloadStarted")
    grid.wait_status(first, "holding")
    assert "OutputsHeld" in grid.events(first)
    storages.well()
    assert grid.wait_status(first, "finished", "failed") == "finished", grid.errors(first)
    assert grid.status(second) == "running"
    (grid.job_dir(second) / "go").touch()
    assert pilot.wait(60) == 0, grid.output()
    assert grid.wait_status(second, "finished", "failed") == "finished"
    assert counter.read_text() == "x"


def test_a_pilot_that_waits_for_a_storage_leaves_when_told(grid: Grid) -> None:
    """A signal ends the wait at once; the outputs stay for the next pilot."""
    storages = Storages(grid, alternative=False)
    job_id, _ = submit(grid)
    storages.trouble("contact and logs", storages.first)
    pilot = grid.pilot("--jobs", "1", PYTHONPATH=HERE, program=("tests/trip/restless_pilot.py",))
    grid.wait_event(job_id, "BreakOver")
    grid.wait_status(job_id, "holding")
    assert pilot.poll() is None
    pilot.send_signal(signal.SIGTERM)
    assert pilot.wait(60) == 143, grid.output()
    assert (grid.job_dir(job_id) / f"out.{job_id}.txt").exists()
    storages.well()
    assert run(grid) == 0, grid.output()
    assert grid.wait_status(job_id, "finished", "failed") == "finished", grid.errors(job_id)


def test_kill_9_of_a_pilot_that_holds(grid: Grid) -> None:
    """It had no time to say so to the server: the journal is enough for the next one."""
    storages = Storages(grid, alternative=False)
    job_id, counter = submit(grid)
    storages.trouble("contact and logs", storages.first)
    mortal = ("tests/crash/mortal_pilot.py", "after", "7")
    assert run(grid, "--jobs", "1", program=mortal) == -9, grid.output()
    assert grid.events(job_id)[-1] == "OutputsHeld"
    assert run(grid) == 0, grid.output()
    assert grid.wait_status(job_id, "holding", "failed", "finished") == "holding"
    assert grid.events(job_id)[-1] in ("OutputsHeld", "LogFailed")
    storages.well()
    assert run(grid) == 0, grid.output()
    assert grid.wait_status(job_id, "finished", "failed") == "finished", grid.errors(job_id)
    assert counter.read_text() == "x"


def test_a_log_has_an_alternative_too(grid: Grid) -> None:
    """The journal knows where it was tried, as of an output."""
    storages = Storages(grid)
    job_id, _ = submit(grid)
    storages.trouble("late and only logs", storages.first)
    assert run(grid, "--jobs", "1", "--no-cleanup") == 0, grid.output()
    assert grid.wait_status(job_id, "finished", "failed") == "finished", grid.errors(job_id)
    events = grid.events(job_id)
    assert events[events.index("OutputsStored") + 1 :] == [
        "OutputDiverted",
        "OutputStored",
        "OutputPlaceCleared",
        "LogStored",
        "ReportAccepted",
    ]
    log = f"log.{job_id}.tgz"
    assert ((storages.first / log).exists(), (storages.second / log).exists()) == (False, True)


def test_a_log_that_was_stored_before_a_crash_stays_the_log(grid: Grid) -> None:
    """The next pilot finds the storage down and cannot know that it has the archive: it keeps the very same one."""
    storages = Storages(grid, alternative=False)
    job_id, _ = submit(grid)
    mortal = ("tests/crash/mortal_pilot.py", "before", "9")
    assert run(grid, "--jobs", "1", program=mortal) == -9, grid.output()
    stored = (storages.first / f"log.{job_id}.tgz").read_bytes()
    storages.trouble("contact and only logs", storages.first)
    assert run(grid) == 0, grid.output()
    assert grid.wait_status(job_id, "holding", "failed", "finished") == "holding"
    storages.well()
    assert run(grid) == 0, grid.output()
    assert grid.wait_status(job_id, "finished", "failed") == "finished", grid.errors(job_id)
    assert (storages.first / f"log.{job_id}.tgz").read_bytes() == stored


def test_a_log_that_nobody_takes_does_not_cost_the_job(grid: Grid) -> None:
    """The outputs are stored, the log waits; without it the server would call the job failed."""
    storages = Storages(grid, alternative=False)
    job_id, counter = submit(grid)
    storages.trouble("contact and only logs", storages.first)
    assert run(grid, "--jobs", "1") == 0, grid.output()
    assert "OutputsStored" in grid.events(job_id)
    assert grid.wait_status(job_id, "holding", "failed", "finished") == "holding"
    storages.well()
    assert run(grid) == 0, grid.output()
    assert grid.wait_status(job_id, "finished", "failed") == "finished", grid.errors(job_id)
    assert counter.read_text() == "x"


def test_a_pilot_that_shall_not_hold_says_so_at_once(grid: Grid) -> None:
    """Where nothing outlives the slot the job fails, with the attempts as evidence and its log."""
    storages = Storages(grid)
    job_id, _ = submit(grid)
    storages.trouble("contact")
    assert run(grid, "--jobs", "1", "--no-hold-outputs") == 0, grid.output()
    assert grid.wait_status(job_id, "failed", "finished") == "failed"
    assert grid.errors(job_id)["pilot"][0] == 1137
    assert (storages.first / f"log.{job_id}.tgz").exists()
    assert not grid.job_dir(job_id).exists()


def test_outputs_that_cannot_be_mended_do_not_wait(grid: Grid) -> None:
    """No permission, another file of that name, or no output at all: time helps none of them."""
    storages = Storages(grid, alternative=False)
    job_id, _ = submit(grid)
    storages.trouble("auth", storages.first)
    assert run(grid, "--jobs", "1") == 0, grid.output()
    assert grid.wait_status(job_id, "failed", "finished") == "failed"
    assert grid.errors(job_id)["pilot"][0] == 1383
