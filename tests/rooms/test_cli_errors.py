"""`ppilot errors` and `ppilot job list --fp` against a real server: what people and scripts see of failures."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from test_server_errors import fail

from picard_pilot.cli.main import main
from picard_pilot.diagnosis.fingerprint import likeness
from picard_pilot.model.facts import Line
from picard_pilot.model.rule import Rule, Where
from picard_pilot.server import control
from picard_pilot.testing.server import LocalServer, local_server
from picard_pilot.wire.error_notes import compose

Ppilot = Callable[..., tuple[int, str, str]]

LINES = ["step 3", "cannot align the muon spectrometer of event 17 in /scratch/7/muons.root", "bye"]
ALIKE = likeness({"payload.stderr": [Line(0, line) for line in LINES]}, "exit code 3")
SILENT = likeness({}, "exit code 3")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    """A server on which jobs failed: three of an unknown error, one that left no word, two transfers."""
    with local_server(tmp_path_factory.mktemp("server")) as server:
        with server.client("pilot") as pilot:
            for alike, nodes in ((ALIKE, ("n1", "n2", "n2")), (SILENT, ("n3",))):
                for node in nodes:
                    metrics = f"errorFingerprint={alike.fingerprint} errorBlame=payload"
                    note = compose(alike.fingerprint, alike.text, alike.evidence)
                    values = {
                        "pilot_error_code": 1305,
                        "pilot_error_diag": "the payload ended with exit code 3",
                    }
                    fail(pilot, server, "Q1", node, **values, job_metrics=metrics, pilot_log=note)
            for endpoint in ("DISK_A", "DISK_B"):
                metrics = f"errorFiner=stageout/space errorEndpoint={endpoint} errorBlame=storage"
                values = {"pilot_error_code": 1137, "pilot_error_diag": f"{endpoint} is full"}
                fail(pilot, server, "Q2", "n4", **values, job_metrics=metrics)
        yield server


@pytest.fixture
def ppilot(told: LocalServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: Any) -> Ppilot:
    """A command in this process: its exit code, stdout and stderr."""
    for name, value in (
        ("PICARD_DATA_DIR", told.info.data_dir),
        ("HOME", tmp_path),
        ("XDG_STATE_HOME", tmp_path),
    ):
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("PICARD_SERVER", told.info.url)
    monkeypatch.setenv("PICARD_CA", told.info.ca_file or "")
    monkeypatch.setenv("PICARD_TOKEN_FILE", str(control.token_file(Path(told.info.data_dir), "production")))

    def run(*words: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main(words)
        out, err = capfd.readouterr()
        return code, out, err

    return run


def test_what_jobs_fail_of(ppilot: Ppilot) -> None:
    """A table for people, rows for scripts, the most frequent first; narrower by queue."""
    code, out, _ = ppilot("errors", "list")
    lines = out.splitlines()
    assert code == 0 and lines[0].split()[:2] == ["CODE", "NAME"]
    assert lines[1].split()[:4] == ["1305", "PAYLOADEXECUTIONFAILURE", "payload", "4"]
    assert lines[2].split()[:2] == ["1137", "STAGEOUTFAILED"]
    rows = json.loads(ppilot("errors", "list", "--queue", "Q2", "--json")[1])
    assert rows["schema"] == "ppilot.error/1"
    assert [(row["code"], row["jobs"], row["sample"]) for row in rows["data"]] == [
        (1137, 2, "DISK_B is full")
    ]
    rows = json.loads(ppilot("errors", "list", "--transfers", "--json", "--fields", "finer,endpoint,jobs")[1])
    assert [tuple(row.values()) for row in rows["data"]] == [
        ("stageout/space", "DISK_A", 1), ("stageout/space", "DISK_B", 1)
    ]  # fmt: skip
    assert "1 of 2 errors" in ppilot("errors", "list", "--limit", "1")[2]
    assert "no jobs failed" in ppilot("errors", "list", "--node", "nowhere")[2]


def test_an_unknown_error_comes_with_a_rule(ppilot: Ppilot) -> None:
    """That can be pasted: it is the rule that its check found good."""
    code, out, _ = ppilot("errors", "unknown")
    assert code == 0 and f"{ALIKE.fingerprint}  3 jobs on 2 nodes, 1 user, 1 queue; first " in out
    assert "    cannot align the muon spectrometer of event <n> in <file>.root" in out
    assert "    cannot align the muon spectrometer of event 17 in /scratch/7/muons.root" in out
    assert "no rule is proposed: no line of it has enough words" in out and "its check says" not in out
    first, second = json.loads(ppilot("errors", "unknown", "--json")[1])["data"]
    (rule,) = eval(f"[{first['rule']}]", {"Rule": Rule, "Where": Where})
    assert (rule.when, rule.where) == ("cannot align the muon spectrometer of event", Where.STDERR)
    assert (first["jobs"], first["nodes"], first["flaws"]) == (3, 2, [])
    assert second["rule"] is None and second["fingerprint"] == SILENT.fingerprint
    plain = ppilot("errors", "unknown", "--format", "plain", "--fields", "fingerprint,jobs")[1]
    assert plain.splitlines() == [f"{ALIKE.fingerprint}\t3", f"{SILENT.fingerprint}\t1"]
    assert "no job failed of something unknown" in ppilot("errors", "unknown", "--queue", "Q2")[2]


def test_a_fingerprint_can_be_explained(ppilot: Ppilot) -> None:
    """What the server knows of it, and where to go on; a job's description leads there."""
    code, out, _ = ppilot("explain", ALIKE.fingerprint)
    assert code == 0 and "3 jobs on 2 nodes" in out and "    cannot align the muon spectrometer" in out
    assert "`ppilot explain 1305`" in out and f"`ppilot job list --fp {ALIKE.fingerprint}`" in out
    data = json.loads(ppilot("explain", ALIKE.fingerprint, "--json")[1])
    assert data["schema"] == "ppilot.unknown-error/1" and data["data"]["jobs"] == 3
    code, _, err = ppilot("explain", "fp1:ffffffffffff")
    assert code == 3 and "No job has failed with fp1:ffffffffffff" in err
    listed = json.loads(ppilot("job", "list", "--fp", ALIKE.fingerprint, "--json", "--fields", "job_id")[1])[
        "data"
    ]
    told = ppilot("job", "describe", str(listed[0]["job_id"]))[1]
    assert "3 jobs failed of the same, on 2 nodes" in told and f"ppilot explain {ALIKE.fingerprint}" in told
    assert "errorFingerprint" not in told


def test_jobs_are_listed_by_fingerprint_and_node(ppilot: Ppilot) -> None:
    """As many as were counted; what is no fingerprint is refused."""
    rows = json.loads(ppilot("job", "list", "--fp", ALIKE.fingerprint, "--json")[1])["data"]
    assert len(rows) == 3
    rows = json.loads(ppilot("job", "list", "--fp", ALIKE.fingerprint, "--node", "n2", "--json")[1])["data"]
    assert [row["host"] for row in rows] == ["n2", "n2"]
    code, _, err = ppilot("job", "list", "--fp", "fp1:xyz")
    assert code == 2 and "is no fingerprint" in err


@pytest.mark.parametrize("words", [("--limit", "0"), ("--limit", "201"), ("--since", "yesterday")])
def test_bad_flags_are_explained(ppilot: Ppilot, words: tuple[str, ...]) -> None:
    """In three lines."""
    code, _, err = ppilot("errors", "list", *words)
    assert code == 2 and "will not do" in err
