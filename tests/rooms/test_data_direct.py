"""Direct access with a real worker and local storages: opened where it is, copied where that fails, and back."""

import zlib
from pathlib import Path

import msgspec
import pytest
from staging_kit import SCOPE, Ground, an_input, with_worker

from picard_pilot.data import stagein
from picard_pilot.data.health import FAILURES_TO_OPEN
from picard_pilot.data.node_files import KnownPatterns, NodeFiles
from picard_pilot.data.policy import RetryLimits
from picard_pilot.data.walk import Attempt, Pace
from picard_pilot.data.worker import TransferWorker
from picard_pilot.model.events import InputStaged
from picard_pilot.model.files import Checksum, ChecksumKind, FileSpec
from picard_pilot.model.job import InputAccess, Job
from picard_pilot.model.policy import InputPolicy
from picard_pilot.model.site import Endpoint, Federation, LocalFiles, PathRule, Protocol, QueueLimits
from picard_pilot.testing.mover_kit import CONTENT, names

LARGE = b"L" * 5000
SMALL = b"s" * 10

NO_OPENING = "direct_movers:Closed"
"""A mover that copies and never opens."""

FULL = "direct_movers:FullDisk"
"""A mover for a node whose disk is full."""

CATALOGUE = "direct_movers:Catalogue"


def direct_ground(folder: Path, **queue: object) -> Ground:
    """A queue that reads inputs of more than 1000 bytes directly."""
    settings: dict[str, object] = {"direct_access_lan": True, "direct_access_threshold_bytes": 1000}
    return Ground(folder, **{**settings, **queue})


def b_of(folder: Path) -> dict[str, str]:
    """How the catalogue's mover knows where its own files are."""
    (folder / "B").mkdir(exist_ok=True)
    return {"STORAGE_B": str(folder / "B")}


def test_a_large_input_is_opened_and_a_small_one_copied(tmp_path: Path) -> None:
    """Side by side in one job; the reason is in each event, and nothing of the large one is moved."""

    async def test(worker: TransferWorker) -> None:
        ground = direct_ground(tmp_path)
        ground.replica("A", "large.root", LARGE)
        ground.replica("A", "small.root", SMALL)
        heard: list[tuple[str, Attempt]] = []
        result = await ground.stage_in(
            worker,
            an_input("large.root", LARGE),
            an_input("small.root", SMALL),
            on_attempt=lambda file, attempt: heard.append((file.lfn, attempt)),
        )
        assert result.faults == ()
        staged = {event.lfn: event for event in ground.staged}
        assert staged["large.root"].how == "direct"
        assert staged["large.root"].turl == f"file://{ground.at('A', 'large.root')}"
        assert staged["large.root"].size_bytes == len(LARGE)
        assert "read directly: 5000 bytes are more than the queue's 1000" in staged["large.root"].reason
        assert staged["small.root"].how in ("copy", "reflink")
        assert staged["small.root"].turl is None
        assert names(ground.directory) == ["small.root"]
        assert {lfn for lfn, _ in heard} == {"large.root", "small.root"}

    with_worker(test)


def test_what_was_opened_is_not_opened_again_after_a_crash(tmp_path: Path) -> None:
    """The journal knows its address, and the storage is not asked."""

    async def test(worker: TransferWorker) -> None:
        ground = direct_ground(tmp_path)
        ground.replica("A", "large.root", LARGE)
        await ground.stage_in(worker, an_input("large.root", LARGE))
        done: dict[str, InputStaged] = {event.lfn: event for event in ground.staged}
        ground.staged.clear()
        ground.at("A", "large.root").unlink()
        result = await ground.stage_in(worker, an_input("large.root", LARGE), done=done)
        assert (result.faults, ground.staged) == ((), [])
        assert "opened before, read directly at file://" in result.decisions[0]

    with_worker(test)


def test_what_cannot_be_opened_is_copied(tmp_path: Path) -> None:
    """The reason says both, in the event and in the log."""

    async def test(worker: TransferWorker) -> None:
        ground = direct_ground(tmp_path, movers={"default": (NO_OPENING,)})
        ground.replica("A", "large.root", LARGE)
        result = await ground.stage_in(worker, an_input("large.root", LARGE))
        assert result.faults == ()
        (event,) = ground.staged
        assert event.how in ("copy", "reflink")
        assert "could not be opened where it is" in event.reason
        assert any("cannot be opened at file://" in line for line in result.decisions)
        assert (ground.directory / "large.root").read_bytes() == LARGE

    with_worker(test)


