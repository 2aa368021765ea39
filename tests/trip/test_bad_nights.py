"""Servers that are down, slow or lying while real pilots work: they wait, lose nothing and say what they see."""

import itertools
import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from night_kit import ACQUIRE, COMMANDS, UPDATE, Night, bad_night

from grid import Grid, running_server, wait_for
from picard_pilot.server import control
from picard_pilot.server.settings import ServerSettings
from picard_pilot.system import proc
from picard_pilot.testing.faulty_server import (
    ERROR_500,
    HTML_PAGE,
    Hang,
    Hangup,
    Raw,
    Reaction,
    Reset,
    Say,
    Seen,
    Truncate,
)

HASTY = ("tests/trip/hasty_pilot.py",)
WAIT_FOR_GO = (
    "import os, time\nprint('begun', flush=True)\nwhile not os.path.exists('go'): time.sleep(0.02)\n"
)
WRITE_OUTPUT = "open('out.' + os.environ['PANDAID'] + '.txt', 'w').write('saved')\n"
OUTPUT = {"outFiles": "out.$PANDAID.txt", "scopeOut": "test"}


def envelope(data: object, *, success: object = True, message: object = "") -> Say:
    """A v1 answer with whatever in it."""
    return Say(body=json.dumps({"success": success, "message": message, "data": data}).encode())


LIES: dict[str, Reaction] = {
    "HTML": HTML_PAGE,
    "500 with text": ERROR_500,
    "502 with HTML": Say(status=502, body=b"<html>Bad Gateway</html>"),
    "404": Say(status=404, body=b"Not Found"),
    "a redirect": Say(status=302, headers=(("Location", "https://127.0.0.1:1/"),)),
    "nothing": Say(body=b""),
    "truncated": Truncate(body=b'{"success": tr', announced_bytes=4000),
    "half of the JSON": Say(body=b'{"success": true, "message": "", "data": {"StatusCode"'),
    "no HTTP": Raw(data=b"SSH-2.0-OpenSSH_9.2\r\n"),
    "a reset": Reset(),
    "a hangup": Hangup(),
    "a list": Say(body=b"[1, 2, 3]"),
    "null": Say(body=b"null"),
    "not UTF-8": Say(body=b'{"success": true, "message": "\xff\xfe", "data": {}}'),
    "deep": Say(body=b"[" * 100_000),
    "wrong types": envelope([1, 2], success="yes", message=7),
    "a word for a code": envelope({"StatusCode": "zero"}),
    "no code": envelope({}),
    "a database error": envelope({"StatusCode": 30, "ErrorDiag": "no such table"}, message="Database error"),
    "no data": envelope(None),
}

JOBS_THAT_ARE_NONE: dict[str, Reaction] = {
    "jobs in a text": envelope({"StatusCode": 0, "jobs": "many"}),
    "jobs without a name": envelope({"StatusCode": 0, "jobs": [{}, 7, None, {"PandaID": "seven"}, {"PandaID": -1}]}),
    "no list": envelope({"StatusCode": 0}),
}  # fmt: skip
"""Lies about jobs: only for the question for one."""


ORDERS_THAT_ARE_NONE: dict[str, Reaction] = {
    "an order for somebody else": envelope([{"status": "running", "command": "tobekilled"}] * 7),
    "a number": envelope([{"status": "running", "command": 7}]),
    "gibberish": envelope([{"status": "running", "command": "\x1b[2J, ,,rm -rf /," + "x" * 10_000}]),
    "no status": envelope([{"command": "tobekilled"}]),
    "a text": envelope("tobekilled"),
}
"""Lies about commands: only for the question for them."""


@pytest.fixture
def night(grid: Grid) -> Iterator[Night]:
    with bad_night(grid) as relay:
        yield relay


def is_update(seen: Seen) -> bool:
    return seen.target.endswith(UPDATE) and json.loads(seen.body)["job_status"] in ("starting", "running")


def is_final(seen: Seen) -> bool:
    return seen.target.endswith(UPDATE) and json.loads(seen.body)["job_status"] in ("finished", "failed")


def is_question(seen: Seen) -> bool:
    return seen.target.endswith(ACQUIRE)


def is_poll(seen: Seen) -> bool:
    return COMMANDS in seen.target


def tell_lies(night: Night, applies: Callable[[Seen], bool], lies: dict[str, Reaction]) -> list[str]:
    """From now on requests that fit get one lie after another, then the truth; the names of those told so far."""
    told: list[str] = []

    def trouble(seen: Seen) -> Reaction | None:
        if not applies(seen) or len(told) == len(lies):
            return None
        told.append(list(lies)[len(told)])
        return lies[told[-1]]

    night.trouble = trouble
    return told


