"""Where outputs go when the first destination does not take them, and that never two copies of one count."""

import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
from moody_worker import Moody, a_job, failure, run, two
from staging_kit import SCOPE, Ground, an_output, ground, with_worker

from picard_pilot.data.outputs import output_guid
from picard_pilot.data.passing import can_pass
from picard_pilot.data.policy import STAGEOUT
from picard_pilot.data.strays import strays_of
from picard_pilot.data.walk import Pace
from picard_pilot.data.worker import TransferWorker
from picard_pilot.model.events import OutputDiverted, OutputPlaceCleared, OutputStored
from picard_pilot.model.files import FilePlace, StoredFile
from picard_pilot.model.job import Job
from picard_pilot.model.policy import AltStageOut
from picard_pilot.model.transfer import (
    FailureClass,
    Remedy,
    Side,
)
from picard_pilot.testing.clock import VirtualClock
from picard_pilot.testing.mover_kit import CONTENT, adler32

__all__ = ["ground", "two"]  # the fixtures


def test_the_alternative_takes_what_the_first_refuses(two: Ground) -> None:
    """It is tried at once; the journal knows before, the report after, and the first is looked at in the end."""
    result, moody = run(two, {"A": [failure(FailureClass.SPACE)]})
    assert result.faults == ()
    assert moody.asked == ["A", "B"]
    diverted, stored, cleared = two.events
    a, b = (FilePlace(f"file://{two.at(name, 'out')}", name) for name in "AB")
    assert diverted == OutputDiverted(lfn="out", to=b, left=(a,))
    assert isinstance(stored, OutputStored)
    assert (stored.file.endpoint, stored.file.surl, stored.file.alternative) == ("B", b.surl, True)
    assert cleared == OutputPlaceCleared(lfn="out", surl=a.surl, says="holds no copy")
    assert two.at("B", "out").read_bytes() == CONTENT


@pytest.mark.parametrize("mode", [AltStageOut.OFF, AltStageOut.FORCE])
def test_off_and_force(two: Ground, mode: AltStageOut) -> None:
    """Off: nowhere else. Force: nowhere but there, and nothing was diverted."""
    result, moody = run(two, {"A": [failure(FailureClass.SPACE)]}, job=a_job(mode))
    if mode is AltStageOut.OFF:
        assert (moody.asked, [fault.code for fault in result.faults]) == (["A"], [1333])
        assert (result.can_wait, two.events) == (True, [])
    else:
        assert moody.asked == ["B"]
        assert [type(event) for event in two.events] == [OutputStored]
        assert two.stored[0].file.alternative


def test_a_late_success_of_the_first_is_removed(two: Ground) -> None:
    """It took the file and never said so; the copy at the alternative counts, and is the only one."""
    result, _ = run(two, {"A": [failure(FailureClass.TIMEOUT)]}, late="A")
    assert result.faults == ()
    assert two.events[-1] == OutputPlaceCleared(
        lfn="out",
        surl=f"file://{two.at('A', 'out')}",
        says="had taken the file late; that copy was removed",
    )
    assert not two.at("A", "out").exists()
    assert two.at("B", "out").read_bytes() == CONTENT


def test_another_file_at_the_first_place_is_left_alone(two: Ground) -> None:
    """Only what has the same size and checksum is ours to remove."""
    other = bytes(reversed(CONTENT))
    two.replica("A", "out", other)
    result, _ = run(two, {"A": [failure(FailureClass.CONTACT)]})
    assert "another file" in two.events[-1].says  # type: ignore[union-attr]
    assert two.at("A", "out").read_bytes() == other
    assert result.faults == ()


def test_a_first_place_that_cannot_be_looked_at_costs_nothing(two: Ground) -> None:
    """The job is done; the decision says where a copy may be that nobody registered."""
    result, _ = run(two, {"A": [failure(FailureClass.TIMEOUT)]}, late="A", blind="A")
    assert result.faults == ()
    assert "may hold a copy that is not registered" in result.decisions[-1]


def test_after_a_crash_between_storing_and_knowing(two: Ground) -> None:
    """The journal says that it was tried at both: wherever it is stored now, the other copy goes."""
    a, b = (FilePlace(f"file://{two.at(name, 'out')}", name) for name in "AB")
    two.replica("B", "out", CONTENT)
    run(two, {}, touched={"out": (a, b)})
    assert [event.file.endpoint for event in two.stored] == ["A"]
    assert (two.at("A", "out").exists(), two.at("B", "out").exists()) == (True, False)
    assert not [event for event in two.events if isinstance(event, OutputDiverted)]


