"""The corpus as files: what the pilot reads of a job's directory leads to the same verdicts as the case itself."""

from pathlib import Path

from corpus import cases
from picard_pilot.experiments.report_files import read_reports
from picard_pilot.payload.jobdir import bundle_of
from picard_pilot.pilot.diagnosing import Left, explain
from picard_pilot.plugins.loader import load
from picard_pilot.system.redact import Redactor


def test_from_its_files_each_case_gets_its_verdict(tmp_path: Path) -> None:
    """The first fault names error, blame and rule; evidence from a file has the offset at which it stands there."""
    for case in cases():
        folder = tmp_path / case.name
        folder.mkdir(parents=True)
        for name, data in case.files.items():
            (folder / name).write_bytes(data)
        facts, bundle = case.facts, bundle_of(folder)
        left = Left(
            facts.exit,
            bundle,
            read_reports(bundle),
            died_of=facts.died_of,
            disk_full=facts.disk_full,
            kernel=facts.kernel,
        )
        rules = load("experiment", case.experiment)().rules() if case.experiment else ()
        found = explain(left, rules, Redactor())
        assert (found[0].name, found[0].blame) == (case.error, case.blame), case.name
        assert case.rule in (None, found[0].rule), case.name
        for one in found[0].evidence:
            if case.rule and one.file is not None and one.offset is not None:
                assert case.files[one.file][one.offset :].lstrip().startswith(one.text[:1].encode()), (
                    case.name
                )
