"""Log archives that are damaged or made to do harm: what is good in them is had, in bounded memory, nothing else."""

import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from picard_pilot.cli.main import main
from picard_pilot.tools import unpack
from picard_pilot.tools.unpack import NoRemains, remains

GOOD = {"pilotlog.txt": b"exit code: 1\n", "payload.stderr": b"KeyError: 5\n"}


def put(archive: tarfile.TarFile, name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.type, member.linkname = len(data), kind, "/etc"
    archive.addfile(member, io.BytesIO(data))


def archive_of(path: Path, *odd: tuple[str, bytes, bytes]) -> Path:
    """The odd members first, then the good ones."""
    with tarfile.open(path, "w:gz", format=tarfile.GNU_FORMAT) as archive:
        for name, data, kind in odd:
            put(archive, name, data, kind)
        for name, data in GOOD.items():
            put(archive, name, data)
    return path


def files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """All plain files below the folder, and that there is nothing but those and directories."""
    for path in folder.rglob("*"):
        assert not path.is_symlink()
        assert path.is_file() or path.is_dir()
        if path.is_file():
            yield str(path.relative_to(folder)), path.read_bytes()


@pytest.mark.parametrize(
    "odd",
    [
        [("x" * 300, b"", tarfile.REGTYPE)],
        [("x/" * 3000 + "y", b"", tarfile.REGTYPE)],
        [("../out", b"", tarfile.REGTYPE)],
        [("/tmp/out-of-the-archive", b"", tarfile.REGTYPE)],
        [("link", b"", tarfile.SYMTYPE), ("link/passwd", b"", tarfile.LNKTYPE)],
        [("pipe", b"", tarfile.FIFOTYPE), ("device", b"", tarfile.CHRTYPE)],
        [("", b"", tarfile.REGTYPE), (".", b"", tarfile.DIRTYPE)],
    ],
    ids=["long", "deep", "up", "absolute", "links", "special", "nameless"],
)
def test_odd_members_are_passed_over(tmp_path: Path, odd: list[tuple[str, bytes, bytes]]) -> None:
    """One of them costs none of the others."""
    with remains(archive_of(tmp_path / "log.tgz", *odd)) as folder:
        assert dict(files(folder)) == GOOD


def test_members_that_take_each_others_place(tmp_path: Path) -> None:
    """A file where another needs a directory, and two of one name: the first is had."""
    odd = [("a", b"1", tarfile.REGTYPE), ("a/b", b"2", tarfile.REGTYPE), ("a", b"3", tarfile.REGTYPE)]
    with remains(archive_of(tmp_path / "log.tgz", *odd)) as folder:
        assert dict(files(folder)) == {"a": b"1", **GOOD}


def test_a_cut_archive_tells_what_comes_before(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As a full disk or a broken transfer leaves it; a reader is told."""
    path = tmp_path / "log.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name, data in GOOD.items():
            put(archive, name, data)
        put(archive, "payload.stdout", os.urandom(200_000))
    os.truncate(path, path.stat().st_size // 2)
    notes: list[str] = []
    with remains(path, notes) as folder:
        assert GOOD.items() <= dict(files(folder)).items()
    assert len(notes) == 1
    assert main(["diagnose", str(path), "--json"]) == 4
    told = json.loads(capsys.readouterr().out)["data"]
    assert ["what comes after is missing" in note for note in told["notes"]] == [True]


def test_too_much_is_read_in_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many files, or too many bytes, in what is had or what is passed over: the reader is told which."""
    path = tmp_path / "log.tgz"
    with tarfile.open(path, "w:gz") as archive:
        put(archive, "first", b"1")
        put(archive, "../passed over", bytes(100_000))
        put(archive, "last", b"2")
    for name, limit, word in (("MEMBERS", 2, "files"), ("TOTAL_BYTES", 50_000, "bytes")):
        notes: list[str] = []
        with monkeypatch.context() as patched, remains(path, notes) as whole:
            assert (dict(files(whole)), notes) == ({"first": b"1", "last": b"2"}, [])
            patched.setattr(unpack, name, limit)
            with remains(path, notes) as folder:
                assert dict(files(folder)) == {"first": b"1"}
        assert [word in note for note in notes] == [True], notes


BOMB = """
import resource, sys
from pathlib import Path
from picard_pilot.tools.unpack import NoRemains, remains
resource.setrlimit(resource.RLIMIT_AS, (400 << 20, 400 << 20))
try:
    with remains(Path(sys.argv[1])):
        pass
except NoRemains as found:
    print(found.evidence)
"""


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_does_not_fill_the_memory(tmp_path: Path, kind: bytes) -> None:
    """Half a megabyte of archive whose first header says of itself that it is as long as 500 MB."""
    header = tarfile.TarInfo("header")
    header.type, header.size = kind, 500 << 20
    path = tmp_path / "log.tgz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(header.tobuf(tarfile.USTAR_FORMAT))
        for _ in range(500):
            file.write(bytes(1 << 20))
    told = subprocess.run([sys.executable, "-c", BOMB, path], capture_output=True, text=True)
    assert (told.returncode, "longer than any name" in told.stdout) == (0, True), told


def test_headers_without_end(tmp_path: Path) -> None:
    """Each says that the next one is the file's."""
    header = tarfile.TarInfo("header")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 1
    path = tmp_path / "log.tgz"
    with gzip.open(path, "wb") as file:
        file.write((header.tobuf(tarfile.GNU_FORMAT) + b"x".ljust(512, b"\0")) * 5000)
    with pytest.raises(NoRemains), remains(path):
        pass


@pytest.mark.parametrize("words", [["diagnose"], ["job", "replay"], ["job", "replay", "--run"]])
@pytest.mark.parametrize("name", ["y" * 300, "\N{SUPERSCRIPT TWO}"])
def test_a_name_that_is_none(words: list[str], name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Too long for any file, or a digit that is no number: there is nothing of a job, which is no error of ours."""
    assert main([*words, name]) == 3
    assert "Nothing of a job" in capsys.readouterr().err
