"""`ppilot recover`: a person looks at what pilots left, takes it up where it lies or from a copy, or discards it."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from test_recovery_fence import alive, heard, left_job, payload_pid, set_at_server
from test_storage_nights import HERE, Storages, run, submit

from grid import ROOT, Grid, clean_environment, wait_for
from picard_pilot.payload.jobdir import LAUNCH_DIRECTORY
from picard_pilot.server import control
from picard_pilot.system.shim import protocol


def begin(grid: Grid, *words: str, **environ: str) -> "subprocess.Popen[str]":
    """One command, as somebody types it who has the server and the queue in his environment."""
    settings = {
        "PICARD_SERVER": grid.info.url,
        "PICARD_CA": str(grid.info.ca_file),
        "PICARD_TOKEN_FILE": str(control.token_file(Path(grid.info.data_dir), "pilot")),
        "PICARD_SITE_FILES": str(grid.site_file),
        "PICARD_NODE_DIRECTORY": str(grid.directory / "node"),
        "PICARD_STAGING_PATIENCE": "1",
        "PICARD_CONFIG": os.devnull,
        "PYTHONPATH": HERE,
    }
    return subprocess.Popen(
        [sys.executable, "-m", "picard_pilot.cli.main", "recover", *words],
        env={**clean_environment(), **settings, **environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def recover(grid: Grid, *words: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    """The same, to its end."""
    with begin(grid, *words, **environ) as command:
        out, said = command.communicate(timeout=120)
    return subprocess.CompletedProcess(command.args, command.returncode, out, said)


def answer(done: "subprocess.CompletedProcess[str]") -> list[dict[str, Any]]:
    """What it said to a script."""
    return list(json.loads(done.stdout)["data"])


def held_job(grid: Grid) -> tuple[int, Storages, Path]:
    """A job whose outputs no storage took; its pilot is gone."""
    storages = Storages(grid, alternative=False)
    job_id, counter = submit(grid)
    storages.trouble("contact", storages.first)
    assert run(grid, "--jobs", "1") == 0, grid.output()
    assert grid.wait_status(job_id, "holding", "finished", "failed") == "holding"
    return job_id, storages, counter


def test_what_lies_there_can_be_seen_without_changing_it(grid: Grid) -> None:
    """Job, state, outputs and their sizes, where, until when, and that it can be taken up; the server is asked too."""
    job_id, _, _ = held_job(grid)
    before = {path: path.stat().st_mtime_ns for path in grid.job_dir(job_id).rglob("*")}
    done = recover(grid, "list", str(grid.workdir), "--json", PICARD_SERVER="https://127.0.0.1:1")
    assert done.returncode == 0, done.stderr
    (row,) = answer(done)
    assert (row["job_id"], row["attempt_nr"], row["queue"], row["state"]) == (
        job_id,
        1,
        grid.queue,
        "holding",
    )
    assert row["outputs"] == [{"lfn": f"out.{job_id}.txt", "size_bytes": 8, "stored": False}]
    assert row["directory"] == str(grid.job_dir(job_id))
    assert row["left_at"].endswith(f":{grid.job_dir(job_id)}")
    assert row["until"] > row["since"]
    assert (row["can_be_taken_up"], row["obstacle"], row["holder"], row["over"]) == (True, None, None, False)
    asked = recover(grid, "list", str(grid.workdir), "--ask", "--json")
    assert answer(asked)[0]["at_server"] == "holding", asked.stderr
    assert answer(asked)[0]["verdict"] == "go on: it is holding at the server"
    table = recover(grid, "list", str(grid.job_dir(job_id)))
    assert "0 of 1 stored, 8 B here" in table.stdout and "in 1d23h" in table.stdout, table.stdout
    assert {path: path.stat().st_mtime_ns for path in grid.job_dir(job_id).rglob("*")} == before


def test_a_held_job_is_taken_up_where_it_lies(grid: Grid) -> None:
    """Its outputs are stored, the server is told, its directory is gone; the payload does not run again."""
    job_id, storages, counter = held_job(grid)
    other = grid.submit("/bin/true")
    still = recover(grid, "run", str(grid.workdir), "--json")
    assert still.returncode == 1, still.stderr
    assert [(row["job_id"], row["result"]) for row in answer(still)] == [(job_id, "waits")]
    assert "outputs are safe in" in answer(still)[0]["note"]
    storages.well()
    done = recover(grid, "run", str(grid.workdir), "--only", str(job_id), "--json")
    assert done.returncode == 0, done.stderr
    assert answer(done) == [
        {
            "job_id": job_id,
            "directory": str(grid.job_dir(job_id)),
            "result": "finished",
            "note": "1 output stored",
        }
    ]
    assert grid.wait_status(job_id, "finished", "failed") == "finished", grid.errors(job_id)
    assert (storages.first / f"out.{job_id}.txt").read_text() == "precious"
    assert counter.read_text() == "x"
    assert not grid.job_dir(job_id).exists()
    assert grid.status(other) == "activated"


def test_a_copy_is_as_good_as_the_original(grid: Grid, tmp_path: Path) -> None:
    """Moved to another place, as from a node that is switched off: nothing in it depends on where it was."""
    job_id, storages, counter = held_job(grid)
    elsewhere = tmp_path / "from node 7" / "saved"
    elsewhere.parent.mkdir()
    shutil.copytree(grid.job_dir(job_id), elsewhere, symlinks=True, ignore=_pipes)
    shutil.rmtree(grid.job_dir(job_id))
    storages.well()
    done = recover(grid, "run", str(elsewhere), "--json")
    assert done.returncode == 0, done.stderr
    assert grid.wait_status(job_id, "finished", "failed") == "finished", grid.errors(job_id)
    assert (storages.first / f"out.{job_id}.txt").read_text() == "precious"
    assert (storages.first / f"log.{job_id}.tgz").exists()
    assert counter.read_text() == "x"
    assert not elsewhere.exists()
    assert list(elsewhere.parent.iterdir()) == []
    assert not grid.job_dir(job_id).exists()


def _pipes(folder: str, names: list[str]) -> list[str]:
    """What no copy can take along."""
    return [name for name in names if Path(folder, name).is_fifo()]


def test_a_payload_that_ran_on_another_host_is_lost_and_said_so(grid: Grid, tmp_path: Path) -> None:
    """From its directory alone nobody can tell how it ended: the job is reported, with its log, and never run again."""
    job_id = left_job(grid)
    pid = payload_pid(grid, job_id)
    copy = tmp_path / "copy"
    shutil.copytree(grid.job_dir(job_id), copy, symlinks=True, ignore=_pipes)
    here = recover(grid, "run", str(copy), "--json")
    assert (here.returncode, answer(here)[0]["result"]) == (1, "not taken up")
    assert "still runs where it was copied from" in answer(here)[0]["note"]
    started = copy / "picard" / LAUNCH_DIRECTORY / protocol.STARTED_FILE
    fields = json.loads(protocol.verified_record(started.read_bytes()) or b"")
    fields |= {"boot_id": "another", "host": "node7"}
    started.write_bytes(protocol.encode_record(fields))
    done = recover(grid, "run", str(copy), "--json")
    assert (done.returncode, answer(done)[0]["result"]) == (0, "failed"), done.stderr
    assert "elsewhere, on node7" in answer(done)[0]["note"]
    assert grid.wait_status(job_id, "finished", "failed") == "failed"
    assert (grid.store / f"log.{job_id}.tgz").exists()
    assert alive(pid), "a copy is no reason to touch what runs"


def test_a_queue_that_is_named_is_the_only_one(grid: Grid) -> None:
    """Each job belongs to its queue's pilots."""
    held_job(grid)
    done = recover(grid, "run", str(grid.workdir), "--queue", "OTHER", "--json")
    assert (done.returncode, answer(done)[0]["result"]) == (1, "not taken up")
    assert answer(done)[0]["note"] == f"it is of queue {grid.queue}"


