"""The Rucio catalogue as the transfer worker uses it, against a real Rucio server on PostgreSQL."""

import asyncio
import itertools
import os
import socket
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from grid import PATIENCE_S, wait_for
from picard_pilot.data.worker import TransferWorker
from picard_pilot.model.files import Checksum, ChecksumKind
from picard_pilot.model.site import Endpoint, PathRule, Protocol
from picard_pilot.model.transfer import (
    Did,
    FailureClass,
    Remedy,
    Replicas,
    ReplicasRequest,
    Side,
    StoreRequest,
    TransferContext,
    TransferFailure,
    Transferred,
)
from picard_pilot.testing.mover_kit import CONTENT, adler32
from rucio_catalogue import RucioCatalogue

pytestmark = pytest.mark.xdist_group("rucio")

SITE = "PICARD-SITE"
IMPATIENT = "impatient_rucio:Impatient"
_numbers = itertools.count(1)


@pytest.fixture
def here(rucio_catalogue: RucioCatalogue, tmp_path: Path) -> "Desk":
    """A worker's place beside the catalogue, with names that no other test uses."""
    return Desk(rucio_catalogue, tmp_path, next(_numbers))


class Desk:
    """One test's names in the catalogue, and a transfer worker that speaks to it."""

    def __init__(self, catalogue: RucioCatalogue, folder: Path, number: int) -> None:
        self.catalogue = catalogue
        self.folder = folder
        self.number = number

    def rse(self, kind: str) -> str:
        """The name of an RSE."""
        return f"{kind}{self.number}_DATADISK"

    def file(self, name: str) -> str:
        """The name of a file."""
        return f"{name}.{self.number}.root"

    def worker(self, config: Path | None = None, **more: str) -> TransferWorker:
        """A worker with the catalogue's configuration, or another one."""
        return TransferWorker(
            log_path=self.folder / "worker.log",
            environment={
                **os.environ,
                "PYTHONPATH": str(Path(__file__).parent),
                **self.catalogue.environment(config),
                **more,
            },
        )

    def questions(self) -> list[str]:
        """What movers have asked the server so far, logins apart."""
        return [one for one in self.catalogue.asked("picard-pilot") if "/auth/" not in one]

    def look_up(self, *names: str, config: Path | None = None, mover: str = "rucio") -> Any:
        """The worker's answer for these files."""

        async def ask() -> Replicas | TransferFailure:
            request = ReplicasRequest(
                dids=tuple(Did(scope=self.catalogue.scope, lfn=name) for name in names),
                movers=(mover,),
                context=TransferContext(site=SITE),
            )
            async with self.worker(config) as worker:
                return await worker.replicas(request)

        return limited(ask())

    def output(self, **more: Any) -> StoreRequest:
        """A request to store a file of CONTENT on a mounted storage and to register it."""
        name = self.file("out")
        source = self.folder / name
        source.write_bytes(more.pop("content", CONTENT))
        rse = more.pop("rse", self.rse("OUT"))
        endpoint = Endpoint(
            name=rse,
            protocols=(Protocol(prefix=f"file://{self.folder}/{rse}"),),
            paths=more.pop("paths", PathRule.RUCIO),
        )
        return StoreRequest(
            lfn=name,
            surl=f"file://{self.folder}/{rse}/{name}",
            source=str(source),
            scope=self.catalogue.scope,
            guid="01234567-89ab-cdef-0123-456789abcdef",
            movers=(more.pop("mover", "rucio"),),
            context=TransferContext(endpoint=endpoint, site=SITE),
            **more,
        )

    def store(self, *requests: StoreRequest, config: Path | None = None) -> list[Any]:
        """What the worker says to these requests, one after the other."""

        async def act() -> list[Transferred | TransferFailure]:
            async with self.worker(config) as worker:
                return [await worker.transfer(request) for request in requests]

        return limited(act())


def limited(work: Coroutine[Any, Any, Any]) -> Any:
    """Run with a deadline."""

    async def run() -> Any:
        async with asyncio.timeout(2 * PATIENCE_S):
            return await work

    return asyncio.run(run())


def row(name: str) -> dict[str, object]:
    """A file of CONTENT as a client registers it."""
    return {"name": name, "bytes": len(CONTENT), "adler32": adler32(CONTENT).value}