def test_a_full_disk_makes_a_small_file_be_read_directly(tmp_path: Path) -> None:
    """Where the queue permits it; the job goes on."""

    async def test(worker: TransferWorker) -> None:
        ground = direct_ground(tmp_path, movers={"default": (FULL,)})
        ground.replica("A", "small.root", SMALL)
        result = await ground.stage_in(worker, an_input("small.root", SMALL))
        assert result.faults == ()
        assert ground.staged[0].how == "direct"
        assert "the disk is full" in ground.staged[0].reason

    with_worker(test)


@pytest.mark.parametrize(
    ("queue", "job"),
    [
        ({"direct_access_lan": False}, Job(job_id=1, attempt_nr=1)),
        ({}, Job(job_id=1, attempt_nr=1, input_access=InputAccess.COPY)),
    ],
)
def test_a_full_disk_where_direct_access_is_not_wanted(
    tmp_path: Path, queue: dict[str, object], job: Job
) -> None:
    """1098, as before: a full disk overrules neither the queue nor the job."""

    async def test(worker: TransferWorker) -> None:
        ground = direct_ground(tmp_path, movers={"default": (FULL,)}, **queue)
        ground.replica("A", "small.root", SMALL)
        result = await ground.stage_in(worker, an_input("small.root", SMALL), job=_with(job, "small.root"))
        assert [fault.code for fault in result.faults] == [1098]

    with_worker(test)


def _with(job: Job, lfn: str) -> Job:
    return Job(job_id=1, attempt_nr=1, inputs=(an_input(lfn, SMALL),), input_access=job.input_access)


def test_inputs_larger_than_the_queue_permits(tmp_path: Path) -> None:
    """1168 before a byte is moved, with the largest by name; with direct access they are read where they are."""

    async def test(worker: TransferWorker) -> None:
        for number, (direct, code) in enumerate([(False, 1168), (True, None)]):
            folder = tmp_path / str(number)
            folder.mkdir()
            ground = direct_ground(
                folder,
                direct_access_lan=direct,
                direct_access_threshold_bytes=10 << 20,
                limits=QueueLimits(maxinputsize_mb=1),
            )
            data = b"x" * 700_000
            files = [an_input(name, data) for name in ("a.root", "b.root")]
            for file in files:
                ground.replica("A", file.lfn, data)
            result = await ground.stage_in(worker, *files)
            assert [fault.code for fault in result.faults] == ([code] if code else [])
            if code:
                assert "a.root" in result.faults[0].says
                assert names(ground.directory) == []
            else:
                assert sorted(event.how for event in ground.staged)[-1] == "direct"
                assert len(names(ground.directory)) == 1

    with_worker(test)


def test_inputs_larger_than_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """1098 before a byte is moved."""
    monkeypatch.setattr(stagein.disk, "free_bytes", lambda path: 1000)

    async def test(worker: TransferWorker) -> None:
        ground = Ground(tmp_path)
        ground.replica("A", "in", LARGE)
        result = await ground.stage_in(worker, an_input("in", LARGE))
        assert [fault.code for fault in result.faults] == [1098]
        assert "scratch has room for 950" in result.faults[0].says
        assert names(ground.directory) == []

    with_worker(test)


def test_an_experiment_that_knows_only_files(tmp_path: Path) -> None:
    """Its policy wins over the queue's permission."""

    async def test(worker: TransferWorker) -> None:
        ground = direct_ground(tmp_path)
        ground.replica("A", "large.root", LARGE)
        await ground.stage_in(worker, an_input("large.root", LARGE), policy=InputPolicy(allow_direct=False))
        assert ground.staged[0].how != "direct"

    with_worker(test)


