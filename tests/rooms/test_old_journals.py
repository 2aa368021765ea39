"""Journals of every form ever written stay readable: the samples are never deleted and never rewritten."""

from pathlib import Path

import pytest

from picard_pilot.journal.file import read
from picard_pilot.lifecycle.fold import fold
from picard_pilot.lifecycle.report import Sender, final_report
from picard_pilot.model.states import State

SAMPLES = Path(__file__).parent.parent / "samples" / "journals"
EXPECTED = {
    "v1-finished": (State.FINISHED, 0, 0, ["out0.root", "log.tgz"]),
    "v1-failed": (State.FAILED, 1144, 143, ["log.tgz"]),
    "v1-holding": (State.HOLDING, 0, 0, []),
    "v1-storage-night": (State.FINISHED, 0, 0, ["out0.root", "log.tgz"]),
}


def test_every_sample_is_expected() -> None:
    """A sample that nobody folds proves nothing."""
    assert {path.stem for path in SAMPLES.glob("*.jsonl")} == EXPECTED.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_an_old_journal_folds_to_what_it_meant(name: str) -> None:
    """State, error, exit code and stored files."""
    case = fold((record.event, record.at) for record in read(SAMPLES / f"{name}.jsonl"))
    assert case is not None
    report = final_report(case, Sender(site_name="T", node="n"))
    found = (
        case.state,
        report.pilot_error_code,
        report.trans_exit_code,
        [file.lfn for file in report.outputs],
    )
    assert found == EXPECTED[name]
