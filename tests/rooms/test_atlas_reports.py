"""The ATLAS experiment on real files: what it reads in a transform's report, and what it makes of hostile ones."""

import json
import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from picard_pilot.diagnosis.engine import Found, apply
from picard_pilot.diagnosis.rulecheck import sample_facts
from picard_pilot.experiments.atlas.experiment import Atlas
from picard_pilot.experiments.atlas.job_report import STEPS
from picard_pilot.experiments.atlas.seen import report_with
from picard_pilot.model.bundle import Outcome
from picard_pilot.model.fault import Fault
from picard_pilot.model.job import Job
from picard_pilot.model.samples import ended
from picard_pilot.payload.jobdir import bundle_of
from picard_pilot.pilot.diagnosing import Left, explain
from picard_pilot.system.redact import HIDDEN, Redactor

JOB = Job(job_id=1, attempt_nr=1)

REPORT: dict[str, Any] = {
    "reportVersion": "2.2.2",
    "exitCode": 65,
    "exitAcronym": "TRF_EXEC_FAIL",
    "exitMsg": "Non-zero return code from ESDtoAOD (65)",
    "executor": [
        {"name": "RAWtoESD", "rc": 0, "statusOK": True, "logfileReport": {"details": {"ERROR": [
            {"count": 1, "firstLine": 3, "message": "SomeSvc ERROR of a step that ended well"}]}}},
        {"name": "ESDtoAOD", "rc": 65, "statusOK": False, "logfileReport": {"details": {
            "ERROR": [{"count": 9, "firstLine": 5, "message": "an error before it"}],
            "FATAL": [{"count": 1, "firstLine": 12, "message": "AthenaEventLoopMgr FATAL stops"},
                      {"count": 1, "firstLine": 11, "message": "JetAlg FATAL no clusters\nand more lines"}]}}},
    ],
    "resource": {"executor": {"RAWtoESD": {"nevents": 100}, "ESDtoAOD": {"nevents": 40}}, "transform": {}},
    "files": {"output": [{"subFiles": [{"name": "AOD.1.root", "file_guid": "A-B-C", "nentries": 40}]}]},
}  # fmt: skip


def read(directory: Path, exit_code: int = 65) -> Outcome:
    """What the experiment reads in a job's directory."""
    return Atlas().outcome(JOB, bundle_of(directory), ended(exit_code))


def verdicts(directory: Path, exit_code: int = 65, redactor: Redactor | None = None) -> tuple[Fault, ...]:
    """The faults of a payload that left this directory."""
    left = Left(ended(exit_code), bundle_of(directory), read(directory, exit_code))
    return explain(left, Atlas().rules(), redactor or Redactor())


def test_the_first_telling_line_of_the_step_that_failed(tmp_path: Path) -> None:
    """With events and GUIDs; neither an error of a good step nor a later symptom is told in its place."""
    (tmp_path / "jobReport.json").write_text(json.dumps(REPORT))
    outcome = read(tmp_path)
    assert outcome.exe_error_code == 65
    assert outcome.exe_error_diag == (
        "TRF_EXEC_FAIL: Non-zero return code from ESDtoAOD (65): log.ESDtoAOD line 11: JetAlg FATAL no clusters"
    )
    assert (outcome.n_events, outcome.guids) == (100, {"AOD.1.root": "A-B-C"})
    cause, end = verdicts(tmp_path)
    assert (cause.name, end.name) == ("UNKNOWNTRFFAILURE", "PAYLOADEXECUTIONFAILURE")
    first = cause.evidence[0]
    assert (first.file, first.line, first.text) == ("log.ESDtoAOD", 11, "JetAlg FATAL no clusters")


def test_a_line_that_the_message_has_is_not_repeated(tmp_path: Path) -> None:
    """Transforms often quote it themselves."""
    report = report_with("JetAlg FATAL no clusters", exitMsg='Logfile error: "JetAlg FATAL no clusters"')
    (tmp_path / "jobReport.json").write_text(json.dumps(report))
    assert read(tmp_path).exe_error_diag == 'Logfile error: "JetAlg FATAL no clusters"'


def test_a_good_report_has_no_error(tmp_path: Path) -> None:
    """Its events and its text for the server are kept."""
    report = {**REPORT, "exitCode": 0, "exitAcronym": "OK", "exitMsg": "OK"}
    (tmp_path / "jobReport.json").write_text(json.dumps(report))
    outcome = read(tmp_path, 0)
    assert (outcome.exe_error_code, outcome.exe_error_diag, outcome.n_events) == (None, None, 100)
    assert outcome.metadata is not None and json.loads(outcome.metadata) == report