@pytest.mark.parametrize(("there", "endpoint"), [(LARGE, "node"), (b"stale", "A"), (None, "A")])
def test_a_database_release_that_lies_on_the_node(tmp_path: Path, there: bytes | None, endpoint: str) -> None:
    """Linked if it is the file, by a pattern of the queue alone; else staged in as usual, and why is said."""

    async def test(worker: TransferWorker) -> None:
        ground = Ground(tmp_path)
        lfn = "DBRelease-31.8.1.tar.gz"
        ground.replica("A", lfn, LARGE)
        release = tmp_path / "cvmfs" / "31.8.1" / lfn
        release.parent.mkdir(parents=True)
        if there is not None:
            release.write_bytes(there)
        pattern = LocalFiles(names=r"DBRelease-(.+)\.tar\.gz", path=f"{tmp_path}/cvmfs/{{1}}/{{0}}")
        known = NodeFiles({}, [KnownPatterns("queue Q", (pattern,))])
        result = await ground.stage_in(worker, an_input(lfn, LARGE), node_files=known)
        assert result.faults == ()
        (event,) = ground.staged
        assert event.endpoint == endpoint
        assert "says the pattern" in result.decisions[0]
        assert (ground.directory / lfn).read_bytes() == LARGE
        assert (ground.directory / lfn).is_symlink() is (endpoint == "node")

    with_worker(test)


def test_a_file_system_of_the_node_that_hangs_is_not_waited_for(tmp_path: Path) -> None:
    """Known as sick, it is passed over at once: the storage can go on."""

    async def test(worker: TransferWorker) -> None:
        ground = Ground(tmp_path)
        ground.replica("A", "in", LARGE)
        there = tmp_path / "in"
        there.write_bytes(LARGE)
        pace = Pace()
        for _ in range(FAILURES_TO_OPEN):
            pace.known.failed(pace.known.ask("node file://"))
        known = NodeFiles({"in": str(there)})
        result = await ground.stage_in(worker, an_input("in", LARGE), node_files=known, pace=pace)
        assert ground.staged[0].endpoint == "A"
        assert "in from node" in result.decisions[0]

    with_worker(test)


def test_a_copy_of_the_node_where_links_are_not_wanted(tmp_path: Path) -> None:
    """It is copied, and takes room like any other."""

    async def test(worker: TransferWorker) -> None:
        ground = Ground(tmp_path)
        there = tmp_path / "in"
        there.write_bytes(LARGE)
        known = NodeFiles({"in": str(there)})
        policy = InputPolicy(allow_link=False)
        await ground.stage_in(worker, an_input("in", LARGE), node_files=known, policy=policy)
        assert ground.staged[0].endpoint == "node"
        assert not (ground.directory / "in").is_symlink()

    with_worker(test)


def test_what_is_nowhere_is_not_excused_by_the_node(tmp_path: Path) -> None:
    """A pattern's file that is not there does not blur what the storages say: 1331."""

    async def test(worker: TransferWorker) -> None:
        ground = Ground(tmp_path)
        known = NodeFiles({"in": str(tmp_path / "nowhere")})
        result = await ground.stage_in(worker, an_input("in", LARGE), node_files=known)
        assert [fault.code for fault in result.faults] == [1331]

    with_worker(test)


def test_the_catalogue_is_not_asked_for_what_lies_on_the_node(tmp_path: Path) -> None:
    """Nor for what was staged before: only where an answer could change anything."""

    async def test(worker: TransferWorker) -> None:
        ground = Ground(tmp_path, movers={"default": (CATALOGUE, "local")}, environment=b_of(tmp_path))
        (tmp_path / "B" / "catalogue").write_text("/nowhere")
        there = tmp_path / "in"
        there.write_bytes(CONTENT)
        known = NodeFiles({"in": str(there)})
        for _ in range(2):
            before = {event.lfn: event for event in ground.staged}
            result = await ground.stage_in(worker, an_input("in", CONTENT), node_files=known, done=before)
            assert result.faults == ()
        assert len(ground.staged) == 1
        assert not (tmp_path / "B" / "asked").exists()

    with_worker(test)


