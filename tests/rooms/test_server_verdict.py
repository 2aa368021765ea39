"""What the adder concludes from an output report, row by row."""

import json

import pytest

from picard_pilot.server.verdict import Claim, ExpectedFile, judge

FILES = (
    ExpectedFile(0, "input", "in.root", False),
    ExpectedFile(1, "output", "hist.root", False),
    ExpectedFile(2, "output", "maybe.root", True),
    ExpectedFile(3, "log", "log.tgz", False),
)

ENTRY = {"guid": "g", "fsize": 5, "adler32": "00000001", "surl": "file:///x", "endpoint": "SE"}
ALL = {"hist.root": ENTRY, "maybe.root": ENTRY, "log.tgz": ENTRY}


def verdict(report, *, wanted="finished", files=FILES, **facts):
    """The verdict on a report."""
    text = report if isinstance(report, str) else json.dumps(report)
    claim = Claim(
        wanted_status=wanted,
        report=text,
        kill_requested=facts.get("kill_requested", False),
        sub_status=facts.get("sub_status"),
        is_production=facts.get("is_production", True),
    )
    return judge(claim, files)


def test_all_outputs_and_the_log():
    """Finished, and each file is there."""
    found = verdict(ALL)

    assert (found.status, found.ddm_error_diag) == ("finished", None)
    assert [position for position, _ in found.stored] == [1, 2, 3]


@pytest.mark.parametrize("missing", ["hist.root", "log.tgz"])
def test_an_expected_file_is_missing(missing):
    """Failed, whatever the pilot said."""
    found = verdict({name: entry for name, entry in ALL.items() if name != missing})

    assert found.status == "failed"
    assert found.ddm_error_diag == f"expected output {missing} is missing in pilot JSON"


def test_a_file_that_may_be_absent_is_absent():
    """And the job is finished."""
    found = verdict({"hist.root": ENTRY, "log.tgz": ENTRY})

    assert found.status == "finished"
    assert (2, "absent") in found.marks


def test_a_file_that_nobody_asked_for():
    """Failed."""
    found = verdict({**ALL, "extra.root": ENTRY})

    assert found.status == "failed"
    assert found.ddm_error_diag == "pilot produced extra.root inconsistently with jobdef"


def test_numbered_pieces_of_an_output():
    """`<lfn>._001` and so on stand for it and get records of their own."""
    found = verdict({"hist.root._001": ENTRY, "hist.root._002": ENTRY, "log.tgz": ENTRY})

    assert found.status == "finished"
    assert [lfn for lfn, _ in found.further] == ["hist.root._001", "hist.root._002"]


def test_an_output_by_pattern():
    """`regex|...` stands for whatever matches; a broken pattern matches nothing."""
    files = (
        ExpectedFile(0, "output", r"regex|part_\d+\.root", False),
        ExpectedFile(1, "log", "log.tgz", False),
    )

    assert verdict({"part_1.root": ENTRY, "log.tgz": ENTRY}, files=files).status == "finished"
    assert verdict({"other.root": ENTRY, "log.tgz": ENTRY}, files=files).status == "failed"


@pytest.mark.parametrize("pattern", ["[", "(a+)+b", "a{1,99}", ".*.*.*.*x", r"(a)\1"])
def test_patterns_that_are_broken_or_could_take_for_ever(pattern):
    """Match nothing, at once."""
    files = (ExpectedFile(0, "output", f"regex|{pattern}", False),)

    assert verdict({"a" * 200: ENTRY}, files=files).status == "failed"


def test_a_size_beyond_any_column():
    """Is no size."""
    assert verdict({**ALL, "hist.root": {**ENTRY, "fsize": 2**70}}).status == "failed"
    assert verdict({**ALL, "hist.root": {**ENTRY, "fsize": -1}}).status == "failed"


@pytest.mark.parametrize("report", ["", "not JSON", "<POOLFILECATALOG/>", "[]", {"hist.root": {"fsize": 5}}])
def test_what_cannot_be_read(report):
    """Failed, with the sentence that operators know."""
    found = verdict(report)

    assert found.status == "failed"
    assert found.ddm_error_diag.startswith("Could not get GUID/LFN/MD5/FSIZE/SURL from pilot JSON")


@pytest.mark.parametrize("gone", ["fsize", "adler32"])
def test_an_output_without_size_or_checksum(gone):
    """Failed."""
    entry = {name: value for name, value in ENTRY.items() if name != gone}

    assert verdict({**ALL, "hist.root": entry}).status == "failed"


def test_an_md5_is_a_checksum():
    """As good as an adler32."""
    entry = {"guid": "g", "fsize": 5, "md5sum": "0" * 32}

    assert verdict({**ALL, "hist.root": entry}).status == "finished"


def test_failed_with_its_log():
    """Failed; outputs are not looked at, where the log is is kept."""
    found = verdict({"log.tgz": ENTRY}, wanted="failed")

    assert (found.status, found.ddm_error_diag) == ("failed", None)
    assert [position for position, _ in found.stored] == [3]
    assert set(found.marks) == {(1, "failed"), (2, "failed"), (3, "failed")}


@pytest.mark.parametrize(("is_production", "status"), [(True, "failed"), (False, "skipped")])
def test_an_input_in_the_report(is_production, status):
    """That input is marked, and the job still finishes."""
    found = verdict({**ALL, "in.root": ENTRY}, is_production=is_production)

    assert found.status == "finished"
    assert (0, status) in found.marks


@pytest.mark.parametrize("wanted", ["finished", "failed"])
def test_a_job_without_outputs_needs_no_report(wanted):
    """It ends as its pilot said."""
    assert verdict("", wanted=wanted, files=FILES[:1]).status == wanted


def test_a_killed_job_reported_failed_is_cancelled():
    """Reported finished it is finished."""
    assert verdict({"log.tgz": ENTRY}, wanted="failed", kill_requested=True).status == "cancelled"
    assert verdict(ALL, kill_requested=True).status == "finished"


def test_closed_by_the_pilot():
    """No blame."""
    assert verdict("{}", wanted="failed", sub_status="pilot_closed").status == "closed"
