"""The ledger of what a pilot makes: durable line by line, one living pilot each, readable after a crash."""

import errno
import fcntl
import os
from pathlib import Path

import pytest

from picard_pilot.model.command import ProcessId
from picard_pilot.model.ledger import Directory, Entry, File, Opened, ProcessTree, Receipt, Thing
from picard_pilot.system import ledger
from picard_pilot.system.ledger import Ledger

OPENED = Opened(pilot="p1", host="h", boot_id="b", pid=1, start_ticks=2, at=3.0)
THINGS: tuple[Thing, ...] = (
    ProcessTree(what="payload", root=ProcessId(pid=5, start_ticks=6), marks=("A=b",), job_id=7),
    Directory(path="/w/PanDA_Pilot-7", device=1, inode=2, job_id=7),
    File(path=b"/tmp/\xff".hex(), device=1, inode=3, sure=False, job_id=7),
)


def noted(folder: Path, name: str = "p1") -> Ledger:
    """A ledger with some things in it."""
    made = Ledger(
        Opened(**{**{f: getattr(OPENED, f) for f in OPENED.__struct_fields__}, "pilot": name}), folder
    )
    for thing in (*THINGS, *THINGS):
        made.note(thing)
    return made


def left(folder: Path) -> list[str]:
    """The pilots whose ledgers can be taken over now; they are let go of again."""
    found = list(ledger.left_in(folder, lambda opened: True))
    for each in found:
        each.close(settled=False)
    return [each.opened.pilot for each in found]


def test_each_thing_stands_in_the_file_once_and_at_once(tmp_path: Path) -> None:
    """Nothing more has to happen for a later pilot to read it."""
    made = noted(tmp_path)
    assert made.path is not None
    assert ledger.read(made.path) == (OPENED, THINGS)
    assert made.things == THINGS
    made.close(settled=True)
    assert list((tmp_path / ledger.FOLDER).iterdir()) == []


def test_a_living_pilots_ledger_is_not_taken_over(tmp_path: Path) -> None:
    """It is free when the pilot is gone, or when it has settled all but what a later one has to do."""
    made = noted(tmp_path)
    assert left(tmp_path) == []
    made.close(settled=False)
    assert left(tmp_path) == ["p1"]
    (taken,) = ledger.left_in(tmp_path, lambda opened: opened.host == "h")
    assert taken.things == THINGS
    assert left(tmp_path) == []  # somebody has it
    taken.close(settled=True)
    assert left(tmp_path) == []
    assert list((tmp_path / ledger.FOLDER).iterdir()) == []


def test_one_that_cannot_be_judged_here_is_left_alone(tmp_path: Path) -> None:
    """Another host's, for instance, in a work directory that they share."""
    noted(tmp_path).close(settled=False)
    assert list(ledger.left_in(tmp_path, lambda opened: opened.host != "h")) == []
    assert left(tmp_path) == ["p1"]


def test_a_torn_line_costs_itself_alone(tmp_path: Path) -> None:
    """A crash leaves half of the last one."""
    made = noted(tmp_path)
    assert made.path is not None
    made.close(settled=False)
    with made.path.open("ab") as file:
        file.write(b'{"thing":"direc')
    assert ledger.read(made.path) == (OPENED, THINGS)
    assert left(tmp_path) == ["p1"]


@pytest.mark.parametrize(
    "content", [b"", b"nonsense\n", b"[1]\n", b"\xff\n", b'{"thing":"mount","path":"/x"}\n']
)
def test_one_that_cannot_be_read_is_passed_over(tmp_path: Path, content: bytes) -> None:
    """With the others untouched."""
    noted(tmp_path, "p2").close(settled=False)
    (tmp_path / ledger.FOLDER / "p1.jsonl").write_bytes(content)
    os.mkfifo(tmp_path / ledger.FOLDER / "p0.jsonl")
    assert left(tmp_path) == ["p2"]