class TestLookingUp:
    """Where the files of a job are."""

    def test_two_hundred_files_are_one_question(self, here: Desk) -> None:
        """All replicas of all files come by one request, in Rucio's order: near ones first."""
        near, far, tape = here.rse("NEAR"), here.rse("FAR"), here.rse("TAPE")
        here.catalogue.add_rse(near, "root://near.example.org:1094//data/", site=SITE)
        here.catalogue.add_rse(far, "root://far.example.org:1094//data/", site="ELSEWHERE")
        here.catalogue.add_rse(tape, "root://tape.example.org:1094//tape/", tape=True)
        names = [here.file(f"in{number:03}") for number in range(200)]
        for rse in (tape, far, near):
            here.catalogue.add_replicas(rse, [row(name) for name in names])
        before = len(here.questions())
        found = here.look_up(*names)
        wait_for(lambda: len(here.questions()) > before, "the server has written down that it was asked")
        assert here.questions()[before:] == ["POST /replicas/list"]
        assert isinstance(found, Replicas), found
        assert found.catalogue == "rucio"
        assert sorted(file.lfn for file in found.files) == names
        for file in found.files:
            assert (file.scope, file.size_bytes, file.checksum) == ("picard", len(CONTENT), adler32(CONTENT))
            assert (file.replicas[0].rse, file.replicas[0].lan) == (near, True)
            assert {(one.rse, one.lan, one.tape) for one in file.replicas} == {
                (near, True, False),
                (far, False, False),
                (tape, False, True),
            }
            assert [one.priority for one in file.replicas] == [1, 2, 3]
            assert file.replicas[0].surl.startswith("root://near.example.org:1094//data/picard/")
            assert file.replicas[0].surl.endswith(f"/{file.lfn}")

    def test_an_unknown_file_is_left_out(self, here: Desk) -> None:
        """The known ones are still found."""
        here.catalogue.add_rse(here.rse("ONE"), "root://one.example.org:1094//data/")
        here.catalogue.add_replicas(here.rse("ONE"), [row(here.file("known"))])
        found = here.look_up(here.file("unknown"), here.file("known"))
        assert [file.lfn for file in found.files] == [here.file("known")]

    def test_md5_is_a_checksum_too(self, here: Desk) -> None:
        """A catalogue may know md5 only; adler32 written without its leading zeros is padded."""
        here.catalogue.add_rse(here.rse("SUM"), "root://sum.example.org:1094//data/")
        md5 = "0" * 31 + "a"
        here.catalogue.add_replicas(
            here.rse("SUM"),
            [
                {"name": here.file("md5"), "bytes": 1, "md5": md5},
                {"name": here.file("short"), "bytes": 1, "adler32": "00620062"},
            ],
        )
        found = {file.lfn: file.checksum for file in here.look_up(here.file("md5"), here.file("short")).files}
        assert found == {
            here.file("md5"): Checksum(ChecksumKind.MD5, md5),
            here.file("short"): Checksum(ChecksumKind.ADLER32, "00620062"),
        }

    def test_a_wrong_password(self, here: Desk) -> None:
        """`auth`: a renewed credential may help. The password is not told."""
        config = here.catalogue.client_config("wrong.cfg", password="not-the-password")
        failure = here.look_up("any", config=config)
        assert (failure.kind, failure.remedy) == (FailureClass.AUTH, Remedy.RENEW)
        assert "not-the-password" not in failure.says

    def test_a_server_that_is_gone(self, here: Desk) -> None:
        """`contact`, said in short time."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{free.getsockname()[1]}"  # bound, so nobody else gets it, and not listening
            failure = here.look_up("any", config=here.catalogue.client_config("gone.cfg", url=url))
        assert (failure.kind, failure.remedy) == (FailureClass.CONTACT, Remedy.BENCH)
        assert failure.retry_after_s is not None

    def test_a_server_that_does_not_answer(self, here: Desk) -> None:
        """`timeout`, long before the pilot kills the worker for its silence."""
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            config = here.catalogue.client_config("silent.cfg", url=url)
            failure = here.look_up("any", config=config, mover=IMPATIENT)
        assert (failure.kind, failure.remedy) == (FailureClass.TIMEOUT, Remedy.BENCH)

    def test_a_host_without_an_address(self, here: Desk) -> None:
        """`resolve`: the name leads nowhere."""
        config = here.catalogue.client_config("nowhere.cfg", url="http://rucio.invalid:443")
        assert here.look_up("any", config=config).kind is FailureClass.RESOLVE

    def test_no_configuration(self, here: Desk, tmp_path: Path) -> None:
        """This node's own trouble, with the library's word for it."""
        failure = here.look_up("any", config=tmp_path / "absent.cfg")
        assert (failure.kind, failure.side) == (FailureClass.SPECIFICATION, Side.NODE)
        assert "Rucio" in failure.says

    def test_a_servers_configuration_is_no_trap(self, here: Desk) -> None:
        """With a [database] section the library would take itself for a server and miss half of its own code."""
        here.catalogue.add_rse(here.rse("TRAP"), "root://trap.example.org:1094//data/")
        here.catalogue.add_replicas(here.rse("TRAP"), [row(here.file("trap"))])
        config = here.catalogue.client_config("trap.cfg")
        config.write_text(config.read_text() + "[database]\ndefault = sqlite:////nowhere/rucio.db\n")
        assert len(here.look_up(here.file("trap"), config=config).files) == 1


class TestRegistering:
    """Telling the catalogue of a stored output."""

    @pytest.fixture(autouse=True)
    def rse(self, here: Desk) -> str:
        """The RSE where outputs go."""
        name = here.rse("OUT")
        here.catalogue.add_rse(name, "root://out.example.org:1094//data/")
        return name

    def test_a_stored_file_is_known_and_in_its_dataset(self, here: Desk, rse: str) -> None:
        """One replica, one entry in a dataset that did not exist; and the same once more changes nothing."""
        request = here.output(dataset=here.file("dataset") + "/")
        for result in here.store(request, request):
            assert isinstance(result, Transferred), result
        assert list(here.catalogue.replicas(request.lfn)) == [rse]
        assert here.catalogue.content(here.file("dataset")) == [request.lfn]
        (file,) = here.look_up(request.lfn).files
        assert (file.size_bytes, file.checksum) == (len(CONTENT), adler32(CONTENT))

    def test_a_dataset_may_name_its_scope(self, here: Desk) -> None:
        """PanDA writes `scope:name`; one that exists is used."""
        here.catalogue.add_dataset(here.file("dataset"))
        request = here.output(dataset=f"picard:{here.file('dataset')}")
        assert isinstance(here.store(request)[0], Transferred)
        assert here.catalogue.content(here.file("dataset")) == [request.lfn]

    def test_a_second_replica_elsewhere(self, here: Desk, rse: str) -> None:
        """The same file at another endpoint is one file with two replicas."""
        here.catalogue.add_rse(here.rse("ALT"), "root://alt.example.org:1094//data/")
        both = here.store(here.output(), here.output(rse=here.rse("ALT")))
        assert all(isinstance(result, Transferred) for result in both), both
        assert sorted(here.catalogue.replicas(here.file("out"))) == sorted([rse, here.rse("ALT")])

    def test_two_pilots_at_the_same_moment(self, here: Desk, rse: str) -> None:
        """Both succeed: whoever comes second finds what it wanted to write."""
        request = here.output(dataset=here.file("dataset"))

        async def race() -> list[Any]:
            async with here.worker() as one, here.worker() as other:
                return await asyncio.gather(one.transfer(request), other.transfer(request))

        for result in limited(race()):
            assert isinstance(result, Transferred), result
        assert list(here.catalogue.replicas(request.lfn)) == [rse]
        assert here.catalogue.content(here.file("dataset")) == [request.lfn]

    @pytest.mark.parametrize("known", [{"adler32": "00620062"}, {"bytes": 1}], ids=["checksum", "size"])
    def test_another_file_of_this_name(self, here: Desk, rse: str, known: dict[str, Any]) -> None:
        """`register`, and nothing is added: Rucio itself would take it without a word."""
        elsewhere = here.rse("ELSE")
        here.catalogue.add_rse(elsewhere, "root://else.example.org:1094//data/")
        here.catalogue.add_replicas(elsewhere, [{**row(here.file("out")), **known}])
        (failure,) = here.store(here.output())
        assert (failure.kind, failure.remedy) == (FailureClass.REGISTER, Remedy.STOP)
        assert "another file" in failure.says
        assert list(here.catalogue.replicas(here.file("out"))) == [elsewhere]

    def test_an_endpoint_that_the_catalogue_does_not_know(self, here: Desk) -> None:
        """`register`, with Rucio's own word as the code."""
        (failure,) = here.store(here.output(rse=here.rse("UNKNOWN")))
        assert (failure.kind, failure.code) == (FailureClass.REGISTER, "rucio RSENotFound")
        assert here.rse("UNKNOWN") in failure.says

    def test_an_endpoint_whose_paths_rucio_does_not_derive(self, here: Desk) -> None:
        """Its replicas are registered with their addresses."""
        free = here.rse("FREE")
        here.catalogue.add_rse(free, f"file://localhost{here.folder}/", deterministic=False)
        request = here.output(rse=free, paths=PathRule.FLAT)
        (result,) = here.store(request)
        assert isinstance(result, Transferred), result
        (surls,) = here.catalogue.replicas(request.lfn).values()
        assert surls[0].endswith(f"/{free}/{request.lfn}")

    def test_a_server_that_is_gone(self, here: Desk) -> None:
        """`register`, to be tried again: the file is stored, and its storage is not to blame."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{free.getsockname()[1]}"
            request = here.output()
            (failure,) = here.store(request, config=here.catalogue.client_config("gone.cfg", url=url))
        assert (failure.kind, failure.remedy) == (FailureClass.REGISTER, Remedy.BENCH)
        assert failure.retry_after_s is not None
        assert Path(request.surl.removeprefix("file://")).read_bytes() == CONTENT

    def test_nothing_that_is_secret_is_printed(self, here: Desk) -> None:
        """Neither the password nor the token is in what the library wrote."""
        assert isinstance(here.store(here.output())[0], Transferred)
        printed = (here.folder / "worker.log").read_text()
        token = next(here.catalogue.directory.glob("tokens-rucio.cfg/token")).read_text()
        assert here.catalogue.password not in printed
        assert token not in printed
