"""No result is ever lost: final reports survive a server that is down, slow or lying, and a pilot that leaves."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from panda_kit import Script, Scripted

from picard_pilot.model.files import Checksum, ChecksumKind, StoredFile
from picard_pilot.model.orders import Orders, ServerTrouble
from picard_pilot.model.report import JobStatus, Update
from picard_pilot.model.states import Phase
from picard_pilot.panda import outbox
from picard_pilot.panda.client import PandaClient
from picard_pilot.panda.outbox import Accepted, Outbox, Postponed, ReportDamaged
from picard_pilot.testing.faulty_server import (
    ERROR_500,
    HTML_PAGE,
    Reaction,
    Reset,
    Say,
    Seen,
    Truncate,
)

REPORT = Update(
    job_id=7,
    attempt_nr=1,
    status=JobStatus.FINISHED,
    phase=Phase.FINISHED,
    pilot_error_code=0,
    metadata='{"files": {}}',
    metrics={"nEvents": "5"},
    outputs=(
        StoredFile(
            lfn="out.root",
            guid="1EE0",
            size_bytes=29,
            checksum=Checksum(ChecksumKind.ADLER32, "731a06d5"),
            surl="file:///se/out.root",
            endpoint="LOCAL",
        ),
    ),
)


class HastyClock:
    """Time that passes only when somebody sleeps, and then at once; runs what was planned for that time."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.plan: list[tuple[float, Callable[[], None]]] = []

    def monotonic(self) -> float:
        return self.now

    def now_utc(self) -> float:
        return self.now

    async def sleep(self, seconds: float, /) -> None:
        self.now += seconds
        while self.plan and self.plan[0][0] <= self.now:
            self.plan.pop(0)[1]()
        await asyncio.sleep(0)


def _stored(command: str = "NULL", code: int = 0) -> Say:
    data = {"StatusCode": code, "command": command}
    return Say(body=json.dumps({"success": True, "message": "", "data": data}).encode())


Deliver = Callable[..., Accepted | Postponed]


class Desk(Scripted):
    """A server, an outbox before it, and a clock that both the outbox and the test hold."""

    def __init__(self, script: Script, folder: Path) -> None:
        super().__init__(script)
        self.clock = HastyClock()
        self.path = folder / "report.json"
        self.client = PandaClient(self.http, self.server.url)
        self.outbox = Outbox(self.client, self.clock, Random(1))

    def deliver(self, **options: Any) -> Accepted | Postponed:
        return asyncio.run(self.outbox.deliver(REPORT, self.path, **options))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    made: list[Desk] = []

    def make(script: Callable[[Seen], Reaction] | list[Reaction]) -> Desk:
        made.append(Desk(script, tmp_path))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize(
    ("command", "word"), [("NULL", "0"), ("alreadydone", "alreadydone"), ("tobekilled", "tobekilled")]
)
def test_three_answers_settle_a_report(desk: Callable[..., Desk], command: str, word: str) -> None:
    """Stored, known already, or no longer wanted."""
    one = desk([_stored(command)])
    assert one.deliver() == Accepted(answer=word, attempts=1)
    assert one.clock.now == 1000.0


def test_the_report_is_on_disk_before_it_is_told(desk: Callable[..., Desk], tmp_path: Path) -> None:
    """The server itself looks: at the moment it is told, the file is there and complete."""
    found: list[Update] = []

    def script(_: Seen) -> Reaction:
        found.append(outbox.load(tmp_path / "report.json"))
        return _stored()

    desk(script).deliver()
    assert found == [REPORT]
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_a_server_that_comes_back_after_ten_minutes_gets_the_report(desk: Callable[..., Desk]) -> None:
    """Meanwhile the pauses grow, so that a dead server is not stormed."""
    one = desk([_stored()])
    one.server.down()
    one.clock.plan = [(1600.0, one.server.up)]
    answer = one.deliver()
    assert isinstance(answer, Accepted)
    assert answer.answer == "0"
    assert 1600 <= one.clock.now <= 1600 + outbox.REPORT_PAUSES.longest_s
    assert answer.attempts < 25
    report = json.loads(one.bodies()[-1]["job_output_report"])
    assert report["out.root"]["adler32"] == "731a06d5"


