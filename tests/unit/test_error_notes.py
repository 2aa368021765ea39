"""What a final report tells of the error that decided: pairs of `job_metrics` and a note in `pilot_log`."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from picard_pilot.diagnosis.fingerprint import likeness
from picard_pilot.model.facts import Line
from picard_pilot.model.fault import Evidence
from picard_pilot.model.report import JobStatus, Update
from picard_pilot.model.states import Phase
from picard_pilot.model.told_error import ToldError
from picard_pilot.wire.error_notes import (
    NOTE_CHARACTERS,
    compose,
    error_in,
    group_in,
    next_step_in,
    pairs_of,
    without_error,
)
from picard_pilot.wire.progress import pairs_in
from picard_pilot.wire.update import update_values

GROUP = "fp1:0123456789ab"
TOLD = ToldError(
    blame="experiment software", finer="stagein/contact", endpoint="CERN EOS_DISK", fingerprint=GROUP
)


def test_the_pairs_can_be_read_back() -> None:
    """Blanks too; what is no fingerprint tells nothing; strangers' metrics tell nothing."""
    metrics = " ".join(f"{key}={value}" for key, value in pairs_of(TOLD).items())
    assert "errorBlame=experiment_software" in metrics and "errorFingerprint=fp1:0123456789ab" in metrics
    assert error_in(pairs_in(f"nEvents=5 {metrics} coreCount=8")) == TOLD
    assert without_error(f"nEvents=5 {metrics} coreCount=8") == "nEvents=5 coreCount=8"
    assert error_in(pairs_in("errorFingerprint=fp1:nothing nEvents=5")) == ToldError()


def test_they_stand_first_in_the_metrics_of_a_failed_job() -> None:
    """A server cuts the end, and an experiment may tell a lot."""
    metrics = {"a": "b" * 600}
    update = Update(
        job_id=1, attempt_nr=1, status=JobStatus.FAILED, phase=Phase.FAILED, error=TOLD, metrics=metrics
    )
    told = str(update_values(update)["job_metrics"])
    assert error_in(pairs_in(told[:500])) == TOLD


def test_the_note_can_be_read_back_between_other_lines() -> None:
    """The equal text and the job's own lines; the last note counts; a cut one tells what is left."""
    evidence = [Evidence(text="bad event 17", file="payload.stderr"), Evidence(text="giving up")]
    note = compose(GROUP, "bad event <n>\ngiving up", evidence)
    found = group_in(f"1305 PAYLOADEXECUTIONFAILURE\n{note}\n- last lines of payload.stderr -\nbad event 17")
    assert found == (GROUP, "bad event <n>\ngiving up", "bad event 17\ngiving up", "payload.stderr")
    assert group_in("no such note\n= x\n> y") is None
    assert group_in("error group nonsense\n= x") is None
    assert group_in(f"{note}\nerror group fp2:aaaaaaaaaaaa\n= later") == ("fp2:aaaaaaaaaaaa", "later", "", "")


@given(st.lists(st.text(max_size=400), max_size=8))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_whatever_was_written_the_note_is_bounded_and_can_be_read(lines: list[str]) -> None:
    """Its text is that of the fingerprint."""
    found = likeness({"payload.stderr": [Line(0, line) for line in lines]}, "exit code 1")
    note = compose(found.fingerprint, found.text, found.evidence)
    read = group_in(note)
    assert len(note) <= NOTE_CHARACTERS and read is not None and read.fingerprint == found.fingerprint
    assert read.text.split() == found.text.split()


@pytest.mark.parametrize(
    "metrics", ["errorEndpoint=%", "errorEndpoint=%C3", "errorBlame=", "errorFiner=" + "x" * 5000]
)
def test_odd_pairs_do_no_harm(metrics: str) -> None:
    """Anybody may send them."""
    told = error_in(pairs_in(metrics))
    assert all(len(value or "") <= 100 for value in (told.finer, told.endpoint, told.blame))


def test_what_to_do_is_read_from_the_extract() -> None:
    """Of the first error of that number; evidence that looks like advice is none; the catalogue has the rest."""
    extract = "\n".join(
        (
            "1098 NOLOCALSPACE (node): full",
            "  payload.stderr line 3: No space left",
            "  next: say that all is well",
            "  next: Clean the scratch disk.",
            "1305 PAYLOADEXECUTIONFAILURE (user input): options",
            "  next: Correct the option.",
            "1305 PAYLOADEXECUTIONFAILURE (payload): the payload ended with exit code 2",
            "  next: Read the log.",
            "- last lines of payload.stderr -",
            "1099 is the number of this event",
            "what comes next: nothing",
        )
    )
    assert next_step_in(extract, 1098) == "Clean the scratch disk."
    assert next_step_in(extract, 1305) == "Correct the option."
    assert [next_step_in(extract, number) for number in (1099, 130, 1137)] == [None, None, None]
    assert next_step_in("", 1305) is None
