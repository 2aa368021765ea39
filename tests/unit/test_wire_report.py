"""The output report of a final update."""

import json

import pytest

from picard_pilot.model.files import Checksum, ChecksumKind, StoredFile
from picard_pilot.wire import report
from picard_pilot.wire.report import ReportError


def stored(kind, value):
    """A stored file with this checksum."""
    return StoredFile(
        lfn="a.root",
        guid="g",
        size_bytes=12,
        checksum=Checksum(kind, value),
        surl="file:///se/a.root",
        endpoint="SE",
    )


def test_a_report_says_where_each_file_is():
    """With size and checksum."""
    text = report.build([stored(ChecksumKind.ADLER32, "0a1b2c3d")])

    assert json.loads(text) == {
        "a.root": {
            "guid": "g",
            "fsize": 12,
            "adler32": "0a1b2c3d",
            "surl": "file:///se/a.root",
            "endpoint": "SE",
        }
    }


def test_an_md5_has_its_own_name():
    """And is read back as what it is."""
    text = report.build([stored(ChecksumKind.MD5, "0" * 32)])

    assert report.parse(text)["a.root"].checksum == Checksum(ChecksumKind.MD5, "0" * 32)


def test_adler32_wins():
    """Where both are given."""
    entry = report.parse('{"a": {"guid": "g", "adler32": "00000001", "md5sum": "x"}}')["a"]

    assert entry.checksum == Checksum(ChecksumKind.ADLER32, "00000001")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<POOLFILECATALOG/>",
        "[]",
        "null",
        '{"a": {}}',
        '{"a": {"guid": "g", "x": ' + "[" * 100_000,
        '{"a": {"guid": 5}}',
        '{"a": {"guid": "g", "fsize": "5"}}',
    ],
)
def test_what_is_no_report(text):
    """XML is not parsed any more, and a GUID is required."""
    with pytest.raises(ReportError):
        report.parse(text)


def test_an_empty_report_is_a_report():
    """Of a job that stored nothing."""
    assert report.build([]) == "{}"
    assert report.parse("{}") == {}
