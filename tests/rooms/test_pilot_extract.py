"""What a failed job's report tells of its logs: within what a server keeps, and the group of an unknown error whole."""

from __future__ import annotations

from pathlib import Path

from picard_pilot.diagnosis.catalogue.codes import BY_NUMBER
from picard_pilot.lifecycle.case import Case
from picard_pilot.lifecycle.report import Sender, final_report
from picard_pilot.model.fault import Evidence, Fault
from picard_pilot.model.job import Job
from picard_pilot.model.samples import ended
from picard_pilot.model.states import State
from picard_pilot.payload.jobdir import bundle_of
from picard_pilot.pilot.diagnosing import Left, explain
from picard_pilot.pilot.extract import LIMIT_CHARACTERS, log_extract
from picard_pilot.system.redact import Redactor
from picard_pilot.wire.error_notes import NOTE_CHARACTERS, group_in, next_step_in
from picard_pilot.wire.update import update_values


def told(directory: Path, faults: tuple[Fault, ...]) -> str | None:
    """The text that the server gets of a job with these faults, in this directory."""
    job = Job(job_id=1, attempt_nr=1, transformation="sh", parameters="")
    case = Case(job=job, queue="Q", state=State.CLOSING, since=0.0, received_at=0.0, faults=faults)
    text = log_extract(case, bundle_of(directory), Redactor())
    values = update_values(final_report(case, Sender(site_name="Q", node="n"), text))
    return None if values["pilot_log"] is None else str(values["pilot_log"])


def failed(directory: Path, stderr: str) -> tuple[Fault, ...]:
    """The faults of a payload that wrote this and exited with 9."""
    (directory / "payload.stderr").write_text(stderr)
    return explain(Left(ended(9), bundle_of(directory), known={"enterprise": "<host>"}), (), Redactor())


def test_an_unknown_error_travels_with_what_it_shares_with_others(tmp_path: Path) -> None:
    """The text of its fingerprint and its own lines can be read back; a known error has none."""
    (fault,) = failed(tmp_path, "step 3\nthe frobnicator failed on enterprise: 17 of 20\nbye\n")
    text = told(tmp_path, (fault,))
    assert text is not None and "- last lines of payload.stderr -\nstep 3\n" in text
    note = group_in(text)
    assert note is not None and note.fingerprint == fault.fingerprint
    assert note.text == fault.likeness == "the frobnicator failed on <host>: <n> of <n>"
    assert (note.sample, note.file) == ("the frobnicator failed on enterprise: 17 of 20", "payload.stderr")
    known = told(
        tmp_path, failed(tmp_path, "terminate called after throwing an instance of 'std::bad_alloc'\n")
    )
    assert known is not None and group_in(known) is None
    assert told(tmp_path, ()) is None


def test_the_advice_of_the_rule_that_decided_reaches_whoever_asks_the_server(tmp_path: Path) -> None:
    """It is more exact than what the catalogue says of a number that many rules share."""
    faults = failed(tmp_path, "usage: ana [-h]\nana: error: unrecognized arguments: --nevents 5\n")
    text = told(tmp_path, faults)
    assert text is not None and next_step_in(text, faults[0].code) == faults[0].next_step
    assert faults[0].next_step != BY_NUMBER[faults[0].code].user


def test_whatever_was_written_the_extract_fits_and_keeps_verdict_and_group(tmp_path: Path) -> None:
    """Fewer of the last lines are told where the whole would be too long."""
    lines = [f"failed to {word * 300}" for word in ("a", "b", "c")] + [
        f"{number} " + "x" * 500 for number in range(50)
    ]
    (tmp_path / "payload.stdout").write_text("\n".join(lines))
    (fault,) = failed(tmp_path, "\n".join(lines))
    many = tuple(
        Fault(
            code=1305, name="X", says="s" * 900, rule="r", blame=fault.blame, retry=fault.retry, next_step="n" * 500,
            evidence=tuple(Evidence(text="e" * 900, file="f" * 300) for _ in range(9)),
        )
        for _ in range(9)
    )  # fmt: skip
    for faults in ((fault,), (fault, *many)):
        text = told(tmp_path, faults)
        assert text is not None and len(text) <= LIMIT_CHARACTERS + NOTE_CHARACTERS + 1 < 4000
        assert "1305 PAYLOADEXECUTIONFAILURE (payload): the payload ended with exit code 9" in text
        note = group_in(text)
        assert note is not None and note.text == fault.likeness
