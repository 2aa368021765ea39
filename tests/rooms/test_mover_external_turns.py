"""Questions to an external program share its runs: few at once, all that wait go together, and all stay alive."""

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from worker_kit import good, run

from picard_pilot.data.worker import TransferWorker
from picard_pilot.model.transfer import FetchRequest, StorageAccess, StoreRequest, TransferContext
from picard_pilot.movers import external_turns
from picard_pilot.movers.call import Call, Verb
from picard_pilot.movers.external_answers import Asked, Done, Question
from picard_pilot.movers.external_turns import RUNS_AT_ONCE, Turns
from picard_pilot.movers.program import Life
from picard_pilot.testing.mover_kit import DEADLINE_S, ignore

EXAMPLE = Path(__file__).parents[2] / "examples" / "external-mover" / "folder-mover"


def question(number: int, token: str = "", heard: threading.Event | None = None) -> Asked:
    """A question for one file; `heard` is set by a sign of life."""
    context = TransferContext(access=StorageAccess(token=token or None))
    request = FetchRequest(lfn=f"f{number}", surl=f"site://f{number}", target="/none", context=context)
    call = Call(verb=Verb.FETCH, request=request, lfn=request.lfn, surl=request.surl)
    progress = ignore if heard is None else lambda count: heard.set()
    return Asked(call, Question(api=1, number=number, verb="fetch"), Life(progress), progress)


class Runs:
    """Runs that wait for a sign, and remember what they were asked."""

    def __init__(self) -> None:
        self.sizes: list[list[int]] = []
        self.go = threading.Event()
        self.busy = threading.Semaphore(0)
        self.most = self.now = 0
        self._lock = threading.Lock()

    def __call__(self, asked: Sequence[Asked]) -> None:
        with self._lock:
            self.sizes.append([one.question.number for one in asked])
            self.now += 1
            self.most = max(self.most, self.now)
        self.busy.release()
        assert self.go.wait(DEADLINE_S)
        for one in asked:
            one.final = Done(number=one.question.number)
        with self._lock:
            self.now -= 1


def ask(turns: Turns, questions: Sequence[Asked]) -> list[threading.Thread]:
    """A thread for each."""
    threads = [threading.Thread(target=turns.perform, args=(one,)) for one in questions]
    for thread in threads:
        thread.start()
    return threads


def until_waiting(turns: Turns, number: int) -> None:
    """Wait until so many questions wait for a run."""
    pause = threading.Event()
    for _ in range(int(DEADLINE_S / 0.01)):
        if len(turns._waiting) == number:
            return
        pause.wait(0.01)
    raise AssertionError(f"{len(turns._waiting)} wait, not {number}")


def test_what_waits_goes_together() -> None:
    """Four runs at once and no more; the questions that come meanwhile share the next ones; each is asked once."""
    runs = Runs()
    turns = Turns(runs)
    questions = [question(number) for number in range(16)]
    threads = ask(turns, questions[:RUNS_AT_ONCE])
    for _ in range(RUNS_AT_ONCE):
        assert runs.busy.acquire(timeout=DEADLINE_S)
    threads += ask(turns, questions[RUNS_AT_ONCE:])
    until_waiting(turns, 12)
    runs.go.set()
    for thread in threads:
        thread.join(DEADLINE_S)
    assert all(one.final is not None for one in questions)
    assert sorted(number for numbers in runs.sizes for number in numbers) == list(range(16))
    assert runs.most == RUNS_AT_ONCE
    assert len(runs.sizes) < 16
    again = question(99)
    turns.perform(again)
    assert again.final is not None


def test_different_credentials_never_share_a_process() -> None:
    """A program has one token in its environment."""
    runs = Runs()
    turns = Turns(runs)
    threads = ask(turns, [question(number) for number in range(RUNS_AT_ONCE)])
    for _ in range(RUNS_AT_ONCE):
        assert runs.busy.acquire(timeout=DEADLINE_S)
    mixed = [question(10 + number, token=f"token-{number % 2}") for number in range(8)]
    threads += ask(turns, mixed)
    until_waiting(turns, 8)
    runs.go.set()
    for thread in threads:
        thread.join(DEADLINE_S)
    assert all(len({number % 2 for number in numbers}) == 1 for numbers in runs.sizes if numbers[0] >= 10)


def test_who_waits_lives_with_those_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sign of a run's life counts for those that wait for their turn, and only a real one does."""
    monkeypatch.setattr(external_turns, "LOOK_S", 0.02)
    runs = Runs()
    turns = Turns(runs)
    first = [question(number) for number in range(RUNS_AT_ONCE)]
    threads = ask(turns, first)
    for _ in range(RUNS_AT_ONCE):
        assert runs.busy.acquire(timeout=DEADLINE_S)
    heard = threading.Event()
    threads += ask(turns, [question(9, heard=heard)])
    until_waiting(turns, 1)
    assert not heard.wait(2.5 * external_turns.LOOK_S)
    first[2].progress(100)
    assert heard.wait(DEADLINE_S)
    heard.clear()
    assert not heard.wait(2.5 * external_turns.LOOK_S)
    runs.go.set()
    for thread in threads:
        thread.join(DEADLINE_S)


def test_many_files_at_once_through_the_worker(tmp_path: Path) -> None:
    """Twelve inputs and twelve outputs by the example of the page."""
    mount = tmp_path / "mount"
    (mount / "in").mkdir(parents=True)
    for number in range(12):
        (mount / "in" / f"{number}").write_text("x" * number)
        (tmp_path / f"out{number}").write_text("y" * number)

    async def work() -> None:
        async with TransferWorker(log_path=tmp_path / "log") as worker:
            context = TransferContext(environment={"SITE_MOUNT": str(mount)})
            movers = (f"external:{EXAMPLE}",)
            fetches = [
                FetchRequest(
                    lfn=f"{number}",
                    surl=f"mounted://in/{number}",
                    target=str(tmp_path / f"in{number}"),
                    size_bytes=number,
                    movers=movers,
                    context=context,
                )
                for number in range(12)
            ]
            stores = [
                StoreRequest(
                    lfn=f"{number}",
                    surl=f"mounted://out/{number}",
                    source=str(tmp_path / f"out{number}"),
                    movers=movers,
                    context=context,
                )
                for number in range(12)
            ]
            for done in await asyncio.gather(*(worker.transfer(one) for one in [*fetches, *stores])):
                good(done)

    run(work())
    assert [(mount / "out" / f"{number}").read_text() for number in range(12)] == [
        "y" * number for number in range(12)
    ]