def test_after_a_crash_between_knowing_and_clearing(two: Ground) -> None:
    """What counts is not stored again, and what does not count is removed still."""
    a, b = (FilePlace(f"file://{two.at(name, 'out')}", name) for name in "AB")
    for name in "AB":
        two.replica(name, "out", CONTENT)
    done = StoredFile(
        lfn="out",
        guid="G",
        size_bytes=len(CONTENT),
        checksum=adler32(CONTENT),
        surl=b.surl,
        endpoint="B",
        alternative=True,
    )
    _, moody = run(two, {}, touched={"out": (a, b)}, done={"out": done})
    assert moody.asked == []
    assert (two.at("A", "out").exists(), two.at("B", "out").exists()) == (False, True)


def test_another_door_of_the_same_endpoint_is_no_other_copy(two: Ground) -> None:
    """What one door shows is the file itself: it is not removed when the other door took it."""
    there = FilePlace(f"root://door//elsewhere/{two.at('A', 'out')}", "A")
    run(two, {}, touched={"out": (there,)})
    assert two.at("A", "out").read_bytes() == CONTENT
    assert [type(event) for event in two.events] == [OutputStored]


@pytest.mark.parametrize(
    ("left", "counts", "strays"),
    [
        ("root://door:1094//data/f", "https://door:8443/data/f", 0),
        ("root://DOOR:1094//data//f", "root://door//data/f", 0),
        ("file:///data/f", "file:///data/f", 0),
        ("root://door//data/f", "root://other//data/f", 1),
        ("root://door//data/f", "root://door//data2/f", 1),
    ],
)
def test_two_names_of_one_storage_are_one_copy(left: str, counts: str, strays: int) -> None:
    """Two endpoints may share a storage: what stands at the same path of the same host is the file itself."""
    stored = StoredFile(lfn="f", guid="G", size_bytes=1, checksum=adler32(CONTENT), surl=counts, endpoint="B")
    assert len(strays_of(stored, (FilePlace(left, "A"),))) == strays


def test_another_file_of_that_name_never_leads_elsewhere(two: Ground) -> None:
    """Two files of one name with different contents are worse than none; a second attempt is told what to do."""
    two.replica("A", "out", b"an earlier attempt's")
    result, moody = run(two, {}, job=a_job(attempt_nr=2))
    assert moody.asked == ["A"]
    assert ([fault.code for fault in result.faults], result.can_wait) == ([1221], False)
    assert "attempt 2" in result.faults[0].next_step
    assert not two.at("B", "out").exists()


def test_pauses_for_a_storage_that_may_come_back(two: Ground) -> None:
    """Both places are tried before any pause; then each again, in turn, after pauses that grow."""

    async def test(worker: TransferWorker) -> None:
        clock = VirtualClock()
        down = [failure(FailureClass.CONTACT, retry_after_s=0.0) for _ in range(20)]
        moody = Moody(worker, {"A": down[:10], "B": down[10:]})
        import asyncio

        pace = Pace(clock=clock, dice=random.Random(1), limits=STAGEOUT)
        work = asyncio.create_task(ground_out(two, moody, pace))
        while not work.done():
            await asyncio.sleep(0)
            if clock.sleepers:
                assert moody.asked[:2] == ["A", "B"]
                await clock.advance(10)
        result = work.result()
        assert result.can_wait
        assert sorted(moody.asked) == ["A"] * 4 + ["B"] * 4
        assert clock.monotonic() < 3600

    with_worker(test)


async def ground_out(ground: Ground, moody: Moody, pace: Pace) -> Any:
    return await ground.stage_out(moody, an_output("out"), job=a_job(), pace=pace)  # type: ignore[arg-type]


WORTH_WAITING = {
    FailureClass.CONTACT,
    FailureClass.TIMEOUT,
    FailureClass.TRANSFER,
    FailureClass.SPACE,
    FailureClass.REGISTER,
}


@pytest.mark.parametrize("kind", FailureClass)
def test_what_is_worth_waiting_for(kind: FailureClass) -> None:
    """What storages recover from by themselves; never what the node's own file is to blame for."""
    assert can_pass([failure(kind)]) is (kind in WORTH_WAITING)
    assert not can_pass([failure(kind, side=Side.NODE, errno=5)])
    assert not can_pass([failure(FailureClass.CONTACT), failure(kind, fault="FILEEXISTS")])