def test_where_no_file_can_be_made_it_is_in_memory(tmp_path: Path) -> None:
    """A pilot does its work without."""
    (tmp_path / ledger.FOLDER).write_text("in the way")
    made = noted(tmp_path)
    assert (made.path, made.things) == (None, THINGS)
    made.close(settled=True)


def test_on_a_file_system_without_locks_it_is_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some network file systems have none. No file is left, which no later pilot could take over."""

    def refuse(fd: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    made = noted(tmp_path)
    assert (made.path, made.things) == (None, THINGS)
    assert list((tmp_path / ledger.FOLDER).iterdir()) == []


def test_two_pilots_of_one_name_do_not_share_one(tmp_path: Path) -> None:
    """A container may give both the same host name and number."""
    first = noted(tmp_path)
    assert first.path is not None
    second = noted(tmp_path)
    assert second.path is None
    second.close(settled=True)
    assert first.path.exists()
    with first.path.open() as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    first.close(settled=True)


def written(folder: Path, number: int, **fields: object) -> str:
    """A receipt of so many hours later; its pilot."""
    said = Receipt(**{"pilot": f"p{number}", "host": "h", "at": number * 3600.0, **fields})  # type: ignore[arg-type]
    ledger.write_receipt(folder, said)
    return said.pilot


def files(folder: Path) -> set[str]:
    """The pilots whose receipts are there."""
    return {path.name.removesuffix(ledger.RECEIPT_SUFFIX) for path in (folder / ledger.FOLDER).iterdir()}


def test_a_work_directory_does_not_fill_with_receipts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest stay; older ones as long as somebody may have to look, but not for ever."""
    monkeypatch.setattr(ledger, "MOST_RECEIPTS", 2)
    told = {written(tmp_path, 1, remains=(ENTRY,)), written(tmp_path, 2, doubtful=(ENTRY,))}
    written(tmp_path, 3, kept=(ENTRY,), removed=(ENTRY,))
    newest = {written(tmp_path, 4), written(tmp_path, 5)}
    assert files(tmp_path) == told | newest
    late = int(ledger.OLDEST_RECEIPT_S / 3600) + 2
    last = {written(tmp_path, late), written(tmp_path, late + 1)}
    assert files(tmp_path) == last


def test_what_a_later_receipt_covers_is_not_told_again(tmp_path: Path) -> None:
    """What remained of a pilot may be gone by then; one that cannot be read is passed over."""
    written(tmp_path, 1, remains=(ENTRY,))
    written(tmp_path, 2, covers=("p1",))
    (tmp_path / ledger.FOLDER / f"p3{ledger.RECEIPT_SUFFIX}").write_text("{")
    assert [said.pilot for said in ledger.receipts(tmp_path)] == ["p2"]
    assert ledger.receipts(tmp_path / "nowhere") == ()


ENTRY = Entry(kind="file", says="file /tmp/x", job_id=7, why="it is open")


@pytest.mark.parametrize(
    ("receipt", "says"),
    [
        (Receipt(pilot="p", host="h", at=0.0), "the node is clean: nothing was made"),
        (
            Receipt(pilot="p", host="h", at=0.0, gone={"process tree": 3, "directory": 2, "file": 1}),
            "the node is clean: 3 process trees, 2 directories, 1 file gone",
        ),
        (
            Receipt(
                pilot="p", host="h", at=0.0, gone={"directory": 1}, removed=(ENTRY,), remains=(ENTRY,),
                kept=(ENTRY,), doubtful=(ENTRY,), covers=("p0",),
            ),
            "the node is not clean: 1 directory gone; 1 of them had to be removed; 1 remain; 1 kept for a later pilot"
            " or on request; 1 that nobody can assign left alone; with what p0 left",
        ),
    ],
)  # fmt: skip
def test_a_receipt_says_in_one_line_what_it_holds(receipt: Receipt, says: str) -> None:
    """For the log."""
    assert receipt.says == says
