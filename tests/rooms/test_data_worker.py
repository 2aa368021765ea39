"""The transfer worker: one process that can be killed as a whole, and a client that nothing can hang."""

import asyncio
import os
from pathlib import Path

import msgspec
import pytest
from worker_kit import bad, good, request, run, worker

from picard_pilot.model.files import ChecksumKind
from picard_pilot.model.transfer import (
    FailureClass,
    FetchRequest,
    FileFacts,
    How,
    Removed,
    RemoveRequest,
    Side,
    StatRequest,
    StoreRequest,
)
from picard_pilot.system.shim.tree import children
from picard_pilot.testing.mover_kit import CONTENT, adler32, gone, names, until


def test_nothing_is_started_before_it_is_needed(tmp_path: Path) -> None:
    """No process before the first transfer, one for all of them, none afterwards, and no zombie."""

    async def work() -> None:
        async with worker(tmp_path) as client:
            assert client.pid is None
            good(await client.transfer(request(tmp_path)))
            first = client.pid
            good(await client.transfer(request(tmp_path, "second")))
            assert first is not None and client.pid == first
        assert client.pid is None
        assert gone(first)

    run(work())


def test_warming_up_starts_it_before_it_is_needed(tmp_path: Path) -> None:
    """The first request finds the process that was started for it; asking twice starts one."""

    async def work() -> None:
        async with worker(tmp_path) as client:
            client.warm_up()
            client.warm_up()
            await until(lambda: client.pid is not None)
            pid = client.pid
            client.warm_up()
            good(await client.transfer(request(tmp_path)))
            assert client.pid == pid

    run(work())


def test_closing_while_it_is_being_started_leaves_nothing(tmp_path: Path) -> None:
    """No process outlives the client, even one that nobody had waited for yet."""

    async def work() -> None:
        async with worker(tmp_path) as client:
            client.warm_up()
        assert client.pid is None

    others = children(os.getpid())
    run(work())
    assert set(children(os.getpid())) <= set(others)


def test_many_files_at_once(tmp_path: Path) -> None:
    """A hundred transfers asked together all succeed, each with its own answer."""

    async def work() -> None:
        async with worker(tmp_path) as client:
            asked = [request(tmp_path, f"in{number}") for number in range(100)]
            results = await asyncio.gather(*(client.transfer(one) for one in asked))
            assert [good(result).surl for result in results] == [one.surl for one in asked]
        assert len(names(tmp_path / "node")) == 100

    run(work())


def test_more_files_are_read_at_once_than_stored(tmp_path: Path) -> None:
    """Twenty of each: eight fetches and four uploads are under way, and no more; then all of them succeed.

    Storages that check uploads have few slots for it: beyond them everybody waits in steps of seconds.
    """

    async def work() -> None:
        reads = [request(tmp_path, f"in{number}", mover="Crowded") for number in range(20)]
        node = tmp_path / "node"
        stores = []
        for number in range(20):
            (node / f"out{number}").write_bytes(CONTENT)
            stores.append(
                StoreRequest(
                    lfn=f"out{number}",
                    source=str(node / f"out{number}"),
                    surl=f"file://{tmp_path}/storage/out{number}",
                    movers=("naughty_movers:Crowded",),
                )
            )

        def under_way() -> tuple[int, int]:
            return len(list(node.glob(".*.fetching"))), len(list(node.glob(".*.storing")))

        async with worker(tmp_path) as client:
            tasks = [asyncio.create_task(client.transfer(one)) for one in (*stores, *reads)]
            await until(lambda: under_way() == (8, 4))
            (node / "go").touch()
            for result in await asyncio.gather(*tasks):
                good(result)
            assert under_way() == (0, 0)
        for kind, most in (("fetching", 8), ("storing", 4)):
            crowds = {int(path.name.rpartition(".")[2]) for path in node.glob(f"crowd.{kind}.*")}
            assert max(crowds) == most

    run(work())


def test_stat_and_remove_by_the_worker(tmp_path: Path) -> None:
    """The other two requests travel as well, and their failures."""

    async def work() -> None:
        surl = request(tmp_path).surl
        async with worker(tmp_path) as client:
            facts = await client.stat(StatRequest(surl=surl, measure=ChecksumKind.ADLER32))
            assert facts == FileFacts(exists=True, size_bytes=len(CONTENT), checksum=adler32(CONTENT))
            assert await client.remove(RemoveRequest(surl=surl)) == Removed(was_there=True)
            assert await client.stat(StatRequest(surl=surl)) == FileFacts(exists=False)
            failure = bad(await client.stat(StatRequest(surl="file://elsewhere.example/x")))
            assert failure.kind is FailureClass.SPECIFICATION

    run(work())


