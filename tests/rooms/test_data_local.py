"""What is peculiar to the local mover: links, shared blocks, permissions, full disks, addresses that lead elsewhere."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from picard_pilot.model.files import Checksum, ChecksumKind
from picard_pilot.model.site import Endpoint, Protocol
from picard_pilot.model.transfer import (
    FailureClass,
    FetchRequest,
    How,
    RemoveRequest,
    Side,
    StoreRequest,
    TransferContext,
)
from picard_pilot.movers import local
from picard_pilot.movers.file_url import path_of
from picard_pilot.movers.local import LocalMover
from picard_pilot.movers.part_file import PartFile, part_name
from picard_pilot.testing.mover_kit import CONTENT, adler32, failed, ignore, names

AS_NOBODY = """
import os, sys
from picard_pilot.model.transfer import FetchRequest, StoreRequest, TransferError
from picard_pilot.movers.local import LocalMover
mode, name, surl, path = sys.argv[1:]
mover = LocalMover()
if os.geteuid() == 0:
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
try:
    if mode == "fetch":
        mover.fetch(FetchRequest(lfn=name, surl=surl, target=path), lambda count: None)
    else:
        mover.store(StoreRequest(lfn=name, surl=surl, source=path), lambda count: None)
except TransferError as error:
    print(error.failure.kind, error.failure.side, error.failure.retry_after_s)
"""
"""Permissions do not bind root: so this is done by somebody else, who gets all imports done before."""


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    """A directory that is a storage, with one file."""
    folder = tmp_path / "storage"
    folder.mkdir()
    (folder / "in.root").write_bytes(CONTENT)
    return folder


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """A directory that is a job's."""
    folder = tmp_path / "node"
    folder.mkdir()
    return folder


def fetch(storage: Path, node: Path, **more: object) -> FetchRequest:
    """A request for the storage's one file."""
    return FetchRequest(lfn="in.root", surl=f"file://{storage}/in.root", target=str(node / "in.root"), **more)  # type: ignore[arg-type]


def test_a_link_where_the_queue_allows_it(storage: Path, node: Path) -> None:
    """The target is a symbolic link to the storage's file, which was read once to verify it."""
    done = LocalMover().fetch(fetch(storage, node, allow_symlink=True, checksum=adler32(CONTENT)), ignore)
    assert (done.how, done.checksum) == (How.SYMLINK, adler32(CONTENT))
    assert (node / "in.root").readlink() == storage / "in.root"


def test_a_link_to_other_bytes_than_described_is_not_made(storage: Path, node: Path) -> None:
    """A link is verified like a copy."""
    wrong = Checksum(ChecksumKind.ADLER32, "00000001")
    failure = failed(
        lambda: LocalMover().fetch(fetch(storage, node, allow_symlink=True, checksum=wrong), ignore)
    )
    assert failure.kind is FailureClass.CHECKSUM
    assert names(node) == []


def test_never_a_hard_link(storage: Path, node: Path) -> None:
    """A payload that overwrites its input must not overwrite the storage."""
    LocalMover().fetch(fetch(storage, node), ignore)
    with (node / "in.root").open("r+b") as file:
        file.write(b"scribble")
    assert (storage / "in.root").read_bytes() == CONTENT
    LocalMover().store(
        StoreRequest(lfn="out", surl=f"file://{storage}/out", source=str(node / "in.root")), ignore
    )
    assert (storage / "out").stat().st_ino != (node / "in.root").stat().st_ino
    assert (storage / "out").stat().st_nlink == 1


