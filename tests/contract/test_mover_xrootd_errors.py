"""What a real XRootD storage can do to a transfer, and as what the mover knows it: by code, never by text."""

import itertools
import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from xrootd_kit import anew, fetch_request, large, mover, short_limits, store_request

from federation import Federation, Site
from picard_pilot.model.transfer import (
    FailureClass,
    OpenRequest,
    Remedy,
    RemoveRequest,
    Side,
    StatRequest,
    TransferFailure,
)
from picard_pilot.testing.mover_kit import failed, ignore, names

pytestmark = [pytest.mark.xdist_group("xrootd"), pytest.mark.usefixtures("own_x509_variables")]

_numbers = itertools.count(1)

MEGABYTE = 1 << 20
LARGE_BYTES = 24 * MEGABYTE
"""More than what is under way at once, so that a fault in mid-file is one."""


@pytest.fixture
def site(federation: Federation) -> Site:
    """One data server."""
    return federation.sites[0]


@pytest.fixture
def name() -> str:
    """A path that no other test uses."""
    return f"errors-{next(_numbers)}/file"


def once(act: Callable[[], None]) -> Callable[[int], None]:
    """Progress that does something when the first bytes passed."""
    done: list[int] = []

    def progress(count: int) -> None:
        if not done:
            done.append(count)
            act()

    return progress


def temporaries(site: Site, name: str) -> list[str]:
    """Temporary names in the folder of a file. Elsewhere those of workers that were killed wait for their end."""
    folder = name.partition("/")[0] + "/"
    return [each for each in site.storage.names() if each.startswith(folder) and each.endswith(".part")]


def has_open(site: Site, name: str) -> bool:
    """Whether a site's server holds the file open."""
    wanted = str(site.storage.path(name))
    return any(str(link.readlink()) == wanted for link in Path(f"/proc/{site.xrootd.pid}/fd").iterdir())


def known_as(failure: TransferFailure) -> tuple[FailureClass, Remedy | None, str | None]:
    """What the retry policy goes by."""
    return failure.kind, failure.remedy, failure.code