def test_a_signal_ends_it_as_it_ends_a_pilot(grid: Grid) -> None:
    """The payload for which it waits is stopped in time; the answer is given, and the exit code tells the signal."""
    job_id = left_job(grid)
    command = begin(grid, "run", str(grid.workdir), "--json", PICARD_REPORT_GRACE="60", PICARD_STOP_GRACE="1")
    grid.wait_event(job_id, "Resumed")
    command.send_signal(signal.SIGTERM)
    out, said = command.communicate(timeout=60)
    assert command.returncode == 143, said
    assert json.loads(out)["data"][0]["result"] == "failed", said
    assert grid.wait_status(job_id, "finished", "failed") == "failed"


def test_without_a_server_nothing_is_touched(grid: Grid) -> None:
    """Neither taken up nor discarded; the exit code says why."""
    job_id, _, _ = held_job(grid)
    before = grid.events(job_id)
    for words in (("run",), ("discard", "--yes")):
        done = recover(grid, *words, str(grid.workdir), "--json", PICARD_SERVER="https://127.0.0.1:1")
        assert (done.returncode, json.loads(done.stdout)["error"]["name"]) == (6, "unreachable")
    assert grid.events(job_id) == before


def test_what_a_living_pilot_has_is_left_alone(grid: Grid) -> None:
    """It is told whose it is; not even --force takes it away."""
    job_id = grid.submit_python("import os, time\nwhile not os.path.exists('go'): time.sleep(0.02)\n")
    pilot = grid.pilot("--jobs", "1")
    grid.wait_event(job_id, "PayloadStarted")
    (row,) = answer(recover(grid, "list", str(grid.workdir), "--json"))
    assert f"pid {pilot.pid} on " in row["holder"]
    assert (row["can_be_taken_up"], row["state"]) == (False, "running")
    done = recover(grid, "run", str(grid.workdir), "--json")
    assert (done.returncode, answer(done)[0]["result"]) == (1, "not taken up")
    done = recover(grid, "discard", "--force", "--yes", str(grid.workdir), "--json")
    assert (done.returncode, answer(done)[0]["result"]) == (1, "not discarded")
    assert f"pid {pilot.pid} on " in answer(done)[0]["note"]
    (grid.job_dir(job_id) / "go").touch()
    assert pilot.wait(60) == 0, grid.output()
    assert grid.wait_status(job_id, "finished", "failed") == "finished"


