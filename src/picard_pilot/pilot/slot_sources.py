"""Reading all who say when the slot ends: the environment once, files and URLs again and again, commands now and then.

What one source's words mean is `watch.slot`; which end counts is `pilot.ends`. Nothing here ever holds the pilot.
"""

import asyncio
import logging
import os
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING

from picard_pilot.model.slot import Found, Question, SlotEnd
from picard_pilot.pilot.parts import Parts

if TYPE_CHECKING:
    from picard_pilot.system.daemon_threads import DaemonThreads
    from picard_pilot.system.http import HttpClient
    from picard_pilot.watch.slot.features import Cpu

log = logging.getLogger("picard.slot")

ANSWER_S = 10.0
"""What a batch system's command, features behind a URL, or a file of the site may take."""

MOST_URL_BYTES = 1000
"""A feature is a number."""

SIGNS = ("_CONDOR_JOB_AD", "_CONDOR_MACHINE_AD", "SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "SGE_TASK_ID")
"""Without one of these variables no batch system tells anything, and nothing need be imported."""

Know = Callable[[str, Found], None]


class Sources:
    """The sources that this pilot has. `know` gets what each says, under its name, whenever it was read."""

    def __init__(self, parts: Parts, know: Know, spent_s: Callable[[], float] | None = None) -> None:
        """The environment is read at once: it does not change. `spent_s` tells the CPU time of the slot so far."""
        self._parts = parts
        self._know = know
        self._spent_s = spent_s
        self._began_utc = parts.clock.now_utc()
        self._http: HttpClient | None = None
        self._threads: DaemonThreads | None = None
        self._hangs: Future[Found] | None = None
        self._features = self._wanted_features()
        self._drain_file = parts.settings.drain_file
        self._read_queue()
        self._questions: dict[str, Question] = {}
        self._unanswered: set[str] = set()
        for number, found in enumerate(self._batch_systems()):
            source = f"batch system {number}"
            know(source, found)
            if found.question is not None:
                self._questions[source] = found.question
                if not found.ends:
                    self._unanswered.add(source)

    @property
    def takes_time(self) -> bool:
        """Whether there is more to be heard than the environment says."""
        return bool(self._unanswered or self._features or self._drain_file)

    async def read(self) -> None:
        """What may change: the credentials, the site's drain file, the features."""
        self._know("credentials", self._parts.expiries(self._parts.clock.now_utc()))
        if self._drain_file:
            await self._aside("drain file", self._read_drain_file)
        if any(_is_url(address) for address in self._features.values()):
            await self._read_urls()
        elif self._features:
            cpu = self._cpu()
            await self._aside("features", lambda: self._read_features(cpu))

    async def ask(self, *, again: bool = False) -> None:
        """Ask the batch systems whose environment does not say it, or all of them `again`: a site may have given the
        job more time, or less. What cannot be had changes nothing of what was known."""
        for source in self._questions if again else sorted(self._unanswered):
            found = await self.answer(self._questions[source])
            self._know(f"{source}, asked" if found.doubts and not found.ends else source, found)

    async def answer(self, question: Question) -> Found:
        """What the batch system's command says; nothing where it cannot be had."""
        from picard_pilot.system.run import run

        parts = self._parts
        result = await run(
            question.argv, cwd=parts.workdir, env=parts.environ, time_limit_s=ANSWER_S, grace_s=1.0
        )
        command = " ".join(question.argv)
        if not result.ok:
            never = "" if result.start_error is None else result.start_error.evidence
            said = result.stderr_tail.strip() or never or str(result.ended_by)
            return Found(
                doubts=(f"the slot's end is not known from `{command}`: {said.splitlines()[-1][:200]}",)
            )
        if not result.stdout_tail.strip():
            return Found(doubts=(f"the slot's end is not known from `{command}`: it says nothing",))
        return question.read(result.stdout_tail, parts.clock.now_utc())

    def close(self) -> None:
        """Let go of threads and connections; what hangs is left to itself."""
        if self._http is not None:
            self._http.close()
        if self._threads is not None:
            self._threads.close()

    # The environment

    def _read_queue(self) -> None:
        queue = self._parts.site.queue
        if queue.limits.maxtime_s is None:
            return
        origin = queue.origins.get("limits.maxtime_s")
        told = "" if origin is None else f" ({origin.source} {origin.detail})"
        end = SlotEnd(
            at=self._began_utc + queue.limits.maxtime_s,
            name=f"the maxtime of queue {queue.name}",
            evidence=f"maxtime = {queue.limits.maxtime_s} s{told}, counted from the pilot's start",
        )
        self._know("queue", Found(ends=(end,)))

    def _batch_systems(self) -> list[Found]:
        environ = self._parts.environ
        if not any(map(environ.get, SIGNS)):
            return []
        from picard_pilot.watch.slot import environment

        return environment.look(environ, self._began_utc)

    def _session_began(self) -> float:
        from picard_pilot.watch.slot.words import session_began_at

        return session_began_at() or self._began_utc

    def _wanted_features(self) -> dict[str, str]:
        environ = self._parts.environ
        if not (environ.get("MACHINEFEATURES") or environ.get("JOBFEATURES")):
            return {}
        from picard_pilot.watch.slot import features

        return features.wanted(environ)

    # Files and URLs

    def _read_drain_file(self) -> Found:
        from picard_pilot.watch.slot import drain

        return drain.look(Path(self._drain_file or ""))

    def _cpu(self) -> "Cpu | None":
        from picard_pilot.watch.slot.features import Cpu

        if self._spent_s is None:
            return None
        cores = self._parts.site.queue.limits.corecount or len(os.sched_getaffinity(0))
        return Cpu(self._parts.clock.now_utc(), self._spent_s(), cores)

    def _read_features(self, cpu: "Cpu | None") -> Found:
        from picard_pilot.watch.slot import features

        texts = {key: features.read_file(path) for key, path in self._features.items()}
        known = {key: text for key, text in texts.items() if text is not None}
        return features.understand(known, self._session_began(), cpu)

    async def _aside(self, source: str, read: Callable[[], Found]) -> None:
        """Read in a thread: a site's files may lie on a file system that hangs. What was known of them holds then."""
        if self._hangs is not None and not self._hangs.done():
            return
        if self._threads is None:
            from picard_pilot.system.daemon_threads import DaemonThreads

            self._threads = DaemonThreads("slot", 1)
        reading = self._threads.submit(read)
        try:
            async with asyncio.timeout(ANSWER_S):
                self._know(source, await asyncio.wrap_future(reading))
        except TimeoutError:
            self._hangs = reading
            log.warning(
                "the %s cannot be read for %g s already; what they said before holds", source, ANSWER_S
            )

    async def _read_urls(self) -> None:
        from picard_pilot.watch.slot import features

        texts = {}
        for key, address in self._features.items():
            text = await self.fetch(address) if _is_url(address) else features.read_file(address)
            if text is not None:
                texts[key] = text
        self._know("features", features.understand(texts, self._session_began(), self._cpu()))

    async def fetch(self, address: str) -> str | None:
        """A feature behind a URL, asked for without any credential; None where it cannot be had."""
        from picard_pilot.system.http import HttpClient, HttpError, HttpRequest

        if self._http is None:
            self._http = HttpClient(user_agent="picard-pilot", environment=self._parts.environ, threads=1)
        request = HttpRequest(method="GET", url=address, repeatable=True)
        try:
            answer = await self._http.request(request, deadline_s=ANSWER_S)
        except HttpError as error:
            log.debug("%s", error)
            return None
        return answer.body[:MOST_URL_BYTES].decode("utf-8", "replace") if answer.status == 200 else None


def _is_url(address: str) -> bool:
    return address.startswith(("http://", "https://"))