def test_secrets_in_a_report_are_hidden_in_the_verdict(tmp_path: Path) -> None:
    """The payload may write into its report what it likes; verdicts go to the journal and the server."""
    secret, redactor = secrets.token_urlsafe(24), Redactor()
    redactor.register(secret)
    report = report_with(f"JetAlg FATAL cannot log in with {secret}", exitMsg=f"bad {secret}")
    (tmp_path / "jobReport.json").write_text(json.dumps(report))
    (tmp_path / "payload_error_report.json").write_text(
        json.dumps({"error_code": 5317, "error_diag": secret})
    )
    found = verdicts(tmp_path, redactor=redactor)
    texts = [
        f"{one.says} {' '.join(piece.text for piece in one.evidence)}"
        for one in found
        if one.rule != "payload.exit"
    ]
    assert any(HIDDEN in text for text in texts)
    assert not any(secret in text for text in texts)


@pytest.mark.parametrize(
    ("log", "says"),
    [
        ("Current algorithm: MyAlg\nEvent ID: [284500,7]", "in MyAlg at event [284500,7]"),
        ("Current algorithm: MyAlg", "in MyAlg"),
        ("Event ID: [284500,7]", "at event [284500,7]"),
        ("nothing more", "in a place that it does not name"),
    ],
)
def test_a_crash_of_athena_is_placed(tmp_path: Path, log: str, says: str) -> None:
    """Algorithm and event, as far as its core dump service knew them."""
    crash = "CoreDumpSvc 0 0 FATAL Caught signal 11(Segmentation fault). Details:"
    (tmp_path / "log.EVNTtoHITS").write_text(f"{crash}\n{log}\n")
    assert verdicts(tmp_path, 139)[0].says == f"Athena crashed {says} with signal 11 (Segmentation fault)"


def test_no_sentence_of_a_rule_has_an_empty_brace() -> None:
    """Each rule's own sample fills all words of its sentence and advice."""
    rules = Atlas().rules()
    for rule in rules:
        hit = apply(rule, sample_facts(rule, rule.sample))
        assert hit is not None, rule.id
        made = Found(rule, hit).fault(None)
        assert "{" not in made.says + made.next_step, (rule.id, made.says)


def _deep(path: Path) -> None:
    path.write_text('{"exitCode": 65, "executor": ' + "[" * 10_000 + "]" * 10_000 + "}")


def _deep_but_readable(path: Path) -> None:
    path.write_text('{"exitCode": 65, "executor": ' + "[" * 700 + "]" * 700 + "}")


def _link(path: Path) -> None:
    target = path.with_name("elsewhere.json")
    target.write_text(json.dumps(REPORT))
    path.symlink_to(target)


def _huge(path: Path) -> None:
    with path.open("wb") as file:
        file.write(b'{"exitCode": 65, "x": "')
        file.truncate(100 * 1000 * 1000)


def _many_steps(path: Path) -> None:
    step = REPORT["executor"][1]
    path.write_text(
        json.dumps({**REPORT, "executor": [{**step, "rc": 0, "statusOK": True}] * STEPS + [step]})
    )


def _odd_types(path: Path) -> None:
    steps = [
        *(None, "x", {"rc": "a", "statusOK": 0, "logfileReport": {"details": {"FATAL": {"message": [1]}}}}),
        {"rc": 1, "name": 5, "logfileReport": {"details": {"FATAL": [5, {"message": "\0 \n"}]}}},
    ]
    odd = {"exitCode": "65", "exitMsg": {}, "exitAcronym": 7, "resource": [], "files": 3, "executor": steps}
    path.write_text(json.dumps(odd))


HOSTILE: dict[str, Callable[[Path], object]] = {
    "nested 10,000 deep": _deep,
    "nested as deep as can be read": _deep_but_readable,
    "a symbolic link": _link,
    "a FIFO": os.mkfifo,
    "a directory": Path.mkdir,
    "100 MB": _huge,
    "wrong types": _odd_types,
    "not UTF-8": lambda path: path.write_bytes(b'{"exitCode": 65, "exitMsg": "\xff\xfe"}'),
    "cut off": lambda path: path.write_text(json.dumps(REPORT)[:-30]),
    "more steps than are looked at": _many_steps,
    "empty": Path.touch,
}


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("name", ["jobReport.json", "payload_error_report.json"])
def test_any_report_leaves_a_verdict(tmp_path: Path, make: Callable[[Path], object], name: str) -> None:
    """Nobody waits for a writer, nothing is read without bound, and what the log tells is found all the same."""
    make(tmp_path / name)
    (tmp_path / "log.RAWtoALL").write_text(
        "DBReplicaSvc ERROR Cannot find a valid frontier connection for COOLOFL\n"
    )
    found: list[Fault] = []
    work = threading.Thread(target=lambda: found.extend(verdicts(tmp_path)), daemon=True)
    work.start()
    work.join(60)
    assert not work.is_alive()
    assert found[0].name == "FRONTIER"
    assert found[-1].says == "the payload ended with exit code 65"


def test_a_pilot_starts_without_the_rules() -> None:
    """They cost 15 ms, which only a failed payload pays."""
    code = (
        "import sys; from picard_pilot.experiments.atlas.experiment import Atlas; Atlas(); "
        "print([name for name in sys.modules if name.endswith(('.athena', '.wrappers', '.catalogue.codes'))])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == "[]\n"
