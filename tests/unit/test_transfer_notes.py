"""The note of a stage: readable text in one field of an update, and read back by our monitor."""

import pytest

from picard_pilot.model.file_note import FileNote
from picard_pilot.wire.transfer_notes import LIMIT_CHARACTERS, compose, is_note, notes_in

GOOD = FileNote(
    lfn="in.root", endpoint="DISK", how="copy", ok=True, why="the site's own", size_bytes=12, seconds=0.25
)
BAD = FileNote(lfn="in.root", endpoint="FAR", how="missing", ok=False, why="no such file")


def test_what_is_written_is_read_back() -> None:
    """Tries that failed and the one that worked, in their order."""
    text = compose("stagein", [BAD, GOOD])
    assert text == (
        "transfers of stagein\n"
        "failed | in.root | FAR | missing | - | - | no such file\n"
        "ok | in.root | DISK | copy | 12 | 0.250 | the site's own"
    )
    assert is_note(text)
    assert notes_in(text) == (BAD, GOOD)


def test_an_extract_of_a_log_is_no_note() -> None:
    """Both come in the same field."""
    assert not is_note("1099 STAGEINFAILED (storage): transfers of the input failed")
    assert notes_in("1099 | a\nok | too | few\n\nok | a | b | c | d") == ()


def test_thousands_of_files_fit() -> None:
    """Files with a failure are told one by one, the rest is summed up; never more than the server keeps."""
    many = [
        FileNote(lfn=f"file.{number:05}.root", endpoint="DISK", how="copy", ok=True, why="near", size_bytes=1)
        for number in range(10_000)
    ]
    failed = FileNote(lfn="file.09999.root", endpoint="FAR", how="timeout", ok=False, why="silence")
    text = compose("stagein", [*many, failed])
    assert len(text) <= LIMIT_CHARACTERS
    lines = text.splitlines()
    assert lines[1].startswith("ok | file.09999.root") and lines[2].startswith("failed | file.09999.root")
    told = notes_in(text)
    assert lines[-1] == f"and {10_001 - len(told)} more: copy, DISK"
    assert len(told) > 30


@pytest.mark.parametrize(
    "why", ["a | b", "two\nlines\tand more", "x" * 5000, "", "ok | a | b | c | 1 | 2 | d"]
)
def test_whatever_stands_in_a_sentence_stays_in_its_place(why: str) -> None:
    """Separators, line ends and endless texts of storages."""
    note = FileNote(lfn="a | b", endpoint="D\n", how="copy", ok=True, why=why)
    (back,) = notes_in(compose("stageout", [note]))
    assert (back.lfn, back.endpoint, back.how, back.ok) == ("a / b", "D", "copy", True)
    assert len(back.why) <= 250


def test_endless_names_are_bounded_too() -> None:
    """Even if nothing fits, the text does."""
    note = FileNote(lfn="n" * 9000, endpoint="E" * 9000, how="copy", ok=True, why="")
    assert len(compose("stagein", [note] * 3)) <= LIMIT_CHARACTERS
