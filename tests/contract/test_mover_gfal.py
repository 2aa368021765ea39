"""The gfal mover through the public suite, with the real gfal2 tools, and what is particular to it."""

import errno
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from folder_storage import FolderStorage

from picard_pilot.model.files import ChecksumKind
from picard_pilot.model.transfer import (
    FailureClass,
    FetchRequest,
    How,
    Remedy,
    RemoveRequest,
    Side,
    StatRequest,
    StorageAccess,
    StoreRequest,
    TransferContext,
)
from picard_pilot.movers.gfal import GfalMover
from picard_pilot.testing.mover_kit import CONTENT, adler32, failed, ignore
from picard_pilot.testing.mover_suite import MoverSuite

if TYPE_CHECKING:
    from secure_door import SecureDoor

needs_gfal = pytest.mark.skipif(
    shutil.which("gfal-copy") is None, reason="no gfal2 tools (Debian: apt-get install gfal2-util-scripts)"
)


@needs_gfal
class TestGfal(MoverSuite):
    """The mover that runs the gfal2 tools, on gfal's own file plug-in."""

    mover_path = "gfal"
    reads_before_storing = True

    @pytest.fixture
    def storage(self, tmp_path_factory: pytest.TempPathFactory) -> FolderStorage:
        """A fresh directory."""
        return FolderStorage(tmp_path_factory.mktemp("storage"), scheme="file")


@needs_gfal
@pytest.mark.xdist_group("xrootd")
class TestRealDoors:
    """gfal2 at a real XRootD door, with TLS and tokens: what it returns there is what the mover understands."""

    @pytest.fixture
    def mover(self) -> GfalMover:
        """The mover."""
        return GfalMover()

    @pytest.fixture(params=["root", "https", "davs"])
    def base(self, request: pytest.FixtureRequest, secure_door: "SecureDoor") -> str:
        """The open folder of the door by each of its protocols."""
        address = secure_door.root if request.param == "root" else secure_door.https
        return f"{request.param}://{address.partition('://')[2]}/open"

    @pytest.fixture
    def context(self, secure_door: "SecureDoor") -> TransferContext:
        """Whom to trust."""
        return TransferContext(access=StorageAccess(ca_dir=str(secure_door.cert_dir)))

    def test_there_and_back(
        self, mover: GfalMover, base: str, context: TransferContext, tmp_path: Path, secure_door: "SecureDoor"
    ) -> None:
        """Stored by a temporary name into a folder that is not there yet, found again, fetched, removed."""
        source = tmp_path / "out"
        source.write_bytes(CONTENT)
        surl = f"{base}/gfal/{tmp_path.name}/out"
        store = StoreRequest(lfn="out", source=str(source), surl=surl, context=context)
        assert mover.store(store, ignore).checksum == adler32(CONTENT)
        assert mover.store(store, ignore).how is How.ALREADY_THERE
        look = StatRequest(surl=surl, measure=ChecksumKind.ADLER32, context=context)
        facts = mover.stat(look)
        assert (facts.size_bytes, facts.checksum) == (len(CONTENT), adler32(CONTENT))
        source.write_bytes(b"another")
        assert failed(lambda: mover.store(store, ignore)).errno == errno.EEXIST
        fetch = FetchRequest(lfn="out", surl=surl, target=str(tmp_path / "in"), context=context)
        assert mover.fetch(fetch, ignore).size_bytes == len(CONTENT)
        folder = secure_door.storage.folder / "open" / "gfal" / tmp_path.name
        assert [path.name for path in folder.iterdir()] == ["out"]
        assert mover.remove(RemoveRequest(surl=surl, context=context)).was_there
        assert not mover.stat(look).exists

    def test_a_file_that_is_not_there(
        self, mover: GfalMover, base: str, context: TransferContext, tmp_path: Path
    ) -> None:
        """`missing`, whatever the protocol."""
        fetch = FetchRequest(lfn="no", surl=f"{base}/no", target=str(tmp_path / "in"), context=context)
        failure = failed(lambda: mover.fetch(fetch, ignore))
        assert (failure.kind, failure.errno) == (FailureClass.MISSING, errno.ENOENT)

    def test_tokens(self, mover: GfalMover, tmp_path: Path, secure_door: "SecureDoor") -> None:
        """Without a token nothing, with one that may only read no store, with a full one a store."""
        source = tmp_path / "out"
        source.write_bytes(CONTENT)
        surl = f"{secure_door.https}/tok/{tmp_path.name}"
        may = {
            "nothing": None,
            "read": secure_door.token("storage.read:/"),
            "all": secure_door.token("storage.read:/", "storage.modify:/", "storage.create:/"),
        }

        def store(who: str) -> StoreRequest:
            access = StorageAccess(token=may[who], ca_dir=str(secure_door.cert_dir))
            return StoreRequest(
                lfn="out", source=str(source), surl=surl, context=TransferContext(access=access)
            )

        for who in ("nothing", "read"):
            failure = failed(lambda who=who: mover.store(store(who), ignore))  # type: ignore[misc]
            assert failure.kind is FailureClass.AUTH, failure
        assert mover.store(store("all"), ignore).size_bytes == len(CONTENT)

    def test_nobody_there(self, mover: GfalMover, tmp_path: Path, context: TransferContext) -> None:
        """A port where nobody listens and a name without an address: the endpoint is benched."""
        for surl, kind in (
            ("https://127.0.0.1:1/x", FailureClass.CONTACT),
            ("https://nobody.invalid/x", FailureClass.RESOLVE),
        ):
            failure = failed(lambda surl=surl: mover.stat(StatRequest(surl=surl, context=context)))  # type: ignore[misc]
            assert (failure.kind, failure.remedy) == (kind, Remedy.BENCH)

    def test_an_unknown_protocol(self, mover: GfalMover, tmp_path: Path) -> None:
        """A plug-in of gfal2 that the node lacks is the node's trouble, not the storage's."""
        failure = failed(lambda: mover.stat(StatRequest(surl="srm://door.invalid/x")))
        assert (failure.kind, failure.side) == (FailureClass.SPECIFICATION, Side.NODE)
        assert "plug-in" in failure.says