class TestRefusals:
    """The server answers, and the answer is no."""

    def test_a_file_missing_at_a_data_server(self, site: Site, tmp_path: Path) -> None:
        """It knows: no other try will find it here."""
        failure = failed(lambda: mover().fetch(fetch_request(site.root, "absent", tmp_path), ignore))
        assert known_as(failure) == (FailureClass.MISSING, Remedy.NEXT, "xrootd 400/3011")
        assert failure.retry_after_s is None
        assert "absent" in failure.says
        assert site.host in failure.says

    def test_a_file_missing_through_the_redirector_may_come(
        self, federation: Federation, tmp_path: Path
    ) -> None:
        """A redirector only knows that nobody offered it in time: once more, later."""
        failure = failed(lambda: mover().fetch(fetch_request(federation.root, "absent", tmp_path), ignore))
        assert known_as(failure) == (FailureClass.MISSING, Remedy.LATER, "xrootd 400/3011")
        assert failure.retry_after_s == 10.0

    def test_a_redirector_is_made_to_look_again(
        self, federation: Federation, name: str, tmp_path: Path
    ) -> None:
        """It remembers what it did not find, also when the file has come meanwhile."""
        request = fetch_request(federation.root, name, tmp_path, b"late")
        failed(lambda: mover().fetch(request, ignore))
        federation.sites[2].storage.put(name, b"late")
        assert mover().fetch(request, ignore).size_bytes == len(b"late")

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root's servers are another user")
    def test_no_permission_to_read(self, site: Site, name: str, tmp_path: Path) -> None:
        """The server's own user may not read it."""
        site.storage.put(name, b"hidden").chmod(0)
        failure = failed(lambda: mover().fetch(fetch_request(site.root, name, tmp_path), ignore))
        assert known_as(failure) == (FailureClass.AUTH, Remedy.NEXT, "xrootd 400/3010")

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root's servers are another user")
    def test_no_permission_to_write(self, site: Site, name: str, tmp_path: Path) -> None:
        """The folder is somebody else's."""
        source = tmp_path / "out"
        source.write_bytes(b"out")
        site.storage.put(name, b"").parent.chmod(0o555)
        failure = failed(lambda: mover().store(store_request(site.root, f"{name}2", source), ignore))
        assert known_as(failure) == (FailureClass.AUTH, Remedy.NEXT, "xrootd 400/3010")

    def test_a_path_that_is_not_exported(self, site: Site, tmp_path: Path) -> None:
        """The whole machine lies behind the server, and it shows one folder of it."""
        root = site.root.removesuffix("/data")
        failure = failed(lambda: mover().fetch(fetch_request(f"{root}/etc", "passwd", tmp_path), ignore))
        assert known_as(failure) == (FailureClass.AUTH, Remedy.NEXT, "xrootd 400/3010")

    def test_a_directory_is_no_file(self, site: Site, name: str, tmp_path: Path) -> None:
        """It is not read, not written over, and above all not removed."""
        folder = site.storage.put(name, b"").parent
        (folder / "file").unlink()
        surl = f"{site.root}/{folder.name}"
        source = tmp_path / "out"
        source.write_bytes(b"out")
        for act in (
            lambda: mover().fetch(fetch_request(site.root, folder.name, tmp_path), ignore),
            lambda: mover().store(store_request(site.root, folder.name, source), ignore),
            lambda: mover().remove(RemoveRequest(surl=surl)),
            lambda: mover().stat(StatRequest(surl=surl)),
        ):
            failure = failed(act)
            assert (failure.kind, failure.remedy) == (FailureClass.SPECIFICATION, Remedy.NEXT)
        assert folder.is_dir()

    def test_a_full_storage(self, site: Site, tmp_path: Path) -> None:
        """`space`, said of the storage, and its half of the file is gone again."""
        source = tmp_path / "out"
        source.write_bytes(large(3 * MEGABYTE))
        try:
            with site.small_disk("full", MEGABYTE) as folder:
                failure = failed(
                    lambda: mover().store(store_request(site.root, f"{folder}/out", source), ignore)
                )
                assert known_as(failure) == (FailureClass.SPACE, Remedy.NEXT, "xrootd 400/3009")
                assert failure.side is Side.STORAGE
                assert temporaries(site, folder) == []
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no file system can be mounted here: {error.stderr.decode().strip()}")

    def test_another_file_at_the_target(self, site: Site, name: str, tmp_path: Path) -> None:
        """By the words of all movers: FILEEXISTS, and it stays."""
        source = tmp_path / "out"
        source.write_bytes(b"mine")
        site.storage.put(name, b"theirs")
        failure = failed(lambda: mover().store(store_request(site.root, name, source), ignore))
        assert (failure.fault, failure.remedy) == ("FILEEXISTS", Remedy.NEXT)
        assert site.storage.read(name) == b"theirs"

    def test_a_file_that_the_server_damaged(self, site: Site, name: str, tmp_path: Path) -> None:
        """The server's checksum is of what it kept: the file never appears under its name."""
        source = tmp_path / "out"
        source.write_bytes(large(LARGE_BYTES))
        passed: list[int] = []

        def damage(count: int) -> None:
            passed.append(count)
            if sum(passed) == LARGE_BYTES:  # the first piece was acknowledged long ago
                (half,) = temporaries(site, name)
                with site.storage.path(half).open("r+b") as stored:
                    stored.write(b"damaged!")

        failure = failed(lambda: mover().store(store_request(site.root, name, source), damage))
        assert (failure.kind, failure.remedy) == (FailureClass.CHECKSUM, Remedy.REPEAT)
        assert site.storage.read(name) is None
        assert temporaries(site, name) == []

    def test_an_open_check_reads(self, site: Site, name: str) -> None:
        """A payload could open it; of another size it would read another file."""
        site.storage.put(name, b"content")
        surl = f"{site.root}/{name}"
        assert mover().open_check(OpenRequest(lfn="file", surl=surl)).size_bytes == len(b"content")
        other = failed(lambda: mover().open_check(OpenRequest(lfn="file", surl=surl, size_bytes=1)))
        assert other.kind is FailureClass.CHECKSUM
        absent = failed(lambda: mover().open_check(OpenRequest(lfn="file", surl=f"{surl}2")))
        assert absent.kind is FailureClass.MISSING


