"""A long stage-in shows how far it is, everywhere; where files came from is told; traces are sent beside it all."""

import http.cookiejar
import json
import re
import ssl
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from test_endings_phases import use_mover

from grid import Grid, wait_for
from picard_pilot.server import control
from trace_receiver import receiving

HERE = Path(__file__).parent

SIZES = {"small.dat": 100_000, "large.dat": 2_000_000}


class Visitor:
    """Somebody who has logged in and reads pages without any script."""

    def __init__(self, grid: Grid) -> None:
        trust = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=grid.info.ca_file))
        jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        none = urllib.request.ProxyHandler({})
        self._open = urllib.request.build_opener(trust, jar, none).open
        self._url = grid.info.url
        self._open(control.login_url(Path(grid.info.data_dir))).read()

    def page(self, job_id: int) -> str:
        """The job's page."""
        with self._open(f"{self._url}/jobs/{job_id}") as answer:
            return str(answer.read().decode())

    def facts(self, job_id: int) -> dict[str, Any]:
        """The same for programs."""
        with self._open(f"{self._url}/jobs/{job_id}?format=json") as answer:
            return dict(json.load(answer)["data"])


def _submit(grid: Grid) -> int:
    checksums = [grid.put(name, name.encode()[:1] * size) for name, size in SIZES.items()]
    return grid.submit(
        "/bin/true",
        inFiles=",".join(SIZES),
        fsize=",".join(map(str, SIZES.values())),
        checksum=",".join(checksums),
        scopeIn="t,t",
        ddmEndPointIn="DISK,DISK",
        GUID="G1,G2",
        realDatasetsIn="t:set,t:set",
        prodDBlocks="t:set,t:set",
    )


def _with_traces(grid: Grid, url: str) -> None:
    text = grid.site_file.read_text()
    grid.site_file.write_text(text.replace('status = "online"', f'status = "online"\ntrace_url = "{url}"'))


def test_a_slow_stage_in_shows_how_far_it_is(grid: Grid) -> None:
    """In the server's record, in status.json, in the log and on the page; and at the end how each file came."""
    use_mover(grid, "dripping_storage:Dripping")
    job_id = _submit(grid)
    pilot = grid.pilot("--jobs", "1", "--progress", "0.2", PYTHONPATH=str(HERE))

    def told() -> bool:
        metrics = str(grid.job(job_id)["usage"].get("job_metrics"))
        return "stageFiles=1/2 stageBytes=1100000/2100000" in metrics

    wait_for(told, "the heartbeat tells that the small file and half of the large one are through")
    assert "phaseSince=" in grid.job(job_id)["usage"]["job_metrics"]
    assert grid.job(job_id)["row"]["sub_status"] == "stagein"
    status = json.loads((grid.job_dir(job_id) / "picard" / "status.json").read_bytes())
    assert status["progress"]["files_done"] == 1 and status["progress"]["bytes_done"] >= 1_100_000
    assert re.search(r"still stagein \(.*\) for \d+ s: 1 of 2 files, 1\.1 MB of 2\.1 MB", grid.output())
    visitor = Visitor(grid)
    page = visitor.page(job_id)
    assert "1 of 2 files, 1.1 MB of 2.1 MB" in page
    assert '<progress max="100" value="52"' in page
    (grid.store / "go").touch()
    assert pilot.wait(60) == 0, grid.output()
    assert grid.wait_status(job_id, "finished", "failed") == "finished"
    assert "<progress" not in visitor.page(job_id)
    inputs = {one["lfn"]: one for one in visitor.facts(job_id)["files"] if one["role"] == "input"}
    assert {(one["endpoint"], one["how"]) for one in inputs.values()} == {("DISK", "copy")}
    assert all(one["why"] for one in inputs.values())
    assert visitor.facts(job_id)["pilot_log"] is None  # the note of the transfers is no extract of a log


def test_a_replica_that_failed_is_told_with_its_reason(grid: Grid) -> None:
    """On the page of a failed job, beside the file."""
    job_id = _submit(grid)
    (grid.store / "large.dat").unlink()
    assert grid.pilot("--jobs", "1").wait(60) == 0, grid.output()
    assert grid.wait_status(job_id, "finished", "failed") == "failed"
    facts = Visitor(grid).facts(job_id)
    tries = {one["lfn"]: one["failed_tries"] for one in facts["files"]}
    assert tries["large.dat"][0].startswith("DISK: missing: ")
    assert facts["pilot_log"] and not facts["pilot_log"].startswith("transfers of")


def test_each_attempt_leaves_one_trace(grid: Grid) -> None:
    """A good job, and one of whose inputs one is missing: what was tried is told, without a credential."""
    with receiving() as receiver:
        _with_traces(grid, receiver.url)
        # It stays until the test has seen all: what is not sent when a pilot leaves is given up.
        good = _submit(grid)
        pilot = grid.pilot("--queue-patience", "600")
        assert grid.wait_status(good, "finished", "failed") == "finished"
        wait_for(lambda: len(receiver.headers) >= 3, "the traces of two inputs and a log")
        told = [(trace["eventType"], trace["filename"], trace["clientState"]) for trace in receiver.traces]
        assert set(told[:2]) == {("get_sm", "small.dat", "DONE"), ("get_sm", "large.dat", "DONE")}
        assert {trace["appid"] for trace in receiver.traces} == {good}
        assert receiver.traces[0]["dataset"] == "set" and receiver.traces[0]["pq"] == grid.queue
        assert "authorization" not in receiver.headers[0]
        assert len(told) == 3
        pilot.terminate()
        assert pilot.wait(60) == 143, grid.output()
        bad = _submit(grid)
        (grid.store / "large.dat").unlink()
        pilot = grid.pilot("--queue-patience", "600")
        assert grid.wait_status(bad, "finished", "failed") == "failed"
        wait_for(lambda: any(trace["clientState"] == "missing" for trace in receiver.traces), "the bad one's")
        pilot.terminate()
        assert pilot.wait(60) == 143, grid.output()
        missing = [trace for trace in receiver.traces if trace["clientState"] == "missing"]
        assert [(trace["appid"], trace["filename"]) for trace in missing] == [(bad, "large.dat")]
        assert missing[0]["suspicious"] is True


@pytest.mark.parametrize("status", [0, 500], ids=["hanging", "refusing"])
def test_a_trace_service_in_trouble_costs_a_job_nothing(grid: Grid, status: int) -> None:
    """The job finishes and the pilot leaves long before a trace would time out."""
    with receiving(status) as receiver:
        _with_traces(grid, receiver.url)
        job_id = _submit(grid)
        pilot = grid.pilot("--jobs", "1")
        wait_for(receiver.asked.is_set, "a trace was offered")
        assert grid.wait_status(job_id, "finished", "failed") == "finished"
        assert pilot.wait(60) == 0, grid.output()
        leaving = [line for line in grid.output().splitlines() if "traces: 0 sent" in line]
        assert len(leaving) == 1, grid.output()