def test_every_kind_of_trouble_is_outlived(desk: Callable[..., Desk]) -> None:
    """One after another, then a good answer; each attempt is complete."""
    night: list[Reaction] = [
        HTML_PAGE,
        ERROR_500,
        Reset(),
        Truncate(body=b'{"succ', announced_bytes=99),
        Say(body=b'{"success": true, "message": "", "data": "what?"}'),
        Say(status=403, body=b"certificate expired"),
        _stored(code=30),
        _stored(code=10),
        _stored(),
    ]
    one = desk(night)
    answer = one.deliver()
    # A reset of a connection that was kept alive says nothing about the server, and is made good at once.
    assert answer == Accepted(answer="0", attempts=len(night) - 1)
    bodies = one.bodies()
    assert len(bodies) == len(night)
    assert all(body == bodies[0] for body in bodies)


def test_a_deadline_postpones_the_report_and_leaves_it_on_disk(desk: Callable[..., Desk]) -> None:
    """The next pilot finds it and needs nothing else."""
    one = desk([_stored()])
    one.server.down()
    answer = one.deliver(deadline=1010.0)
    assert isinstance(answer, Postponed)
    assert answer.disk_trouble is None
    assert "refused" in answer.reason
    assert answer.attempts >= 3, "ten seconds are enough for several attempts"
    assert one.clock.now == pytest.approx(1010.0)
    one.server.up()
    left = outbox.load(one.path)
    assert left == REPORT
    assert isinstance(one.deliver(), Accepted)


def test_no_time_at_all_still_leaves_it_on_disk(desk: Callable[..., Desk]) -> None:
    """Nothing is told after the deadline."""
    one = desk([_stored()])
    answer = one.deliver(deadline=999.0)
    assert isinstance(answer, Postponed)
    assert answer.attempts == 0
    assert not one.server.seen
    assert outbox.load(one.path) == REPORT


def test_cancelling_leaves_the_report_on_disk(desk: Callable[..., Desk]) -> None:
    """The pilot may drop everything at any time."""
    one = desk([ERROR_500])

    async def run() -> None:
        task = asyncio.create_task(one.outbox.deliver(REPORT, one.path))
        async with asyncio.timeout(10):
            while not one.server.seen:  # noqa: ASYNC110 - the server is a thread, not a task
                await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert outbox.load(one.path) == REPORT


def test_a_report_that_a_server_will_not_store_goes_without_its_extras(desk: Callable[..., Desk]) -> None:
    """Metadata that the database chokes on must not cost the job; it is dropped last, and only then."""

    def script(seen: Seen) -> Reaction:
        return _stored(code=30 if "meta_data" in json.loads(seen.body) else 0)

    one = desk(script)
    answer = one.deliver()
    assert isinstance(answer, Accepted)
    assert answer.attempts == outbox.LEAN_AFTER + 1
    assert one.clock.now - 1000 > 120, "a database has minutes to recover first"
    last = one.bodies()[-1]
    assert "job_output_report" in last
    assert last["attempt_nr"] == 1
    assert outbox.load(one.path) == REPORT


def test_a_disk_that_takes_nothing_does_not_keep_the_report_back(
    desk: Callable[..., Desk], tmp_path: Path
) -> None:
    """Telling it is then the only chance, and the answer says that it is not on disk."""
    one = desk([_stored()])
    one.path = tmp_path / "no-such-directory" / "report.json"
    assert isinstance(one.deliver(), Accepted)
    postponed = one.deliver(deadline=0.0)
    assert isinstance(postponed, Postponed)
    assert "No such file" in (postponed.disk_trouble or "")


def test_two_reports_are_delivered_side_by_side(tmp_path: Path) -> None:
    """A stuck one does not hold up the other; each has its file."""

    class Half:
        async def tell(self, update: Update, *, deadline_s: float | None = None) -> Orders | ServerTrouble:
            if update.job_id == 7:
                return ServerTrouble(
                    kind="not stored", evidence="no", where="test", may_pass=True, may_have_arrived=True
                )
            return Orders()

    async def run() -> tuple[object, object]:
        box = Outbox(Half(), HastyClock(), Random(1))
        other = Update(job_id=8, attempt_nr=1, status=JobStatus.FAILED, phase=Phase.FAILED)
        return await asyncio.gather(
            box.deliver(REPORT, tmp_path / "7.json", deadline=1100.0), box.deliver(other, tmp_path / "8.json")
        )

    first, second = asyncio.run(run())
    assert isinstance(first, Postponed)
    assert isinstance(second, Accepted)


@pytest.mark.parametrize("content", [b"", b"{", b'{"v":1}', b'{"v":99,"report":null}'])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    """The journal can make the report anew; the file just must not pass for one."""
    path = tmp_path / "report.json"
    path.write_bytes(content)
    with pytest.raises(ReportDamaged, match=str(path)):
        outbox.load(path)
