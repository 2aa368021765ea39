"""Registering outputs apart from storing them, with a real worker and a catalogue that writes a book."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path

import msgspec
import pytest
from staging_kit import Ground, an_output
from worker_kit import run, worker

from picard_pilot.data.walk import Pace
from picard_pilot.data.worker import TransferWorker
from picard_pilot.model.events import OutputRegistering, OutputStored
from picard_pilot.model.site import PathRule
from picard_pilot.testing.clock import VirtualClock
from picard_pilot.testing.mover_kit import CONTENT

NOTARY = "notary:Notary"


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    """Storage A in one flat folder, a queue whose movers are a catalogue and the local one, an output."""
    ground = Ground(tmp_path, movers={"default": (NOTARY, "local")}, register_outputs=True)
    flat = {
        name: msgspec.structs.replace(endpoint, paths=PathRule.FLAT)
        for name, endpoint in ground.site.endpoints.items()
    }
    ground.site = msgspec.structs.replace(ground.site, endpoints=flat)
    (ground.directory / "out").write_bytes(CONTENT)
    (tmp_path / "A").mkdir()
    return ground


class Watched(VirtualClock):
    """Tells when somebody sleeps."""

    def __init__(self) -> None:
        super().__init__()
        self.slept = asyncio.Event()

    async def sleep(self, seconds: float, /) -> None:
        """Sleep, and say so."""
        self.slept.set()
        await super().sleep(seconds)


def with_worker(ground: Ground, test: Callable[[TransferWorker], Coroutine[object, object, None]]) -> None:
    async def go() -> None:
        async with worker(ground.folder) as started:
            await test(started)

    run(go())


def test_the_catalogue_is_told_once_and_after_the_journal(ground: Ground) -> None:
    """Storing alone writes nothing into the book; the journal hears first."""
    book = ground.folder / "A" / "book"

    async def test(started: TransferWorker) -> None:
        result = await ground.stage_out(started, an_output("out", guid="G"))
        assert result.faults == ()

    with_worker(ground, test)
    assert [type(event) for event in ground.events] == [OutputRegistering, OutputStored]
    assert book.read_text() == f"out {len(CONTENT)} G\n"


def test_a_catalogue_that_opens_later(ground: Ground) -> None:
    """The file is safe meanwhile; it is asked again after half a minute, and not stored again."""
    closed = ground.folder / "A" / "closed"
    closed.touch()
    clock = Watched()

    async def test(started: TransferWorker) -> None:
        work = asyncio.create_task(
            ground.stage_out(started, an_output("out", guid="G"), pace=Pace(clock=clock))
        )
        await clock.slept.wait()
        assert (ground.folder / "A" / "out").read_bytes() == CONTENT
        closed.unlink()
        await clock.advance(30)
        assert (await work).faults == ()

    with_worker(ground, test)
    assert (ground.folder / "A" / "book").read_text().count("\n") == 1


def test_a_catalogue_that_does_not_load_is_named(ground: Ground) -> None:
    """No output is called stored of which the catalogue does not know."""
    queue = msgspec.structs.replace(ground.site.queue, movers={"default": ("notary:Absent", "local")})
    ground.site = msgspec.structs.replace(ground.site, queue=queue)

    async def test(started: TransferWorker) -> None:
        result = await ground.stage_out(started, an_output("out"))
        assert "no Absent" in str(result.faults[0].evidence)
        assert ground.stored == []

    with_worker(ground, test)


def test_a_queue_that_leaves_it_to_the_server_tells_nobody(ground: Ground) -> None:
    """The catalogue among the movers is for reading then; the output is stored all the same."""
    queue = msgspec.structs.replace(ground.site.queue, register_outputs=False)
    ground.site = msgspec.structs.replace(ground.site, queue=queue)

    async def test(started: TransferWorker) -> None:
        assert (await ground.stage_out(started, an_output("out", guid="G"))).faults == ()

    with_worker(ground, test)
    assert [type(event) for event in ground.events] == [OutputStored]
    assert not (ground.folder / "A" / "book").exists()