@pytest.mark.parametrize(
    ("mover", "word"), [("Raising", "ZeroDivisionError: a bug in a mover"), ("Leaving", "SystemExit: 3")]
)
def test_a_mover_that_misbehaves_is_blamed_by_name(tmp_path: Path, mover: str, word: str) -> None:
    """Its exception is a failure of this transfer alone, with file and line; the worker lives on."""

    async def work() -> None:
        async with worker(tmp_path) as client:
            failure = bad(await client.transfer(request(tmp_path, mover=mover)))
            assert failure.kind is FailureClass.TRANSFER
            assert failure.side is Side.NODE
            assert word in failure.says
            assert "naughty_movers.py, line" in failure.says
            assert failure.surl
            first = client.pid
            good(await client.transfer(request(tmp_path)))
            assert client.pid == first
        assert word.split(":")[0] in (tmp_path / "worker.log").read_text()

    run(work())


@pytest.mark.parametrize(
    ("mover", "word"),
    [("Wordless", "it is NoneType, not Transferred"), ("Counting", "size_bytes"), ("Mumbling", "surrogates")],
)
def test_an_answer_that_is_none_costs_this_transfer_alone(tmp_path: Path, mover: str, word: str) -> None:
    """The mover is named, and the worker lives on with what else it does."""

    async def work() -> None:
        async with worker(tmp_path) as client:
            failure = bad(await client.transfer(request(tmp_path, mover=mover)))
            assert (failure.kind, failure.side) == (FailureClass.TRANSFER, Side.NODE)
            assert "cannot be used" in failure.says and word in failure.says
            first = client.pid
            good(await client.transfer(request(tmp_path)))
            assert client.pid == first

    run(work())


@pytest.mark.parametrize("scope", ["failure", "bug"])
def test_a_signature_is_in_no_sentence(tmp_path: Path, scope: str) -> None:
    """Programs and libraries quote the address that they were given; its signature stays between pilot and storage."""

    async def work() -> None:
        async with worker(tmp_path) as client:
            asked = request(tmp_path, mover="Quoting", scope=scope)
            signed = msgspec.structs.replace(
                asked, surl=f"{asked.surl}?X-Amz-Signature=0a1b2c3d&X-Amz-Expires=60"
            )
            failure = bad(await client.transfer(signed))
            assert "/in?..." in failure.says
            assert "0a1b2c3d" not in msgspec.json.encode(failure).decode()
            assert "0a1b2c3d" not in (tmp_path / "worker.log").read_text()

    run(work())


def test_noise_on_both_streams_is_no_answer(tmp_path: Path) -> None:
    """What movers print goes to a file; the answers travel elsewhere."""

    async def work() -> None:
        async with worker(tmp_path) as client:
            assert good(await client.transfer(request(tmp_path, mover="Noisy"))).how is How.COPY
        assert (tmp_path / "worker.log").stat().st_size > 200_000

    run(work())


@pytest.mark.parametrize(
    ("mover", "fault", "word"),
    [
        ("naughty_movers:FromTomorrow", "MIDDLEWAREIMPORTFAILURE", "version 99"),
        ("naughty_movers:Absent", "MIDDLEWAREIMPORTFAILURE", "no Absent"),
        ("no_such_module:Mover", "MIDDLEWAREIMPORTFAILURE", "no_such_module"),
    ],
)
def test_a_mover_that_cannot_be_used_says_why(tmp_path: Path, mover: str, fault: str, word: str) -> None:
    """A mover asked for by import path must load; the error names the reason and the right number."""

    async def work() -> None:
        async with worker(tmp_path) as client:
            asked = request(tmp_path)
            failure = bad(
                await client.transfer(
                    FetchRequest(lfn="in", surl=asked.surl, target=asked.target, movers=(mover,))
                )
            )
            assert (failure.fault, failure.side) == (fault, Side.NODE)
            assert word in failure.says

    run(work())