@pytest.mark.parametrize(
    "pace", [Pace(limits=RetryLimits(tries=1)), Pace(ends_at=0.0)], ids=["tried", "too late"]
)
def test_a_signed_address_stays_with_the_pilot(tmp_path: Path, pace: Pace) -> None:
    """Neither journal nor log nor evidence holds the signature of an address that the catalogue gave."""

    async def test(worker: TransferWorker) -> None:
        ground = Ground(tmp_path, movers={"default": (CATALOGUE, "local")}, environment=b_of(tmp_path))
        nobody = "http://127.0.0.1:9/in?X-Amz-Signature=0a1b2c3d"  # the port of `discard`
        (tmp_path / "B" / "catalogue").write_text(nobody)
        door = Endpoint(name="B", protocols=(Protocol(prefix="http://127.0.0.1:9/"),))
        ground.site = msgspec.structs.replace(ground.site, endpoints={**ground.site.endpoints, "B": door})
        result = await ground.stage_in(worker, an_input("in"), pace=pace)
        assert len(result.faults) == 1
        evidence = str(result.faults[0].evidence)
        assert "http://127.0.0.1:9/in" in evidence
        assert "0a1b2c3d" not in evidence + str(result.decisions)

    with_worker(test)


def test_the_catalogue_is_asked_once_and_its_replica_used(tmp_path: Path) -> None:
    """It knows a copy where no rule leads, and the size and checksum that the job did not say."""

    async def test(worker: TransferWorker) -> None:
        ground = Ground(tmp_path, movers={"default": (CATALOGUE, "local")}, environment=b_of(tmp_path))
        elsewhere = tmp_path / "B" / "odd" / "place"
        elsewhere.parent.mkdir(parents=True)
        elsewhere.write_bytes(CONTENT)
        (tmp_path / "B" / "catalogue").write_text(str(elsewhere))
        files = [FileSpec(lfn=lfn, role="input", scope=SCOPE) for lfn in ("one", "two")]  # type: ignore[arg-type]
        result = await ground.stage_in(worker, *files)
        assert result.faults == (), result.decisions
        assert {event.surl for event in ground.staged} == {f"file://{elsewhere}"}
        assert "no checksum" not in ground.staged[0].reason
        assert any("knows 2 of 2 inputs" in line for line in result.decisions)
        assert (tmp_path / "B" / "asked").read_text() == "x"

    with_worker(test)


def test_a_word_of_the_catalogue_never_replaces_the_jobs(tmp_path: Path) -> None:
    """The difference is said, and what the job was made for counts."""

    async def test(worker: TransferWorker) -> None:
        ground = Ground(tmp_path, movers={"default": (CATALOGUE, "local")}, environment=b_of(tmp_path))
        other = b"!" * len(CONTENT)
        ground.replica("A", "in", other)
        odd = tmp_path / "B" / "odd"
        odd.write_bytes(CONTENT)
        (tmp_path / "B" / "catalogue").write_text(str(odd))
        wrong = Checksum(ChecksumKind.ADLER32, f"{zlib.adler32(other):08x}")
        result = await ground.stage_in(worker, an_input("in", None, size_bytes=len(other), checksum=wrong))
        assert result.faults == (), result.decisions
        assert any("the job's counts" in line for line in result.decisions)

    with_worker(test)


def test_a_catalogue_that_fails_is_not_the_end(tmp_path: Path) -> None:
    """Paths are computed, and the log says so."""

    async def test(worker: TransferWorker) -> None:
        ground = Ground(tmp_path, movers={"default": (CATALOGUE, "local")}, environment=b_of(tmp_path))
        ground.replica("A", "in", CONTENT)
        result = await ground.stage_in(worker, an_input("in", CONTENT))
        assert result.faults == ()
        assert any("the replica catalogue did not answer" in line for line in result.decisions)

    with_worker(test)


def test_no_more_from_the_federation_than_its_volume(tmp_path: Path) -> None:
    """Two files that are only there, and room for one."""

    async def test(worker: TransferWorker) -> None:
        federation = Federation(
            redirector=f"file://{tmp_path}/federation", paths=PathRule.FLAT, max_bytes=len(LARGE) + 10
        )
        ground = Ground(tmp_path, federation=federation)
        (tmp_path / "federation").mkdir()
        for name in ("one", "two"):
            (tmp_path / "federation" / name).write_bytes(LARGE)
        result = await ground.stage_in(worker, an_input("one", LARGE), an_input("two", LARGE))
        assert len(ground.staged) == 1
        assert ground.staged[0].endpoint == "federation"
        assert len(result.faults) == 1

    with_worker(test)
