"""Stage-in of whole jobs with a real worker and local storages."""

import asyncio
from pathlib import Path

import pytest
from staging_kit import Ground, an_input, ground, with_worker

from picard_pilot.data.worker import TransferWorker
from picard_pilot.model.events import InputStaged
from picard_pilot.model.files import Checksum, ChecksumKind
from picard_pilot.testing.mover_kit import CONTENT, adler32, names, until

__all__ = ["ground"]  # the fixture


def test_inputs_arrive_verified_with_a_reason(ground: Ground) -> None:
    """Each input lies in the directory, and its event says from where, how, and why from there."""

    async def test(worker: TransferWorker) -> None:
        for number in range(10):
            ground.replica("A", f"in{number}", CONTENT + bytes([number]))
        files = [an_input(f"in{number}", CONTENT + bytes([number])) for number in range(10)]
        result = await ground.stage_in(worker, *files)
        assert result.faults == ()
        assert sorted(event.lfn for event in ground.staged) == names(ground.directory)
        assert {event.endpoint for event in ground.staged} == {"A"}
        assert ground.staged[0].reason == "endpoint 1 of queue Q for pr"
        assert len(result.decisions) == 10

    with_worker(test)


def test_a_corrupt_replica_is_left_for_the_next_one(ground: Ground) -> None:
    """A's copy is damaged: tried twice, since the way may have been at fault; then B's is taken."""

    async def test(worker: TransferWorker) -> None:
        ground.replica("A", "in", CONTENT[:-1] + b"!")
        ground.replica("B", "in", CONTENT)
        result = await ground.stage_in(worker, an_input("in", CONTENT))
        assert result.faults == ()
        assert ground.staged[0].endpoint == "B"
        assert [line.split(" ")[2].rstrip(":") for line in result.decisions] == ["A", "A", "B"]
        assert "its catalogue says" in result.decisions[0]

    with_worker(test)


@pytest.mark.parametrize(
    ("a", "b", "code"),
    [
        (None, None, 1331),
        (b"damaged" * 9, b"damaged" * 9, 1171),
        (None, b"damaged" * 9, 1099),
    ],
    ids=["missing", "damaged", "both"],
)
def test_an_input_that_cannot_be_had(ground: Ground, a: bytes | None, b: bytes | None, code: int) -> None:
    """The number says why where all sources agree, and the evidence lists every attempt."""

    async def test(worker: TransferWorker) -> None:
        if a:
            ground.replica("A", "in", a)
        if b:
            ground.replica("B", "in", b)
        result = await ground.stage_in(worker, an_input("in", CONTENT, size_bytes=None))
        assert [fault.code for fault in result.faults] == [code]
        (fault,) = result.faults
        assert "in cannot be had" in fault.says
        assert fault.phase == "stagein"
        assert {item.text[0] for item in fault.evidence} == {"A", "B"}
        assert names(ground.directory) == []

    with_worker(test)


def test_after_a_first_fault_no_further_input_is_begun(ground: Ground) -> None:
    """A thousand inputs behind one that is missing are not moved for nothing."""

    async def test(worker: TransferWorker) -> None:
        files = [an_input(f"in{number}", b"small") for number in range(1000)]
        for file in files[4:]:
            ground.replica("A", file.lfn, b"small")
        result = await ground.stage_in(worker, *files)
        assert 1 <= len(result.faults) <= 4
        assert len(ground.staged) <= 8

    with_worker(test)


def test_a_checksum_that_nobody_gave_is_measured_and_said(ground: Ground) -> None:
    """Accepted, and the journal's reason holds what was measured."""

    async def test(worker: TransferWorker) -> None:
        ground.replica("A", "in", CONTENT)
        await ground.stage_in(worker, an_input("in"))
        assert adler32(CONTENT).value in ground.staged[0].reason
        assert "gives no checksum" in ground.staged[0].reason

    with_worker(test)


def test_links_where_the_queue_allows_them(tmp_path: Path) -> None:
    """The queue's word reaches the mover."""

    async def test(worker: TransferWorker) -> None:
        ground = Ground(tmp_path, allow_symlink=True)
        ground.replica("A", "in", CONTENT)
        await ground.stage_in(worker, an_input("in", CONTENT))
        assert ground.staged[0].how == "symlink"
        assert (ground.directory / "in").is_symlink()
        again = await ground.stage_in(worker, an_input("in", CONTENT), done={"in": ground.staged[0]})
        assert again.decisions == (f"in: already staged, {len(CONTENT)} bytes",)

    with_worker(test)


