"""The conformance suite for site movers: derive `MoverSuite` in a test file, say how to reach a storage, run pytest.

It calls the mover itself, and kills, freezes and cancels it inside a real transfer worker. Traps of one protocol
belong beside it, in that mover's own tests.
"""

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from picard_pilot.model.files import ChecksumKind
from picard_pilot.model.transfer import (
    FailureClass,
    How,
    OpenRequest,
    RemoveRequest,
    Side,
    StatRequest,
    TransferError,
)
from picard_pilot.movers.base import SiteMover
from picard_pilot.plugins.loader import load
from picard_pilot.testing.mover_ends import MoverEnds
from picard_pilot.testing.mover_kit import (
    CONTENT,
    HOSTILE_NAMES,
    Storage,
    adler32,
    failed,
    ignore,
    largest_file_bytes,
    md5,
    names,
)

AT_ONCE = 4
"""Threads of the suite that share one mover, as the worker's do."""


class MoverSuite(MoverEnds):
    """The tests. A subclass, named `Test...`, gives `mover_path` and a fixture `storage`."""

    @pytest.fixture
    def mover(self) -> SiteMover:
        """The mover under test."""
        made: SiteMover = load("mover", self.mover_path)()
        return made

    # what it declares

    def test_it_says_what_it_is(self, mover: SiteMover) -> None:
        """Name, interface version and schemes are declared; schemes in lower case, without ://."""
        assert mover.name
        assert mover.api == SiteMover.api
        assert mover.schemes
        assert all(scheme == scheme.lower() and ":" not in scheme for scheme in mover.schemes)

    # fetch

    @pytest.mark.parametrize("kind", list(ChecksumKind))
    def test_fetch_verifies_the_catalogues_kind(
        self, mover: SiteMover, storage: Storage, tmp_path: Path, kind: ChecksumKind
    ) -> None:
        """The file arrives whole, with the checksum of the kind that the catalogue gives."""
        said = adler32(CONTENT) if kind is ChecksumKind.ADLER32 else md5(CONTENT)
        storage.put("in.root", CONTENT)
        passed: list[int] = []
        done = mover.fetch(self.fetch_request(storage, "in.root", tmp_path, checksum=said), passed.append)
        assert (tmp_path / "in.root").read_bytes() == CONTENT
        assert (done.size_bytes, done.checksum, done.mover) == (len(CONTENT), said, mover.name)
        assert sum(passed) >= len(CONTENT)
        assert names(tmp_path) == ["in.root"]

    def test_fetch_without_a_catalogues_word_measures(
        self, mover: SiteMover, storage: Storage, tmp_path: Path
    ) -> None:
        """No size and no checksum are accepted; what was measured is said."""
        storage.put("in.root", CONTENT)
        request = self.fetch_request(storage, "in.root", tmp_path, size_bytes=None, checksum=None)
        assert mover.fetch(request, ignore).checksum == adler32(CONTENT)

    def test_fetch_of_an_empty_file(self, mover: SiteMover, storage: Storage, tmp_path: Path) -> None:
        """A catalogue may describe a file without bytes."""
        storage.put("empty", b"")
        request = self.fetch_request(storage, "empty", tmp_path, size_bytes=0, checksum=adler32(b""))
        assert mover.fetch(request, ignore).size_bytes == 0

    @pytest.mark.parametrize(
        "said",
        [
            {"checksum": adler32(b"other")},
            {"checksum": md5(b"other"), "size_bytes": None},
            {"size_bytes": len(CONTENT) + 1},
            {"size_bytes": len(CONTENT) - 1, "checksum": None},
        ],
        ids=["adler32", "md5", "longer", "shorter"],
    )
    def test_fetch_refuses_other_bytes_than_described(
        self, mover: SiteMover, storage: Storage, tmp_path: Path, said: dict[str, object]
    ) -> None:
        """Another checksum or size is a `checksum` failure, and what stood at the target stays."""
        storage.put("in.root", CONTENT)
        (tmp_path / "in.root").write_bytes(b"before")
        failure = failed(
            lambda: mover.fetch(self.fetch_request(storage, "in.root", tmp_path, **said), ignore)
        )
        assert failure.kind is FailureClass.CHECKSUM
        assert "catalogue says" in failure.says
        assert (tmp_path / "in.root").read_bytes() == b"before"
        assert names(tmp_path) == ["in.root"]

    def test_fetch_of_a_file_that_is_not_there(
        self, mover: SiteMover, storage: Storage, tmp_path: Path
    ) -> None:
        """`missing`, said of the storage, never to be tried again there, and nothing is written."""
        failure = failed(lambda: mover.fetch(self.fetch_request(storage, "absent", tmp_path), ignore))
        assert (failure.kind, failure.side, failure.retry_after_s) == (
            FailureClass.MISSING,
            Side.STORAGE,
            None,
        )
        assert "absent" in failure.says
        assert names(tmp_path) == []

    def test_fetch_replaces_what_stands_at_the_target(
        self, mover: SiteMover, storage: Storage, tmp_path: Path
    ) -> None:
        """After a crash the same input is fetched again, over a file or a link of the earlier try."""
        storage.put("in.root", CONTENT)
        victim = tmp_path / "victim"
        victim.write_bytes(b"untouched")
        inside = tmp_path / "inside"
        inside.mkdir()
        (inside / "in.root").symlink_to(victim)
        mover.fetch(self.fetch_request(storage, "in.root", inside), ignore)
        assert (inside / "in.root").read_bytes() == CONTENT
        assert victim.read_bytes() == b"untouched"

    def test_fetch_onto_a_full_node(self, mover: SiteMover, storage: Storage, tmp_path: Path) -> None:
        """`space`, said of the node, and the first half of the file is gone again."""
        storage.put("in.root", CONTENT)
        with largest_file_bytes(len(CONTENT) // 2):
            failure = failed(lambda: mover.fetch(self.fetch_request(storage, "in.root", tmp_path), ignore))
        assert (failure.kind, failure.side) == (FailureClass.SPACE, Side.NODE), failure
        assert names(tmp_path) == []

    @pytest.mark.parametrize("name", HOSTILE_NAMES)
    def test_hostile_names_there_and_back(
        self, mover: SiteMover, storage: Storage, tmp_path: Path, name: str
    ) -> None:
        """A name is a name: it is stored and fetched, and nothing else is touched."""
        if name in self.unknown_names:
            pytest.skip(f"this kind of storage has no {name!r}")
        here = tmp_path / "here"
        back = tmp_path / "back"
        here.mkdir()
        back.mkdir()
        (here / name).write_bytes(CONTENT)
        mover.store(self.store_request(storage, name, here / name), ignore)
        assert storage.read(name) == CONTENT
        storage.wait_until_known(name)
        mover.fetch(self.fetch_request(storage, name, back), ignore)
        assert (back / name).read_bytes() == CONTENT
        assert names(back) == [name]

    # store

    def test_store_measures_and_leaves_nothing_else(
        self, mover: SiteMover, storage: Storage, tmp_path: Path
    ) -> None:
        """The file stands under its name, whole; no temporary name is left on either side."""
        source = tmp_path / "out.root"
        source.write_bytes(CONTENT)
        done = mover.store(self.store_request(storage, "out.root", source), ignore)
        assert storage.read("out.root") == CONTENT
        assert (done.size_bytes, done.checksum) == (len(CONTENT), adler32(CONTENT))
        assert storage.leftovers() == []
        assert names(tmp_path) == ["out.root"]

    def test_store_again_after_a_crash(self, mover: SiteMover, storage: Storage, tmp_path: Path) -> None:
        """The same content that is already there counts as stored."""
        source = tmp_path / "out.root"
        source.write_bytes(CONTENT)
        request = self.store_request(storage, "out.root", source, measure=ChecksumKind.MD5)
        mover.store(request, ignore)
        storage.wait_until_known("out.root")
        again = mover.store(request, ignore)
        assert (again.how, again.checksum, again.size_bytes) == (
            How.ALREADY_THERE,
            md5(CONTENT),
            len(CONTENT),
        )
        assert storage.leftovers() == []

    @pytest.mark.parametrize("there", [b"something else", CONTENT[:-1] + b"x"], ids=["size", "content"])
    def test_store_never_overwrites_another_file(
        self, mover: SiteMover, storage: Storage, tmp_path: Path, there: bytes
    ) -> None:
        """Another content at the target is EEXIST, and stays."""
        storage.put("out.root", there)
        source = tmp_path / "out.root"
        source.write_bytes(CONTENT)
        failure = failed(lambda: mover.store(self.store_request(storage, "out.root", source), ignore))
        assert (failure.errno, failure.retry_after_s) == (errno.EEXIST, None)
        assert storage.read("out.root") == there
        assert storage.leftovers() == []

    def test_store_of_a_file_that_is_not_there(
        self, mover: SiteMover, storage: Storage, tmp_path: Path
    ) -> None:
        """`missing`, said of the node: no other storage can help."""
        failure = failed(
            lambda: mover.store(self.store_request(storage, "out.root", tmp_path / "out.root"), ignore)
        )
        assert (failure.kind, failure.side) == (FailureClass.MISSING, Side.NODE)
        assert storage.read("out.root") is None

    @pytest.mark.parametrize("kind", ["fifo", "directory", "link"])
    def test_store_refuses_what_is_no_file(
        self, mover: SiteMover, storage: Storage, tmp_path: Path, kind: str
    ) -> None:
        """A FIFO would hang for ever; a link could lead to the pilot's own secrets."""
        source = tmp_path / "out.root"
        if kind == "fifo":
            os.mkfifo(source)
        elif kind == "directory":
            source.mkdir()
        else:
            (tmp_path / "secret").write_bytes(CONTENT)
            source.symlink_to(tmp_path / "secret")
        failure = failed(lambda: mover.store(self.store_request(storage, "out.root", source), ignore))
        assert (failure.kind, failure.side) == (FailureClass.SPECIFICATION, Side.NODE)
        assert storage.read("out.root") is None

    # look and remove

    def test_stat_and_remove(self, mover: SiteMover, storage: Storage) -> None:
        """A mover that can look says size and checksum; one that can remove may be asked twice."""
        surl = storage.surl("in.root")
        context = self.context(storage)
        look = StatRequest(surl=surl, measure=ChecksumKind.ADLER32, context=context)
        try:
            assert mover.stat(look).exists is False
        except TransferError as error:
            pytest.skip(f"it does not look: {error}")
        storage.put("in.root", CONTENT)
        facts = mover.stat(look)
        assert (facts.exists, facts.size_bytes) == (True, len(CONTENT))
        assert facts.checksum in (None, adler32(CONTENT))
        assert mover.remove(RemoveRequest(surl=surl, context=context)).was_there is True
        assert storage.read("in.root") is None
        assert mover.remove(RemoveRequest(surl=surl, context=context)).was_there is False

    def test_open_check(self, mover: SiteMover, storage: Storage) -> None:
        """Before a payload reads a file where it is: it is there, and as large as its catalogue says."""
        storage.put("open.root", CONTENT)
        context = self.context(storage)
        ask = OpenRequest(
            lfn="open.root", surl=storage.surl("open.root"), size_bytes=len(CONTENT), context=context
        )
        try:
            opened = mover.open_check(ask)
        except TransferError as error:
            if error.failure.kind is not FailureClass.SPECIFICATION:
                raise
            pytest.skip(f"it does not open: {error}")
        assert (opened.surl, opened.mover) == (ask.surl, mover.name)
        assert opened.size_bytes in (None, len(CONTENT))
        longer = OpenRequest(lfn=ask.lfn, surl=ask.surl, size_bytes=len(CONTENT) + 1, context=context)
        assert failed(lambda: mover.open_check(longer)).kind is FailureClass.CHECKSUM
        absent = OpenRequest(lfn="shut.root", surl=storage.surl("shut.root"), context=context)
        failure = failed(lambda: mover.open_check(absent))
        assert (failure.kind, failure.side) == (FailureClass.MISSING, Side.STORAGE)
        assert "shut.root" in failure.says

    def test_several_at_once(self, mover: SiteMover, storage: Storage, tmp_path: Path) -> None:
        """The worker's threads share one mover: each gets its own file."""
        for number in range(AT_ONCE):
            storage.put(f"in{number}", CONTENT[number:])
            (tmp_path / f"out{number}").write_bytes(CONTENT[number:])

        def there_and_back(number: int) -> None:
            described = {"size_bytes": len(CONTENT) - number, "checksum": adler32(CONTENT[number:])}
            mover.fetch(self.fetch_request(storage, f"in{number}", tmp_path, **described), ignore)
            mover.store(self.store_request(storage, f"out{number}", tmp_path / f"out{number}"), ignore)

        with ThreadPoolExecutor(AT_ONCE) as threads:
            for done in [threads.submit(there_and_back, number) for number in range(AT_ONCE)]:
                done.result()
        for number in range(AT_ONCE):
            assert (tmp_path / f"in{number}").read_bytes() == CONTENT[number:]
            assert storage.read(f"out{number}") == CONTENT[number:]