def test_what_may_still_be_wanted_is_not_discarded(grid: Grid) -> None:
    """The server waits for it: only --force loses it, and says what."""
    job_id, _, _ = held_job(grid)
    kept = recover(grid, "discard", str(grid.workdir), "--yes", "--json")
    assert (kept.returncode, answer(kept)[0]["result"]) == (1, "not discarded")
    assert "ppilot recover run" in answer(kept)[0]["note"]
    unasked = recover(grid, "discard", str(grid.workdir), "--force")
    assert unasked.returncode == 2 and "--yes" in unasked.stderr
    would = recover(grid, "discard", str(grid.workdir), "--force", "--dry-run", "--json")
    assert (would.returncode, answer(would)[0]["result"]) == (0, "would be discarded")
    assert f"out.{job_id}.txt (8 bytes)" in answer(would)[0]["note"]
    assert grid.job_dir(job_id).exists()
    before = heard(grid, job_id)
    gone = recover(grid, "discard", str(grid.workdir), "--force", "--yes", "--json")
    assert (gone.returncode, answer(gone)[0]["result"]) == (0, "discarded"), gone.stderr
    assert answer(gone)[0]["note"].startswith(f"lost: out.{job_id}.txt (8 bytes)")
    assert not grid.job_dir(job_id).exists()
    assert heard(grid, job_id) == before


@pytest.mark.parametrize("values", [{"status": "failed"}, {"attempt_nr": 2}, {"status": "activated"}])
def test_what_nobody_waits_for_is_discarded_with_what_runs(grid: Grid, values: dict[str, Any]) -> None:
    """The server gave it up, gave it to another pilot or took it back: the payload ends, the directory goes."""
    job_id = left_job(grid)
    pid = payload_pid(grid, job_id)
    set_at_server(grid, job_id, **values)
    done = recover(grid, "discard", str(grid.workdir), "--yes", "--json")
    assert (done.returncode, answer(done)[0]["result"]) == (0, "discarded"), done.stderr + done.stdout
    wait_for(lambda: not alive(pid), "the payload to end")
    assert not grid.job_dir(job_id).exists()


def test_a_journal_that_cannot_be_read_is_shown_and_only_lost_by_force(grid: Grid) -> None:
    """Nobody knows what it holds."""
    job_id, _, _ = held_job(grid)
    journal = grid.job_dir(job_id) / "picard" / "journal.jsonl"
    journal.write_bytes(b"nonsense\n" + journal.read_bytes())
    (row,) = answer(recover(grid, "list", str(grid.workdir), "--json"))
    assert (row["job_id"], row["state"], row["can_be_taken_up"]) == (job_id, None, False)
    assert "its journal cannot be read" in row["obstacle"]
    assert recover(grid, "run", str(grid.workdir)).returncode == 1
    assert recover(grid, "discard", str(grid.workdir), "--yes").returncode == 1
    assert grid.job_dir(job_id).exists()
    assert recover(grid, "discard", str(grid.workdir), "--force", "--yes").returncode == 0
    assert not grid.job_dir(job_id).exists()


def test_jobs_are_chosen_by_number_and_age(grid: Grid) -> None:
    """And what is not there is said, with the exit code for it."""
    job_id, _, _ = held_job(grid)
    for words, code in (
        (("--only", str(job_id + 1)), 3),
        (("--only", "x"), 2),
        (("--older-than", "x"), 2),
        ((str(grid.workdir / "nowhere"),), 3),
    ):
        done = recover(grid, "list", str(grid.workdir), *words)
        assert done.returncode == code, done.stderr
        assert len(done.stderr.strip().splitlines()) == 3
    for words, found in (
        (("--only", f"{job_id}-{job_id}"), [job_id]),
        (("--older-than", "0"), [job_id]),
        (("--older-than", "1h"), []),
    ):
        done = recover(grid, "list", str(grid.workdir), "--json", *words)
        assert [row["job_id"] for row in answer(done)] == found
    by_default = recover(grid, "list", "--json", PICARD_WORKDIR=str(grid.workdir))
    assert [row["job_id"] for row in answer(by_default)] == [job_id]
    (grid.job_dir(job_id) / "picard" / "journal.jsonl").unlink()
    (row,) = answer(recover(grid, "list", str(grid.job_dir(job_id)), "--json"))
    assert (row["job_id"], row["obstacle"]) == (job_id, "it holds no journal")
    elsewhere = recover(grid, "list", str(grid.store))
    assert elsewhere.returncode == 0 and "no jobs are left" in elsewhere.stderr