@pytest.mark.parametrize(("there", "endpoint"), [(CONTENT, "node"), (b"stale", "A"), (None, "A")])
def test_a_copy_that_the_node_has_anyway(ground: Ground, there: bytes | None, endpoint: str) -> None:
    """Taken first, verified like any other, and passed over with its reason if it is not the file."""

    async def test(worker: TransferWorker) -> None:
        ground.replica("A", "in", CONTENT)
        local = ground.folder / "cvmfs 100%" / "in"
        local.parent.mkdir()
        if there is not None:
            local.write_bytes(there)
        result = await ground.stage_in(worker, an_input("in", CONTENT), local_files={"in": str(local)})
        assert result.faults == ()
        assert ground.staged[0].endpoint == endpoint
        assert "already on the node" in result.decisions[0]

    with_worker(test)


def test_stage_in_after_a_crash(ground: Ground) -> None:
    """What is there is only looked at, what vanished or shrank is fetched again, what was begun is removed."""

    async def test(worker: TransferWorker) -> None:
        files = [an_input(name, CONTENT) for name in ("kept", "lost", "cut", "new")]
        for file in files:
            ground.replica("A", file.lfn, CONTENT)
        await ground.stage_in(worker, *files[:3])
        done: dict[str, InputStaged] = {event.lfn: event for event in ground.staged}
        ground.staged.clear()
        (ground.directory / "lost").unlink()
        (ground.directory / "cut").write_bytes(CONTENT[:10])
        (ground.directory / ".new.0123456789ab.part").write_bytes(CONTENT[:10])
        before = (ground.directory / "kept").stat().st_mtime_ns
        result = await ground.stage_in(worker, *files, done=done)
        assert result.faults == ()
        assert sorted(event.lfn for event in ground.staged) == ["cut", "lost", "new"]
        assert names(ground.directory) == ["cut", "kept", "lost", "new"]
        assert (ground.directory / "kept").stat().st_mtime_ns == before
        assert any("now missing" in line for line in result.decisions)

    with_worker(test)


@pytest.mark.parametrize("lfn", ["../escape", "a/b", "..", "", "nul\0"])
def test_a_name_that_the_border_let_through(ground: Ground, lfn: str) -> None:
    """Nothing is written outside the directory even if nobody else had looked."""

    async def test(worker: TransferWorker) -> None:
        result = await ground.stage_in(worker, an_input(lfn, CONTENT))
        assert [fault.code for fault in result.faults] == [1371]
        assert names(ground.folder) == ["PanDA_Pilot-1"]
        assert worker.pid is None

    with_worker(test)


def test_what_the_journal_refuses_ends_the_stage_in(ground: Ground) -> None:
    """An error of the one who is told about each file comes out as it is, not wrapped."""

    async def test(worker: TransferWorker) -> None:
        ground.replica("A", "in", CONTENT)
        ground.staged = None  # type: ignore[assignment]
        with pytest.raises(AttributeError):
            await ground.stage_in(worker, an_input("in", CONTENT))

    with_worker(test)


def test_cancelling_a_stage_in_ends_it_at_once(ground: Ground) -> None:
    """The server wants the job dead while a large input is on its way: nothing is left under its name."""

    async def test(worker: TransferWorker) -> None:
        path = ground.at("A", "huge")
        path.parent.mkdir(parents=True)
        with path.open("wb") as file:
            file.truncate(
                1 << 40
            )  # sparse: it has no blocks, and its copy is stopped long before the disk is full
        # Of a size that nobody told, or it would not even be begun.
        work = asyncio.create_task(ground.stage_in(worker, an_input("huge")))
        await until(lambda: any(part.stat().st_size for part in ground.directory.glob(".*.part")))
        pid = worker.pid
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        assert not (ground.directory / "huge").exists()
        assert pid is not None and not Path(f"/proc/{pid}").exists()
        ground.replica("A", "small", CONTENT)
        assert (await ground.stage_in(worker, an_input("small", CONTENT))).faults == ()
        assert names(ground.directory) == ["small"]

    with_worker(test)


def test_md5_where_the_catalogue_gives_it(ground: Ground) -> None:
    """The other kind of checksum, with its own number when it does not fit."""

    async def test(worker: TransferWorker) -> None:
        ground.replica("A", "in", CONTENT)
        wrong = Checksum(ChecksumKind.MD5, "0" * 32)
        result = await ground.stage_in(worker, an_input("in", None, endpoint="A", checksum=wrong))
        assert [fault.code for fault in result.faults] == [1099]  # A differs, B has no such file
        ground.replica("B", "in", CONTENT)
        result = await ground.stage_in(worker, an_input("in", None, checksum=wrong))
        assert [fault.code for fault in result.faults] == [1145]

    with_worker(test)
