"""Outputs at a queue that names a catalogue: only the copy that counts is ever registered."""

import msgspec
import pytest
from moody_worker import failure, run, two
from staging_kit import Ground, ground

from picard_pilot.data.walk import Pace
from picard_pilot.model.events import OutputDiverted, OutputPlaceCleared, OutputRegistering, OutputStored
from picard_pilot.model.files import FilePlace
from picard_pilot.model.transfer import (
    FailureClass,
    Remedy,
)
from picard_pilot.testing.clock import VirtualClock

__all__ = ["ground", "two"]  # the fixtures


@pytest.fixture
def catalogued(two: Ground) -> Ground:
    """The same two storages, at a queue that names a catalogue."""
    queue = msgspec.structs.replace(two.site.queue, movers={"default": ("local",)}, register_outputs=True)
    two.site = msgspec.structs.replace(two.site, queue=queue)
    return two


def test_only_the_copy_that_counts_is_registered(catalogued: Ground) -> None:
    """The first took it late, the alternative counts: the catalogue hears of one, after the journal."""
    result, moody = run(catalogued, {"A": [failure(FailureClass.TIMEOUT)]}, late="A", catalogue=[])
    assert result.faults == ()
    b = FilePlace(f"file://{catalogued.at('B', 'out')}", "B")
    assert moody.registered == [b.surl]
    kinds = [type(event) for event in catalogued.events]
    assert kinds == [OutputDiverted, OutputRegistering, OutputStored, OutputPlaceCleared]
    assert catalogued.events[1] == OutputRegistering(lfn="out", at=b)
    assert not catalogued.at("A", "out").exists()


def test_a_catalogue_that_does_not_answer_sends_nothing_elsewhere(catalogued: Ground) -> None:
    """It may have heard: the file stays where it is, is asked for again, and waits for the catalogue if need be."""
    silent = failure(FailureClass.TIMEOUT)
    pace = Pace(clock=Hurried())
    result, moody = run(catalogued, {}, catalogue=[silent] * 9, pace=pace)
    assert (moody.asked, moody.registered) == (["A"], [])
    assert (len(result.faults), result.can_wait) == (1, True)
    assert len(moody.catalogue or []) == 9 - 3
    result, moody = run(catalogued, {}, catalogue=[silent], pace=pace)
    assert (result.faults, len(moody.registered)) == ((), 1)


def test_a_file_that_the_catalogue_may_know_stays_there(catalogued: Ground) -> None:
    """A later pilot finds its storage down: it does not go to the alternative, where it would count twice."""
    settled = {"out": FilePlace(f"file://{catalogued.at('A', 'out')}", "A")}
    down = [failure(FailureClass.CONTACT)] * 5
    result, moody = run(catalogued, {"A": down}, catalogue=[], settled=settled)
    assert set(moody.asked) == {"A"}
    assert result.can_wait
    settled = {"out": FilePlace("file:///gone/out", "GONE")}
    result, moody = run(catalogued, {}, catalogue=[], settled=settled)
    assert ([fault.code for fault in result.faults], moody.asked) == ([1133], [])


def test_another_file_in_the_catalogue_is_not_worth_waiting_for(catalogued: Ground) -> None:
    """It stays another file."""
    other = failure(FailureClass.REGISTER, remedy=Remedy.STOP)
    result, moody = run(catalogued, {}, catalogue=[other] * 5)
    assert (len(result.faults), result.can_wait) == (1, False)
    assert len(moody.catalogue or []) == 4


class Hurried(VirtualClock):
    """Nobody waits."""

    async def sleep(self, seconds: float, /) -> None:
        """Go on."""
