"""Whose turn it is: a few runs of an external program at once, each with all questions that wait for one.

What a run is, is `external`.
"""

import threading
import time
from collections.abc import Callable, Sequence

from picard_pilot.movers.external_answers import Asked

RUNS_AT_ONCE = 4
"""As many as uploads that the worker allows at once; fetches that come on top of these share the next run."""

QUESTIONS_PER_RUN = 50
"""More than can wait at once today; it bounds what one crash of a program costs."""

LOOK_S = 1.0
"""How often a waiting thread passes on that the runs before it live."""


class _Waiting:
    """A question that waits, and the event that ends its waiting: answered, or it is its turn to lead a run."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        asked.progress = self.progress = _one_at_a_time(asked.progress)
        self.event = threading.Event()
        self.leads = False


class Turns:
    """Shares runs among threads. `run` gets questions of one context, and never raises for what a program does."""

    def __init__(self, run: Callable[[Sequence[Asked]], None]) -> None:
        self._run = run
        self._lock = threading.Lock()
        self._runs = 0
        self._waiting: list[_Waiting] = []
        self._last_sign_s = time.monotonic()

    def perform(self, asked: Asked) -> None:
        """Return when this question is answered, alone or with others, by this thread or by another."""
        own = _Waiting(asked)
        with self._lock:
            own.leads = self._runs < RUNS_AT_ONCE
            if own.leads:
                self._runs += 1
            else:
                self._waiting.append(own)
        if not own.leads:
            self._wait(own)
        if own.leads:
            self._lead(own)

    def _wait(self, own: _Waiting) -> None:
        """Wait, alive for as long as a run before this one shows life."""
        seen_s = time.monotonic()
        while not own.event.wait(LOOK_S):
            if self._last_sign_s > seen_s:
                seen_s = self._last_sign_s
                own.progress(0)

    def _lead(self, own: _Waiting) -> None:
        with self._lock:
            others = [one for one in self._waiting if _is_alike(one.asked, own.asked)]
            # Half of those that wait: the next run that becomes free takes its share.
            others = others[: min(QUESTIONS_PER_RUN - 1, (len(others) + 1) // 2)]
            for one in others:
                self._waiting.remove(one)
        questions = [own.asked, *(one.asked for one in others)]
        try:
            for question in questions:
                question.progress = question.life.progress = self._signed(question.progress)
            self._run(questions)
        finally:
            for one in others:
                one.event.set()
            self._hand_over()

    def _signed(self, progress: Callable[[int], None]) -> Callable[[int], None]:
        def signed(count: int) -> None:
            self._last_sign_s = time.monotonic()
            progress(count)

        return signed

    def _hand_over(self) -> None:
        """The next run is led by the thread that waits longest; where nobody waits, there is one run less."""
        with self._lock:
            if not self._waiting:
                self._runs -= 1
                return
            following = self._waiting.pop(0)
            following.leads = True
        following.event.set()


def _one_at_a_time(progress: Callable[[int], None]) -> Callable[[int], None]:
    """The waiting thread and the one that leads its run may both have something to say."""
    speaking = threading.Lock()

    def said(count: int) -> None:
        with speaking:
            progress(count)

    return said


def _is_alike(one: Asked, other: Asked) -> bool:
    """Whether both may go to one process: the same credentials, variables, endpoint and kind of work."""
    first, second = one.call, other.call
    return first.verb is second.verb and first.request.context == second.request.context
