"""Reading logs with bounded effort: huge ones, endless lines, rubbish, and what only looks like a log."""

import os
import secrets
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from picard_pilot.model.bundle import Outcome
from picard_pilot.model.facts import LINE_CHARACTERS, Log
from picard_pilot.model.samples import ended
from picard_pilot.payload.jobdir import bundle_of
from picard_pilot.pilot.diagnosing import Left, explain
from picard_pilot.system import logs
from picard_pilot.system.logs import (
    HEAD_BYTES,
    TAIL_BYTES,
    TAIL_LINES,
    last_lines,
    line_number,
    names_like,
    read_log,
)
from picard_pilot.system.redact import Redactor


def read(path: Path) -> Log:
    """The log at a path, which must be one."""
    found = read_log(str(path), path.name, Redactor())
    assert found is not None
    return found


def test_a_small_log_is_read_whole_with_offsets(tmp_path: Path) -> None:
    """Blank lines are left out; carriage returns and holes of zeros end a line; colours go, rubbish is shown."""
    path = tmp_path / "log"
    path.write_bytes(b"one\n\n  two \t x \r3 %\r4 %\n\0\0\0\x1b[31mred\x1b[0m \xff\xfe \x07\n\xc3\xa9\nlast")
    assert [tuple(line) for line in read(path).lines] == [
        (0, "one"),
        (5, "  two   x"),
        (16, "3 %"),
        (20, "4 %"),
        (27, r"red \xff\xfe \x07"),
        (45, "é"),
        (48, "last"),
    ]


def test_of_a_large_log_the_beginning_and_the_end_are_read(tmp_path: Path) -> None:
    """Each line where it stands; what is between is not looked at, nor is a line whose beginning is not read."""
    path = tmp_path / "log"
    with path.open("wb") as stream:
        for number in range(100_000):
            stream.write(b"%09d\n" % number)
    found = read(path)
    assert found.size_bytes == 1_000_000
    assert all(line.text == f"{line.offset // 10:09d}" for line in found.lines)
    assert found.lines[0].text == "000000000" and found.lines[-1].text == "000099999"
    assert len(found.lines) == logs.HEAD_LINES + TAIL_LINES
    assert last_lines(str(path), 2, Redactor()) == ["000099998", "000099999"]


def test_of_a_line_whose_beginning_is_not_read_nothing_is_shown(tmp_path: Path) -> None:
    """It may be the end of a secret; the end of a file of one line alone is shown all the same."""
    path = tmp_path / "log"
    path.write_text("x" * (HEAD_BYTES + TAIL_BYTES) + "\nlast\n")
    assert [line.text for line in read(path).lines[1:]] == ["last"]
    path.write_text("y" * (HEAD_BYTES + TAIL_BYTES) + "z")
    first, last = read(path).lines
    assert first.text == "y" * (LINE_CHARACTERS - 1) + "…"
    assert last.text == "y" * (LINE_CHARACTERS - 1) + "z"
    assert last.offset == HEAD_BYTES + TAIL_BYTES + 1 - LINE_CHARACTERS


def _ten_gigabytes(path: Path) -> None:
    with path.open("wb") as stream:
        stream.write(b"start\n")
        stream.truncate(10 << 30)
        stream.seek(0, os.SEEK_END)
        stream.write(b"\nterminate called after throwing an instance of 'std::bad_alloc'\n")


def _line_of_a_gigabyte(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(1 << 30)
        stream.seek(0)
        stream.write(b"a" * (1 << 20))
        stream.seek(1 << 30)
        stream.write(b"b" * (1 << 20) + b"\nstd::bad_alloc\n")


def _rubbish(path: Path) -> None:
    path.write_bytes(secrets.token_bytes(3 << 20) + b"\nstd::bad_alloc\n")


def _tiny_lines(path: Path) -> None:
    path.write_bytes(b"a\n" * (2 << 20) + b"std::bad_alloc\n")


@pytest.mark.parametrize("make", [_ten_gigabytes, _line_of_a_gigabyte, _rubbish, _tiny_lines])
def test_a_monstrous_log_is_diagnosed_with_bounded_effort(
    tmp_path: Path, make: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory for its two ends only, counted bytes; a verdict all the same."""
    make(tmp_path / "payload.stderr")
    taken: list[int] = []
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, size, at: taken.append(size) or pread(fd, size, at))
    tracemalloc.start()
    try:
        found = explain(Left(ended(134), bundle_of(tmp_path), Outcome()), (), Redactor())
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found[0].name == "BADALLOC"
    assert sum(taken) <= HEAD_BYTES + TAIL_BYTES
    assert peak_bytes < 20 << 20


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.symlink_to("/etc/passwd"),
        lambda path: path.symlink_to("/dev/zero"),
        os.mkfifo,
        Path.mkdir,
        lambda path: None,
    ],
    ids=["link", "link to a device", "pipe", "directory", "nothing"],
)
def test_what_is_no_log_is_not_read(tmp_path: Path, make: Callable[[Path], object]) -> None:
    """At once, and there is a verdict all the same."""
    make(tmp_path / "payload.stderr")
    assert read_log(str(tmp_path / "payload.stderr"), "x", Redactor()) is None
    assert last_lines(str(tmp_path / "payload.stderr"), 5, Redactor()) == []
    (found,) = explain(Left(ended(3), bundle_of(tmp_path)), (), Redactor())
    assert found.says == "the payload ended with exit code 3"


def test_further_logs_are_few_and_of_this_directory(tmp_path: Path) -> None:
    """Of a million names some thousand are looked at, and the first few that fit are read."""
    for number in range(30):
        (tmp_path / f"log.{number:02d}").touch()
    (tmp_path / "other").touch()
    assert names_like(str(tmp_path), ("log.*",)) == tuple(
        f"log.{number:02d}" for number in range(logs.FURTHER_LOGS)
    )
    assert names_like(str(tmp_path), ()) == ()
    odd = tmp_path / "odd"
    odd.mkdir()
    for name in (b"log.\xe9", b"log.\x1b[2J", b"log.txt"):
        (odd / os.fsdecode(name)).touch()
    assert names_like(str(odd), ("log.*",)) == ("log.txt",)  # the others could not be written down
    assert names_like(str(tmp_path / "gone"), ("*",)) == ()


def test_lines_are_counted_on_demand(tmp_path: Path) -> None:
    """Which costs reading all that stands before; where that is too much, or nothing is there, the offset must do."""
    path = tmp_path / "log"
    path.write_text("a\nbb\nccc\n")
    assert [line_number(str(path), offset) for offset in (0, 2, 5)] == [1, 2, 3]
    assert line_number(str(path), logs.COUNTED_BYTES + 1) is None
    assert line_number(str(tmp_path / "gone"), 0) is None