def test_a_queues_unknown_movers_are_passed_over(tmp_path: Path) -> None:
    """CRIC names copy tools of other pilots; whoever speaks the protocol does the work."""

    async def work() -> None:
        async with worker(tmp_path) as client:
            asked = request(tmp_path)
            done = await client.transfer(
                FetchRequest(lfn="in", surl=asked.surl, target=asked.target, movers=("copytool9",))
            )
            assert good(done).mover == "local"
            unspoken = FetchRequest(lfn="in", surl="gopher://x/y", target=asked.target)
            assert bad(await client.transfer(unspoken)).fault == "NOSTORAGEPROTOCOL"

    run(work())


def test_a_crash_is_tried_once_more(tmp_path: Path) -> None:
    """A transfer that takes the worker with it once gets a second chance, and a bystander loses nothing."""

    async def work() -> None:
        async with worker(tmp_path) as client:
            slow = asyncio.create_task(client.transfer(request(tmp_path, "slow", "Slow")))
            await until(lambda: client.pid is not None)
            first = client.pid
            good(await client.transfer(request(tmp_path, "crash", "Crashing", scope="once")))
            assert (tmp_path / "node" / "crash.crashed").exists()
            assert client.pid not in (None, first)
            (tmp_path / "node" / "slow.release").touch()
            assert good(await slow).size_bytes == (tmp_path / "node" / "slow").stat().st_size

    run(work())


def test_a_transfer_that_always_crashes_is_given_up(tmp_path: Path) -> None:
    """Twice, and with the worker's exit status as evidence; the next transfer finds a new worker."""

    async def work() -> None:
        async with worker(tmp_path) as client:
            failure = bad(await client.transfer(request(tmp_path, "crash", "Crashing")))
            assert failure.kind is FailureClass.TRANSFER
            assert "died 2 times" in failure.says
            assert "exited with status 11" in failure.says
            good(await client.transfer(request(tmp_path)))

    run(work())


def test_a_slow_stream_lives_as_long_as_bytes_pass(tmp_path: Path) -> None:
    """The watch looks for silence, not for slowness; the limit by size ends it all the same."""

    async def work() -> None:
        async with worker(
            tmp_path, stall_s=1.5, base_s=3.0, slowest_bytes_per_s=1e9, unknown_size_s=3.0
        ) as client:
            seen: list[int] = []
            failure = bad(await client.transfer(request(tmp_path, "slow", "Slow"), seen.append))
            assert failure.kind is FailureClass.TIMEOUT
            assert failure.retry_after_s == 0.0
            assert "took longer than its 3 s" in failure.says
            assert len(seen) >= 2
            assert seen == sorted(seen)

    run(work())


def test_bystanders_of_a_hang_are_asked_again(tmp_path: Path) -> None:
    """One transfer hangs and its worker is killed; another one, alive, goes on in the next worker."""

    async def work() -> None:
        async with worker(tmp_path, base_s=2.0, slowest_bytes_per_s=1e9, unknown_size_s=60.0) as client:
            alive = asyncio.create_task(client.transfer(request(tmp_path, "alive", "Slow")))
            hung = request(tmp_path, "hung", "Slow")
            limited = FetchRequest(
                lfn="hung", surl=hung.surl, target=hung.target, movers=hung.movers, size_bytes=len(CONTENT)
            )
            assert bad(await client.transfer(limited)).kind is FailureClass.TIMEOUT
            (tmp_path / "node" / "alive.release").touch()
            good(await alive)

    run(work())


def test_cancelling_one_transfer_leaves_the_others(tmp_path: Path) -> None:
    """A job is killed while another one's input is on its way."""

    async def work() -> None:
        async with worker(tmp_path) as client:
            unwanted = asyncio.create_task(client.transfer(request(tmp_path, "unwanted", "Slow")))
            wanted = asyncio.create_task(client.transfer(request(tmp_path, "wanted", "Slow")))
            await until(lambda: client.pid is not None)
            first = client.pid or 0
            unwanted.cancel()
            with pytest.raises(asyncio.CancelledError):
                await unwanted
            assert gone(first)
            (tmp_path / "node" / "unwanted.release").touch()
            (tmp_path / "node" / "wanted.release").touch()
            good(await wanted)
        assert not (tmp_path / "node" / "unwanted").exists()

    run(work())


def test_closing_ends_what_is_under_way(tmp_path: Path) -> None:
    """A pilot that leaves does not wait for a storage that never answers."""

    async def work() -> None:
        client = worker(tmp_path)
        slow = asyncio.create_task(client.transfer(request(tmp_path, "slow", "Slow")))
        await until(lambda: client.pid is not None)
        pid = client.pid or 0
        await client.close()
        assert gone(pid)
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow

    run(work())