def test_an_expired_credential_and_a_broken_worker_are_worth_waiting_for() -> None:
    """A later pilot has a fresh one; a missing permission is not mended by time."""
    assert can_pass([failure(FailureClass.AUTH, remedy=Remedy.RENEW)])
    assert not can_pass([failure(FailureClass.AUTH, remedy=Remedy.NEXT)])
    assert can_pass([failure(FailureClass.TRANSFER, side=Side.NODE)])
    assert can_pass([failure(FailureClass.CONTACT), failure(FailureClass.AUTH)])
    assert not can_pass([])


def test_a_missing_output_is_not_worth_waiting_for(two: Ground) -> None:
    """Even if another output could be stored later: the job cannot succeed."""
    found: list[Any] = []

    async def test(worker: TransferWorker) -> None:
        moody = Moody(worker, {"A": [failure(FailureClass.SPACE)]})
        files = (an_output("out"), an_output("nothing"))
        job = Job(job_id=1, attempt_nr=1, outputs=files, alt_stage_out=AltStageOut.OFF)
        found.append(await two.stage_out(moody, *files, job=job))  # type: ignore[arg-type]

    with_worker(test)
    assert sorted(fault.code for fault in found[0].faults) == [1165, 1333]
    assert not found[0].can_wait


def test_guids_are_the_same_for_every_pilot() -> None:
    """They follow from job, attempt and name; the payload's and the job's own come first."""
    job, file = a_job(), an_output("out")
    made = output_guid(job, file, {})
    assert made == output_guid(job, file, {})
    others = {
        output_guid(a_job(attempt_nr=2), file, {}),
        output_guid(msgspec.structs.replace(job, job_id=2), file, {}),
        output_guid(job, an_output("out2"), {}),
    }
    assert len(others | {made}) == 4
    assert output_guid(job, an_output("out", guid="G"), {}) == "G"
    assert output_guid(job, an_output("out", guid="G"), {"out": "P"}) == "P"


def test_progress_and_attempts_are_told(two: Ground, tmp_path: Path) -> None:
    """Who sends traces hears each try with its file."""
    from picard_pilot.data.stageout import Listeners, stage_out

    heard: list[tuple[str, str]] = []

    async def nothing(event: object) -> None:
        """The journal is not looked at here."""

    async def test(worker: TransferWorker) -> None:
        moody = Moody(worker, {"A": [failure(FailureClass.SPACE)]})
        await stage_out(
            job=a_job(),
            files=(an_output("out"),),
            site=two.site,
            directory=two.directory,
            done={},
            worker=moody,  # type: ignore[arg-type]
            listeners=Listeners(
                on_event=nothing,
                on_attempt=lambda file, attempt: heard.append((file.lfn, attempt.entry.endpoint.name)),
                on_progress=lambda file, passed_bytes: None,
            ),
        )

    with_worker(test)
    assert heard == [("out", "A"), ("out", "B")]
    assert SCOPE in str(two.at("A", "out")).replace("/", ".")


def test_what_an_earlier_pilot_stored_and_could_not_say(two: Ground) -> None:
    """It died before its journal knew; now that storage refuses, and its copy does not count."""
    two.replica("A", "out", CONTENT)
    result, _ = run(two, {"A": [failure(FailureClass.CONTACT)]})
    assert result.faults == ()
    assert (two.at("A", "out").exists(), two.at("B", "out").exists()) == (False, True)


@pytest.mark.parametrize(
    ("kind", "code", "certain"),
    [
        (FailureClass.AUTH, "http 403", True),
        (FailureClass.CONTACT, "http refused", True),
        (FailureClass.CONTACT, "xrootd 108", False),
        (FailureClass.CONTACT, "http 504", False),
        (FailureClass.SPACE, "http 507", True),
        (FailureClass.SPACE, "http reset", False),
        (FailureClass.TIMEOUT, None, False),
    ],
)
def test_whether_a_file_is_surely_nowhere(
    two: Ground, kind: FailureClass, code: str | None, certain: bool
) -> None:
    """A connection that broke may have broken when all was done: what is sent again must be the same bytes then."""
    no = failure(kind, code=code, remedy=Remedy.NEXT)
    result, _ = run(two, {"A": [no], "B": [no]})
    assert result.faults != ()
    assert result.certain is certain