def embarrassments(grid: Grid) -> list[str]:
    """Lines of the pilots' output that nobody should have to read."""
    return [line for line in grid.output().splitlines() if '  File "' in line or "never awaited" in line]


@pytest.mark.parametrize(
    ("applies", "lies"),
    [
        (is_question, {**LIES, **JOBS_THAT_ARE_NONE}),
        (is_update, LIES),
        (is_poll, {**LIES, **ORDERS_THAT_ARE_NONE}),
        (is_final, LIES),
    ],
    ids=["asking for a job", "heartbeats", "asking for commands", "the final report"],
)
def test_no_lie_keeps_a_job_from_its_end(
    grid: Grid, night: Night, applies: Callable[[Seen], bool], lies: dict[str, Reaction]
) -> None:
    """Twenty lies in a row, then the truth: the job is done once, all its phases are known, its output is there."""
    counter = grid.directory / "runs"
    job_id = grid.submit_python(
        f"{WAIT_FOR_GO}open({str(counter)!r}, 'a').write('x')\n{WRITE_OUTPUT}", **OUTPUT
    )
    told = tell_lies(night, applies, lies)
    pilot = grid.pilot(
        *night.flags, "--jobs", "1", "--heartbeat", "0.2", "--command-poll", "0.05", program=HASTY
    )
    grid.wait_event(job_id, "PayloadStarted")
    if applies in (is_update, is_poll):
        wait_for(lambda: len(told) == len(lies), f"all lies were told: {told}")
        grid.wait_status(job_id, "running")
    (grid.job_dir(job_id) / "go").touch()
    assert pilot.wait(60) == 0, grid.output()[-3000:]
    assert told == list(lies)
    assert grid.wait_status(job_id, "finished", "failed") == "finished", grid.errors(job_id)
    assert counter.read_text() == "x"
    assert (grid.store / f"out.{job_id}.txt").read_text() == "saved"
    told_phases = [one["sub_status"] for one in grid.job(job_id)["history"] if one["who"] == "pilot"]
    # A heartbeat may fall into the launch, which is `running` for people and still `starting` for the server.
    phases = [phase for phase, _ in itertools.groupby(told_phases)]
    assert phases == ["starting", "setup", "running", "stageout", "finishing", "finished"]
    assert not embarrassments(grid)


def test_a_report_whose_answer_got_lost_counts_once(grid: Grid, night: Night) -> None:
    """The server stored it, the pilot does not know, tells it again, and understands the answer."""
    lost = []

    def trouble(seen: Seen) -> Reaction | None:
        if is_final(seen) and not lost:
            lost.append(night.pass_on(seen))
            return Reset()
        return None

    night.trouble = trouble
    job_id = grid.submit("/bin/true")
    assert grid.pilot(*night.flags, "--jobs", "1", program=HASTY).wait(60) == 0, grid.output()[-3000:]
    assert grid.wait_status(job_id, "finished", "failed") == "finished"
    first, second = night.final()
    assert first == second
    assert not grid.job_dir(job_id).exists()


def test_sigterm_while_the_server_hangs_leaves_the_report_to_the_next_pilot(grid: Grid, night: Night) -> None:
    """143 within the grace; the report waits on disk, and the next pilot delivers the very same."""
    job_id = grid.submit_python(WAIT_FOR_GO)
    pilot = grid.pilot(*night.flags, "--report-grace", "1", "--stop-grace", "1")
    grid.wait_event(job_id, "PayloadStarted")
    wait_for(lambda: (grid.job_dir(job_id) / "payload.stdout").stat().st_size, "the payload's first words")
    night.trouble = lambda seen: None if is_update(seen) else Hang()
    pilot.send_signal(signal.SIGTERM)
    assert pilot.wait(60) == 143, grid.output()[-3000:]
    assert grid.events(job_id)[-1] == "Suspended"
    unheard = night.final()[0]
    night.trouble = lambda seen: None
    before = len(night.final())
    assert grid.pilot(*night.flags).wait(60) == 0, grid.output()[-3000:]
    (delivered,) = night.final()[before:]
    # Who tells it, and how often it was taken up, may differ; what happened may not.
    for report in (unheard, delivered):
        for name in ("job_metrics", "pilot_id", "batch_id", "node"):
            report.pop(name, None)
    assert delivered == unheard
    assert delivered["pilot_error_code"] == 1201
    assert grid.wait_status(job_id, "failed", "finished") == "failed"
    assert not grid.job_dir(job_id).exists()
    assert not embarrassments(grid)