class TestSilence:
    """Nobody answers, or no longer."""

    def test_nobody_listens(self, tmp_path: Path) -> None:
        """The connection is refused until its window ends."""
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))  # taken, and nobody accepts
            root = f"root://127.0.0.1:{nobody.getsockname()[1]}//data"
            with short_limits():
                failure = failed(lambda: mover().fetch(fetch_request(root, "in", tmp_path), ignore))
        assert known_as(failure) == (FailureClass.CONTACT, Remedy.BENCH, "xrootd 108")

    def test_a_host_without_an_address(self, tmp_path: Path) -> None:
        """`.invalid` has none, by RFC 6761."""
        with short_limits():
            failure = failed(
                lambda: mover().fetch(fetch_request("root://picard.invalid//data", "in", tmp_path), ignore)
            )
        assert known_as(failure) == (FailureClass.RESOLVE, Remedy.BENCH, "xrootd 101")

    def test_a_server_that_accepts_and_never_answers(self, tmp_path: Path) -> None:
        """The kernel accepts; that is all."""
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            root = f"root://127.0.0.1:{silent.getsockname()[1]}//data"
            with short_limits():
                failure = failed(lambda: mover().fetch(fetch_request(root, "in", tmp_path), ignore))
        assert (failure.kind, failure.remedy) == (FailureClass.TIMEOUT, Remedy.BENCH)
        assert failure.code in ("xrootd 103", "xrootd 206")

    def test_a_server_frozen_in_mid_file(self, site: Site, name: str, tmp_path: Path) -> None:
        """The requests under way end at their limit, and nothing is left of the file."""
        data = large(LARGE_BYTES)
        site.storage.put(name, data)
        request = fetch_request(anew(site.root), name, tmp_path, data)
        with short_limits():
            failure = failed(lambda: mover().fetch(request, once(site.xrootd.freeze)))
        assert (failure.kind, failure.remedy) == (FailureClass.TIMEOUT, Remedy.BENCH)
        assert names(tmp_path) == []
        site.xrootd.thaw()
        again = fetch_request(anew(site.root), name, tmp_path, data)
        assert mover().fetch(again, ignore).size_bytes == LARGE_BYTES

    def test_a_server_frozen_in_mid_store(self, site: Site, name: str, tmp_path: Path) -> None:
        """Nothing appears under the final name, also not when the server goes on; then it can be stored."""
        source = tmp_path / "out"
        source.write_bytes(large(LARGE_BYTES))
        with short_limits():
            request = store_request(anew(site.root), name, source)
            failure = failed(lambda: mover().store(request, once(site.xrootd.freeze)))
        assert (failure.kind, failure.remedy) == (FailureClass.TIMEOUT, Remedy.BENCH)
        site.xrootd.thaw()
        assert site.storage.read(name) is None
        mover().store(store_request(anew(site.root), name, source), ignore)
        assert site.storage.read(name) == source.read_bytes()

    def test_a_server_killed_in_mid_file(self, site: Site, name: str, tmp_path: Path) -> None:
        """With no other replica that is the end; the same worker reads again when the server is back."""
        data = large(LARGE_BYTES)
        site.storage.put(name, data)
        request = fetch_request(anew(site.root), name, tmp_path, data)
        with short_limits():
            failure = failed(lambda: mover().fetch(request, once(site.xrootd.kill)))
        assert failure.kind in (FailureClass.CONTACT, FailureClass.TIMEOUT)
        assert failure.remedy is Remedy.BENCH
        assert names(tmp_path) == []
        site.restart()
        assert mover().fetch(request, ignore).size_bytes == LARGE_BYTES

    def test_a_dead_server_is_replaced_in_mid_file(
        self, federation: Federation, name: str, tmp_path: Path
    ) -> None:
        """Through the redirector the client goes on at another replica, and the checksum of all is right."""
        data = large(LARGE_BYTES)
        for each in federation.sites[1:]:
            each.storage.put(name, data)
        request = fetch_request(federation.root, name, tmp_path, data)

        def kill_the_one_that_serves() -> None:
            (serving,) = (each for each in federation.sites if has_open(each, name))
            serving.xrootd.kill()

        assert mover().fetch(request, once(kill_the_one_that_serves)).size_bytes == LARGE_BYTES
        assert (tmp_path / "fetched").read_bytes() == data

    def test_the_limit_holds_for_a_frozen_open(self, site: Site, name: str, tmp_path: Path) -> None:
        """A server that is frozen before the transfer begins."""
        site.storage.put(name, b"ice")
        with short_limits(), site.frozen():
            failure = failed(lambda: mover().fetch(fetch_request(site.root, name, tmp_path), ignore))
        assert failure.kind is FailureClass.TIMEOUT