@needs_gfal
class TestWithoutRename:
    """A protocol without a rename: what is stored stands under its final name, whole, or is taken away again."""

    @pytest.fixture
    def storage(self, tmp_path: Path) -> FolderStorage:
        """A fresh directory."""
        return FolderStorage(tmp_path / "storage", scheme="file")

    def store(self, storage: FolderStorage, folder: Path, **programs: str) -> StoreRequest:
        """A request, with these programs in front of gfal's own."""
        front = folder / "front"
        front.mkdir()
        for name, text in {"rename": f"exit {errno.ENOSYS}", **programs}.items():
            (front / f"gfal-{name}").write_text(f"#!/bin/sh\n{text}\n")
            (front / f"gfal-{name}").chmod(0o755)
        (folder / "out").write_bytes(CONTENT)
        return StoreRequest(
            lfn="out",
            source=str(folder / "out"),
            surl=storage.surl("out"),
            context=TransferContext(
                endpoint=storage.endpoint, environment={"PATH": f"{front}:/usr/bin:/bin"}
            ),
        )

    def test_it_is_stored_directly(self, storage: FolderStorage, tmp_path: Path) -> None:
        """And nothing else is left."""
        assert GfalMover().store(self.store(storage, tmp_path), ignore).how is How.COPY
        assert storage.read("out") == CONTENT
        assert [path.name for path in storage.folder.iterdir()] == ["out"]

    def test_half_of_it_is_taken_away(self, storage: FolderStorage, tmp_path: Path) -> None:
        """Exit code 0 and half a file, at the end of any arguments: found by looking, and removed."""
        half = 'for surl; do :; done; mkdir -p "$(dirname "${surl#file://}")"; echo half > "${surl#file://}"'
        failure = failed(lambda: GfalMover().store(self.store(storage, tmp_path, copy=half), ignore))
        assert failure.kind is FailureClass.CHECKSUM
        assert "5 bytes on the storage" in failure.says
        assert list(storage.folder.iterdir()) == []

    def test_nothing_of_it_is_there(self, storage: FolderStorage, tmp_path: Path) -> None:
        """Exit code 0 and no file is a failure."""
        failure = failed(lambda: GfalMover().store(self.store(storage, tmp_path, copy="exit 0"), ignore))
        assert failure.kind is FailureClass.TRANSFER
        assert "is not on the storage" in failure.says

    def test_options_that_it_does_not_know(self, storage: FolderStorage, tmp_path: Path) -> None:
        """The same exit code as for a missing file, told by the usage that it prints."""
        usage = "echo 'usage: gfal-stat [-h] file' >&2; exit 2"
        failure = failed(lambda: GfalMover().store(self.store(storage, tmp_path, stat=usage), ignore))
        assert (failure.kind, failure.side, failure.remedy) == (
            FailureClass.SPECIFICATION,
            Side.NODE,
            Remedy.MISTAKE,
        )