def test_sigterm_while_everything_hangs_leaves_a_written_report(grid: Grid, night: Night) -> None:
    """Not even a heartbeat comes to its end: the report is on disk before it waits for anything."""
    job_id = grid.submit_python(WAIT_FOR_GO)
    pilot = grid.pilot(*night.flags, "--report-grace", "0.5", "--stop-grace", "0.5")
    grid.wait_event(job_id, "PayloadStarted")
    night.trouble = lambda seen: Hang()
    wait_for(lambda: (grid.job_dir(job_id) / "payload.stdout").stat().st_size, "the payload's first words")
    pilot.send_signal(signal.SIGTERM)
    assert pilot.wait(60) == 143, grid.output()[-3000:]
    written = json.loads((grid.job_dir(job_id) / "picard" / "report.json").read_text())["report"]
    assert (written["status"], written["pilot_error_code"]) == ("failed", 1201)
    assert grid.pilot().wait(60) == 0, grid.output()[-3000:]
    assert grid.wait_status(job_id, "failed", "finished") == "failed"
    assert grid.errors(job_id)["pilot"][0] == 1201
    assert not embarrassments(grid)


def test_a_server_that_is_gone_at_the_end_gets_the_report_when_it_is_back(grid: Grid, night: Night) -> None:
    """The pilot waits with its report and repeats it; nothing is lost."""
    job_id = grid.submit_python(WAIT_FOR_GO + WRITE_OUTPUT, **OUTPUT)
    pilot = grid.pilot(*night.flags, "--jobs", "1")
    grid.wait_event(job_id, "PayloadStarted")
    night.server.down()
    (grid.job_dir(job_id) / "go").touch()
    wait_for(lambda: "the report waits" in grid.output(), "the pilot noticed")
    assert grid.status(job_id) != "finished"
    night.server.up()
    assert pilot.wait(60) == 0, grid.output()[-3000:]
    assert grid.wait_status(job_id, "finished", "failed") == "finished"


def test_a_server_that_never_answers_is_left_with_79(grid: Grid, night: Night) -> None:
    """Without a job nothing can be lost: the pilot gives the slot back after its patience."""
    night.trouble = lambda seen: HTML_PAGE
    assert grid.pilot(*night.flags, "--server-patience", "1").wait(60) == 79, grid.output()[-3000:]
    assert "not JSON" in grid.output()
    assert not embarrassments(grid)


def test_sigterm_while_a_hanging_server_is_asked_for_a_job(grid: Grid, night: Night) -> None:
    """There is nothing to wait for but the answer, and for that only as long as for a report."""
    night.trouble = lambda seen: Hang()
    pilot = grid.pilot(*night.flags, "--report-grace", "0.5")
    wait_for(lambda: night.server.seen, "it asks")
    pilot.send_signal(signal.SIGTERM)
    assert pilot.wait(60) == 143, grid.output()[-3000:]
    assert not embarrassments(grid)


def test_the_server_is_killed_and_comes_back_at_the_same_place(tmp_path: Path) -> None:
    """Kill -9 in the middle of a job: the restarted server still knows the job, and gets its report."""
    data_dir = tmp_path / "server"
    with running_server(data_dir) as info:
        grid = Grid(tmp_path, info)
        try:
            job_id = grid.submit_python(WAIT_FOR_GO + WRITE_OUTPUT, **OUTPUT)
            pilot = grid.pilot("--jobs", "1", "--heartbeat", "0.2", program=HASTY)
            grid.wait_event(job_id, "PayloadStarted")
            grid.wait_status(job_id, "running")
            proc.send_signal(info.process, signal.SIGKILL)
            wait_for(lambda: not proc.is_running(info.process), "the server is gone")
            wait_for(lambda: "telling again" in grid.output(), "the pilot noticed")
            (grid.job_dir(job_id) / "go").touch()
            wait_for(lambda: "the report waits" in grid.output(), "the pilot has a report to tell")
            port = int(info.url.rpartition(":")[2])
            control.start_detached(ServerSettings(data_dir=str(data_dir), durable=False, port=port))
            assert pilot.wait(60) == 0, grid.output()[-3000:]
            assert grid.wait_status(job_id, "finished", "failed") == "finished"
            assert (grid.store / f"out.{job_id}.txt").read_text() == "saved"
        finally:
            grid.close()
