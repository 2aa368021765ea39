"""What the pilot makes of how a payload ended: the cause first, its bad end last, whatever it left for logs."""

import json
import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from picard_pilot.model.bundle import Outcome
from picard_pilot.model.command import PayloadExit
from picard_pilot.model.facts import at
from picard_pilot.model.fault import Blame
from picard_pilot.model.rule import Rule, Specificity, Where
from picard_pilot.model.samples import ended
from picard_pilot.payload.jobdir import bundle_of
from picard_pilot.pilot.diagnosing import Left, explain
from picard_pilot.system.redact import HIDDEN, Redactor


@pytest.mark.parametrize(
    ("end", "full", "names", "blame", "words"),
    [
        (ended(7), False, ["PAYLOADEXECUTIONFAILURE"], Blame.PAYLOAD, "exit code 7"),
        (ended(signal=9), False, ["PAYLOADEXECUTIONFAILURE"], Blame.PAYLOAD, "signal 9 (SIGKILL)"),
        (
            ended(signal=11),
            False,
            ["PAYLOADSIGSEGV", "PAYLOADEXECUTIONFAILURE"],
            Blame.PAYLOAD,
            "segmentation",
        ),
        (ended(7), True, ["NOLOCALSPACE", "PAYLOADEXECUTIONFAILURE"], Blame.NODE, "full"),
        (
            ended(signal=15, stopped_by="output_limit"),
            False,
            ["STDOUTTOOBIG", "PAYLOADEXECUTIONFAILURE"],
            Blame.PAYLOAD,
            "bytes of output",
        ),
        (
            ended(0, stopped_by="output_limit"),
            False,
            ["STDOUTTOOBIG", "PAYLOADEXECUTIONFAILURE"],
            Blame.PAYLOAD,
            "of output",
        ),
        (
            ended(signal=15, stopped_by="signal_15"),
            False,
            ["KILLSIGNAL", "PAYLOADEXECUTIONFAILURE"],
            Blame.BATCH,
            "signal 15 (SIGTERM)",
        ),
        (
            ended(1, stopped_by="signal_2"),
            True,
            ["KILLSIGNAL", "NOLOCALSPACE", "PAYLOADEXECUTIONFAILURE"],
            Blame.BATCH,
            "signal 2 (SIGINT)",
        ),
    ],
)
def test_whose_fault_it_was(
    tmp_path: Path, end: PayloadExit, full: bool, names: list[str], blame: Blame, words: str
) -> None:
    """A signal to the launcher alone, as a batch system sends it, is not the payload's."""
    (tmp_path / "payload.stderr").write_text("the last words\n")
    left = Left(end, bundle_of(tmp_path), disk_full="/scratch" if full else None)
    found = explain(left, (), Redactor())
    assert [one.name for one in found] == names
    assert found[0].blame == blame and words in found[0].says


@pytest.mark.parametrize("stopped_by", [None, "signal_15", "lifetime"])
def test_a_payload_that_ends_well_has_no_fault_and_none_of_its_logs_is_opened(
    tmp_path: Path, stopped_by: str | None
) -> None:
    """Also when it was asked to end, and did so within its grace. Its words mean nothing then."""
    (tmp_path / "payload.stderr").write_text("FATAL:   Failed to mount image\nOperation not permitted\n")
    left = Left(ended(0, stopped_by=stopped_by), bundle_of(tmp_path))
    assert opened(lambda: explain(left, (), Redactor()), tmp_path) == ((), [])


def test_of_a_payload_that_failed_each_log_is_opened_once(tmp_path: Path) -> None:
    """And both reports; what nobody names is left alone."""
    for name in ("payload.stdout", "payload.stderr", "jobReport.json", "notes.txt", "log.sim"):
        (tmp_path / name).write_text("{}")
    faults, paths = opened(lambda: explain(Left(ended(1), bundle_of(tmp_path)), (), Redactor()), tmp_path)
    assert len(faults) == 1
    assert sorted(paths) == [
        "jobReport.json",
        "payload.stderr",
        "payload.stdout",
        "payload_error_report.json",
    ]


def opened(work: Callable[[], object], below: Path) -> tuple[object, list[str]]:
    """What this does, and the names of files below a directory that are opened meanwhile."""
    names: list[str] = []
    looking = True

    def hook(event: str, args: tuple[object, ...]) -> None:
        if looking and event == "open" and isinstance(args[0], str) and Path(args[0]).parent == below:
            names.append(Path(args[0]).name)

    sys.addaudithook(hook)
    try:
        return work(), names
    finally:
        looking = False


def test_a_payloads_last_words_hold_no_secret(tmp_path: Path) -> None:
    """They go where the log archive goes, and further: a registered one, one by its place, a private key."""
    registered, named = secrets.token_hex(12), secrets.token_hex(12)
    redactor = Redactor()
    redactor.register(registered)
    key = "-----BEGIN PRIVATE KEY-----\n" + "\n".join(secrets.token_hex(32) for _ in range(3))
    text = (
        f"cannot use {registered}\nerror: password={named}\n{key}\n-----END PRIVATE KEY-----\nno such file\n"
    )
    (tmp_path / "payload.stderr").write_text(text)
    (found,) = explain(Left(ended(1), bundle_of(tmp_path)), (), redactor)
    assert [one.text for one in found.evidence] == [
        f"cannot use {HIDDEN}",
        f"error: password={HIDDEN}",
        "no such file",
    ]


