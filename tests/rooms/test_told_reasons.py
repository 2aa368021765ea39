"""What is told of a try: why a file was copied or read directly, only where that helps; promises, while they hold."""

import asyncio
import random
from pathlib import Path

import pytest
from staging_kit import Ground, an_input, with_worker

from picard_pilot.data.bringing import Bringer
from picard_pilot.data.policy import RetryLimits
from picard_pilot.data.room import Room
from picard_pilot.data.walk import Pace
from picard_pilot.data.worker import TransferWorker
from picard_pilot.model.files import Checksum, ChecksumKind, FileRole, FileSpec
from picard_pilot.model.job import InputAccess, Job
from picard_pilot.model.policy import InputPolicy
from picard_pilot.model.site import Endpoint, Queue, Site
from picard_pilot.model.transfer import (
    FailureClass,
    FetchRequest,
    How,
    Opened,
    OpenRequest,
    Side,
    Source,
    SourceKind,
    TransferFailure,
    Transferred,
)

CONTENT = b"an input\n"

SOURCE = Source(
    surl="root://door//f", endpoint=Endpoint(name="A"), kind=SourceKind.SITE, reason="endpoint 1 of queue Q"
)
FILE = FileSpec(lfn="f", role=FileRole.INPUT, size_bytes=10)

DONE = Transferred(
    surl=SOURCE.surl,
    size_bytes=10,
    checksum=Checksum(ChecksumKind.ADLER32, "00000001"),
    seconds=0.5,
    how=How.COPY,
    mover="local",
)
AWAY = TransferFailure(kind=FailureClass.CONTACT, says="nobody listens")
FULL = TransferFailure(kind=FailureClass.SPACE, says="no room", side=Side.NODE)

OFF = "copied: direct_access_lan is off in queue Q"


class ToldWorker:
    """Answers as it was told."""

    def __init__(self, outcome: Transferred | TransferFailure) -> None:
        self.outcome = outcome

    async def transfer(self, request: FetchRequest) -> Transferred | TransferFailure:
        """The answer for every copy."""
        return self.outcome

    async def open_check(self, request: OpenRequest) -> Opened | TransferFailure:
        """Nothing can be opened."""
        return TransferFailure(kind=FailureClass.SPECIFICATION, says="the door cannot be read from")


def reason(
    outcome: Transferred | TransferFailure, *, lan: bool, wish: InputAccess | None = None, lfn: str = "f"
) -> str:
    """What is told of the place of a try with this end, beside the place itself."""
    queue = Queue(name="Q", panda_resource="Q", direct_access_lan=lan, direct_access_threshold_bytes=100)
    file = FileSpec(lfn=lfn, role=FileRole.INPUT, size_bytes=10)
    bringer = Bringer(
        job=Job(job_id=1, attempt_nr=1, input_access=wish),
        site=Site(queue=queue),
        directory=Path("/nowhere"),
        worker=ToldWorker(outcome),  # type: ignore[arg-type]
        room=Room(None, None),
        policy=InputPolicy(),
    )
    found = asyncio.run(bringer.bring(file, SOURCE))
    return bringer.explained(file, SOURCE, found).reason.removeprefix(SOURCE.reason).removeprefix("; ")


@pytest.mark.parametrize("lfn", ["f", "f.tar"])
def test_a_queue_without_direct_access_copies_without_a_word(lfn: str) -> None:
    """Nobody expected anything else; a job that asks for direct access does."""
    assert reason(DONE, lan=False, lfn=lfn) == ""
    assert reason(DONE, lan=False, wish=InputAccess.COPY, lfn=lfn) == ""
    assert reason(DONE, lan=False, wish=InputAccess.DIRECT, lfn=lfn).startswith("copied: ")


def test_a_failure_says_only_what_has_to_do_with_it() -> None:
    """That the file was to be copied explains a full disk, and no storage that is away."""
    assert reason(AWAY, lan=False) == reason(AWAY, lan=True) == ""
    assert reason(AWAY, lan=False, wish=InputAccess.DIRECT) == ""
    assert reason(FULL, lan=False) == OFF
    assert "not more than the queue's 100" in reason(DONE, lan=True)


def test_a_copy_in_place_of_direct_access_is_told_however_it_ends() -> None:
    """The job wanted something else."""
    for outcome in (DONE, AWAY):
        says = reason(outcome, lan=True, wish=InputAccess.DIRECT)
        assert says == "copied: it could not be opened where it is (specification)"


def test_a_verdict_holds_no_promise(tmp_path: Path) -> None:
    """The log says when the next try was to come; where all have failed, nobody is told of a next one."""

    async def test(worker: TransferWorker) -> None:
        ground = Ground(tmp_path)
        ground.replica("A", "in", CONTENT[:-1] + b"!")
        pace = Pace(limits=RetryLimits(), dice=random.Random(1))
        result = await ground.stage_in(worker, an_input("in", CONTENT), pace=pace)
        told = [item.text for item in result.faults[0].evidence]
        assert [text[0] for text in told] == ["A", "A", "B"]
        assert "once more at once" not in str(told) and "once more at once" in str(result.decisions)
        assert "given up after failing 2 times" in told[1]

    with_worker(test)