@pytest.mark.parametrize("direction", ["fetch", "store"])
def test_no_permission(direction: str) -> None:
    """A storage that forbids reading or writing is `auth`, and asking again cannot help."""
    import tempfile

    # Not below pytest's own folder, which nobody else may enter.
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        base.chmod(0o755)
        storage, node = base / "storage", base / "node"
        storage.mkdir()
        node.mkdir()
        node.chmod(0o777)
        if direction == "fetch":
            (storage / "file").write_bytes(CONTENT)
            (storage / "file").chmod(0)
        else:
            (node / "file").write_bytes(CONTENT)
            (node / "file").chmod(0o644)
            storage.chmod(0o555)
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                AS_NOBODY,
                direction,
                "file",
                f"file://{storage}/file",
                str(node / "file"),
            ],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        storage.chmod(0o755)
        assert done.stdout == "auth storage None\n"
        assert names(node) == ([] if direction == "fetch" else ["file"])


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of half a MiB, where this machine lets us mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = (
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=512k", "picard-test", str(folder)],
            capture_output=True,
            text=True,
        )
        if os.geteuid() == 0
        else None
    )
    if mount is None or mount.returncode != 0:
        pytest.skip("no right to mount a small file system here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def sharing_disk(tmp_path: Path) -> Iterator[Path]:
    """An XFS in a file, where this machine has the tools and lets us mount one: its files can share blocks."""
    image, folder = tmp_path / "xfs.img", tmp_path / "xfs"
    folder.mkdir()
    if shutil.which("mkfs.xfs") is None or os.geteuid() != 0:
        pytest.skip("no mkfs.xfs, or no right to mount, to make a file system that shares blocks")
    with image.open("wb") as file:
        file.truncate(400 << 20)  # sparse; mkfs.xfs makes nothing below 300 MB
    subprocess.run(["mkfs.xfs", "-q", str(image)], check=True)
    if subprocess.run(["mount", "-o", "loop", str(image), str(folder)], capture_output=True).returncode != 0:
        pytest.skip("no right to mount a file system that shares blocks")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_shared_blocks_where_the_file_system_can(sharing_disk: Path) -> None:
    """No byte is copied, each is read once to verify it, and writing to one file leaves the other alone."""
    storage, node = sharing_disk / "storage", sharing_disk / "node"
    storage.mkdir()
    node.mkdir()
    (storage / "in.root").write_bytes(CONTENT)
    passed: list[int] = []
    done = LocalMover().fetch(fetch(storage, node, checksum=adler32(CONTENT)), passed.append)
    assert (done.how, done.size_bytes, sum(passed)) == (How.REFLINK, len(CONTENT), len(CONTENT))
    with (node / "in.root").open("r+b") as file:
        file.write(b"scribble")
    assert (storage / "in.root").read_bytes() == CONTENT
    request = StoreRequest(lfn="out", surl=f"file://{storage}/out", source=str(node / "in.root"))
    assert LocalMover().store(request, ignore).how is How.REFLINK
    wrong = Checksum(ChecksumKind.ADLER32, "00000001")
    assert (
        failed(lambda: LocalMover().fetch(fetch(storage, node, checksum=wrong), ignore)).kind
        is FailureClass.CHECKSUM
    )
    assert names(node) == ["in.root"]


def test_a_node_whose_disk_fills_up(storage: Path, small_disk: Path) -> None:
    """`space` of the node with the system's number, and the room is given back."""
    failure = failed(lambda: LocalMover().fetch(fetch(storage, small_disk), ignore))
    assert (failure.kind, failure.side, failure.errno) == (FailureClass.SPACE, Side.NODE, 28)
    assert names(small_disk) == []


def test_a_storage_that_fills_up(storage: Path, small_disk: Path) -> None:
    """`space` of the storage: another destination may have room; no half file is left."""
    request = StoreRequest(
        lfn="out.root", surl=f"file://{small_disk}/deep/out.root", source=str(storage / "in.root")
    )
    failure = failed(lambda: LocalMover().store(request, ignore))
    assert (failure.kind, failure.side) == (FailureClass.SPACE, Side.STORAGE)
    assert names(small_disk / "deep") == []


@pytest.mark.parametrize(
    "surl",
    [
        "file:///srv/rucio/../../etc/passwd",
        "file:///srv/rucio/%2e%2e/etc/passwd",
        "file:///srv/rucio/%2E./etc/passwd",
        "file:///srv/rucio/a%2f..%2f..%2fetc",
        "file:///srv/rucio/a%00b",
        "file:///srv/rucio/a?b",
        "file:///srv/rucio/a#b",
        "file://elsewhere.example/srv/rucio/a",
        "file:///etc/passwd",
        "file:///srv/rucio",
        "file:///srv/rucioother/a",
        "root://srv/rucio/a",
        "/srv/rucio/a",
        "",
    ],
)
def test_an_address_that_leads_elsewhere(surl: str) -> None:
    """Refused before anything is opened."""
    endpoint = Endpoint(name="DISK", protocols=(Protocol(prefix="file:///srv/rucio"),))
    assert failed(lambda: path_of(surl, endpoint)).kind is FailureClass.SPECIFICATION
    removal = RemoveRequest(surl=surl, context=TransferContext(endpoint=endpoint))
    assert failed(lambda: LocalMover().remove(removal)).kind is FailureClass.SPECIFICATION


def test_an_address_is_decoded_once() -> None:
    """A percent sign in a name is a percent sign, and blanks come back."""
    endpoint = Endpoint(name="DISK", protocols=(Protocol(prefix="file:///srv/my%20disk/"),))
    assert str(path_of("file://localhost/srv/my%20disk//a%2525b", endpoint)) == "/srv/my disk/a%25b"


def test_a_directory_is_not_removed(storage: Path) -> None:
    """Remove is for files."""
    (storage / "folder").mkdir()
    failure = failed(lambda: LocalMover().remove(RemoveRequest(surl=f"file://{storage}/folder")))
    assert failure.kind is FailureClass.SPECIFICATION
    assert (storage / "folder").is_dir()


def test_a_source_that_grows_while_it_is_stored(storage: Path, node: Path) -> None:
    """Its checksum would describe neither the old nor the new file: not stored, but worth another try."""
    source = node / "out.root"
    source.write_bytes(CONTENT)
    grown: list[int] = []

    def grow(count: int) -> None:
        if not grown:
            grown.append(count)
            with source.open("ab") as file:
                file.write(b"more")

    request = StoreRequest(lfn="out.root", surl=f"file://{storage}/out.root", source=str(source))
    failure = failed(lambda: LocalMover().store(request, grow))
    assert (failure.kind, failure.side, failure.retry_after_s) == (FailureClass.TRANSFER, Side.NODE, 0.0)
    assert names(storage) == ["in.root"]


def test_a_target_that_is_a_directory(storage: Path, node: Path) -> None:
    """It is not replaced, and no temporary file stays beside it."""
    (node / "in.root").mkdir()
    failure = failed(lambda: LocalMover().fetch(fetch(storage, node), ignore))
    assert failure.side is Side.NODE
    assert names(node) == ["in.root"]


@pytest.mark.parametrize("name", ["a", "n" * 255, "é" * 127, "日" * 85])
def test_a_temporary_name_is_one_that_a_file_system_takes(name: str) -> None:
    """Hidden, different each time, never longer than 255 bytes."""
    made = part_name(name)
    assert made.startswith(f".{name[:1]}") and made.endswith(".part")
    assert len(os.fsencode(made)) <= 255
    assert made != part_name(name)


def test_a_large_file_goes_to_the_disk_in_portions(
    storage: Path, node: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a sign of life after each: nobody waits for the last portion longer than for another."""
    portions: list[int] = []
    passed: list[int] = []
    monkeypatch.setattr(local, "FLUSH_BYTES", 1 << 20)
    monkeypatch.setattr(local, "_reflinked", lambda source_fd, target_fd: False)
    sync = PartFile.sync

    def noted(part: PartFile) -> None:
        portions.append(sum(passed))
        sync(part)

    monkeypatch.setattr(PartFile, "sync", noted)
    (node / "out.root").write_bytes(bytes(3 << 20))
    request = StoreRequest(lfn="out.root", source=str(node / "out.root"), surl=f"file://{storage}/out.root")
    assert LocalMover().store(request, passed.append).how is How.COPY
    assert portions == [1 << 20, 2 << 20, 3 << 20, 3 << 20]
    assert passed.count(0) == 3