def test_what_a_rule_quotes_of_a_report_holds_no_secret(tmp_path: Path) -> None:
    """A report is not read line by line as logs are."""
    secret = secrets.token_hex(12)
    (tmp_path / "jobReport.json").write_text(json.dumps({"exitMsg": f"login failed, password={secret}"}))
    rule = Rule(
        error="SETUPFATAL", where=Where.REPORT, when=lambda facts: at(facts.report, "exitMsg"), says="no", advice="-",
        specificity=Specificity.CERTAIN, sample="-", counter_sample="-",
    )  # fmt: skip
    found = explain(Left(ended(1), bundle_of(tmp_path)), (rule,), Redactor())
    assert found[0].evidence[0].text == f"login failed, password={HIDDEN}"


def test_a_rule_explains_and_the_bad_end_stays_as_the_symptom(tmp_path: Path) -> None:
    """The evidence says in which file, and how many bytes into it; the payload's own words stay with its end."""
    (tmp_path / "payload.stdout").write_text(
        "20 events\nterminate called after throwing an instance of 'std::bad_alloc'\n"
    )
    left = Left(ended(134), bundle_of(tmp_path), Outcome(exe_error_code=65, exe_error_diag="no memory"))
    cause, crash, symptom = explain(left, (), Redactor())
    assert (cause.name, cause.evidence[0].file, cause.evidence[0].offset) == (
        "BADALLOC",
        "payload.stdout",
        10,
    )
    assert crash.rule == "crash.cpp_exception"
    assert symptom.says == "the payload ended with exit code 134"
    assert symptom.evidence[0].text == "no memory" and symptom.fingerprint is None


def test_what_nothing_explains_has_the_telling_lines_and_a_fingerprint(tmp_path: Path) -> None:
    """The same on another node, for another user."""
    prints = set()
    for host, user in (("enterprise", "jlpuser"), ("stargazer", "wrpuser")):
        directory = tmp_path / host
        directory.mkdir()
        (directory / "payload.stderr").write_text(
            f"step 3\nthe frobnicator of {user} failed on {host}: no flux\nbye\n"
        )
        left = Left(ended(9), bundle_of(directory), known={host: "<host>", user: "<user>"})
        (found,) = explain(left, (), Redactor())
        assert found.name == "PAYLOADEXECUTIONFAILURE"
        assert "frobnicator" in found.evidence[0].text
        prints.add(found.fingerprint)
    assert len(prints) == 1 and None not in prints


def test_an_experiments_rule_reads_logs_of_its_own(tmp_path: Path) -> None:
    """Named by a pattern; links, folders and pipes of such names are left alone."""
    rule = Rule(
        error="SETUPFATAL", where="log.*", when="no geometry", says="it failed", advice="-",
        specificity=Specificity.CERTAIN, sample="no geometry", counter_sample="-",
    )  # fmt: skip
    (tmp_path / "log.sim").write_text("start\nno geometry\n")
    (tmp_path / "log.link").symlink_to("/etc/passwd")
    (tmp_path / "log.dir").mkdir()
    os.mkfifo(tmp_path / "log.pipe")
    found = explain(Left(ended(1), bundle_of(tmp_path)), (rule,), Redactor())
    assert (found[0].name, found[0].evidence[0].file, found[0].evidence[0].offset) == (
        "SETUPFATAL",
        "log.sim",
        6,
    )


def test_a_report_nested_without_end_is_no_report(tmp_path: Path) -> None:
    """Nor is a link, a pipe or 10,000 brackets a reason to give no verdict."""
    report = tmp_path / "jobReport.json"
    for leave in (
        lambda: report.write_text("[" * 10_000 + "]" * 10_000),
        lambda: report.write_text(json.dumps({"executor": 7})),
        lambda: report.symlink_to("/dev/zero"),
        lambda: os.mkfifo(report),
    ):
        leave()
        assert [one.name for one in explain(Left(ended(65), bundle_of(tmp_path)), (), Redactor())] == [
            "PAYLOADEXECUTIONFAILURE"
        ]
        report.unlink()


def test_a_payloads_own_words_stand_once_with_the_report_that_says_them(tmp_path: Path) -> None:
    """Whoever reads the evidence looks into the right file."""
    (tmp_path / "payload_error_report.json").write_text(
        '{"error_code": 66, "error_diag": "calibration constants are missing"}'
    )
    for code, name in ((66, "payload_error_report.json"), (65, "jobReport.json")):
        said = Outcome(exe_error_code=code, exe_error_diag="calibration constants are missing")
        (fault,) = explain(Left(ended(5), bundle_of(tmp_path), said), (), Redactor())
        assert [(one.text, one.file) for one in fault.evidence] == [(said.exe_error_diag, name)]


def test_a_kill_that_nobody_owns_up_to_is_looked_for_outside_of_the_payload(tmp_path: Path) -> None:
    """Its log cannot know; one that the pilot stopped, or that just failed, has the usual advice."""
    killed = (ended(signal=9), ended(137))
    others = (ended(1), ended(signal=9, stopped_by="signal_15"))
    advice = [
        explain(Left(end, bundle_of(tmp_path)), (), Redactor())[-1].next_step for end in (*killed, *others)
    ]
    assert ["SIGKILL" in told for told in advice] == [True, True, False, False]
