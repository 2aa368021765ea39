"""Telling the server where each job is: every phase in order, heartbeats in every phase, commands back.

The final report is not told here but delivered by `panda.outbox`; nothing here is ever in the way of a job.
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable

import msgspec

from picard_pilot.lifecycle.report import update
from picard_pilot.model.orders import ServerTrouble
from picard_pilot.model.report import JobStatus, Update
from picard_pilot.model.states import Phase
from picard_pilot.pilot.parts import Parts
from picard_pilot.pilot.usage import payload_usage
from picard_pilot.pilot.waiting import first_of
from picard_pilot.pilot.work import JobWork
from picard_pilot.system.backoff import Backoff

log = logging.getLogger("picard.teller")

PENDING_LIMIT = 20
"""Phase changes kept per job while the server cannot be reached; a job has six."""

PAUSES = Backoff(first_s=2.0, longest_s=300.0)
"""After an update that did not arrive: five minutes are well below the two hours after which a job is given up."""

HUSH_S = 3.0
"""How long the final report waits for an update under way: should that arrive after it, the server passes it over."""

REMAINING = "remainingTime"
"""In `job_metrics` of updates on the way: the seconds until a payload would be stopped for the end of the slot."""

MOST_EARLY = 20
"""Doublings after which no setting of the first gap matters."""

ISOLATION = "isolation"
"""The same: by which way the payload is confined."""
HELD_BY = "processesHeldBy"
"""The same: how its processes are held together on this node, the best first."""

Obey = Callable[[JobWork, tuple[str, ...]], None]


class Teller:
    """Tells the server about one job, one update at a time and in order."""

    def __init__(self, work: JobWork, parts: Parts, obey: Obey) -> None:
        """`obey` gets the commands that come back."""
        self._work = work
        self._parts = parts
        self._obey = obey
        self._pending: deque[Update] = deque(maxlen=PENDING_LIMIT)
        self._news = asyncio.Event()
        self._closing = asyncio.Event()
        self._done = asyncio.Event()
        self._said = asyncio.Event()
        self._said.set()
        self._phase: Phase | None = None
        self._beats = 0
        """The phase last told, and heartbeats since."""
        self._random = random.Random(parts.seed ^ work.job_id)
        self.last_success: float | None = None
        """When the server last took an update (seconds since 1970)."""
        self._heard_holding = False
        """After `holding` a server takes no word but the last; a second one can only make its patience shorter."""

    def tell(self) -> None:
        """Queue the case as it is now, unless there is nothing that the server would hear."""
        if not self._closing.is_set() and not self._heard_holding:
            told = update(self._work.case, self._parts.sender, payload_usage(self._work))
            told = msgspec.structs.replace(told, progress=self._work.progress, note=self._work.take_note())
            if (watching := self._work.watching) is not None:
                told = msgspec.structs.replace(told, now=watching.take_now(), limits=watching.take_limits())
            told = msgspec.structs.replace(told, metrics=self._metrics())
            if told.phase is not self._phase:
                self._phase, self._beats = told.phase, 0
            self._pending.append(told)
            self._said.clear()
            self._news.set()

    def _metrics(self) -> dict[str, str]:
        """Facts of this pilot that go with every update."""
        found = {}
        if self._work.slot is not None:
            left_s = self._work.slot.stops_at - self._parts.clock.now_utc()
            found[REMAINING] = f"{max(0.0, left_s):.0f}"
        if (held := self._parts.ways.view(self._work.confined)) is not None:
            found[HELD_BY] = "+".join(held.held_by)
            if held.way is not None:
                found[ISOLATION] = held.way
        return found

    def tell_progress(self) -> None:
        """Queue the case with its progress, unless something is queued: phases are worth more than minutes."""
        if not self._pending:
            self.tell()

    async def hush(self) -> None:
        """Say what is queued, if the server listens, and nothing more; returns when no update is under way."""
        self._closing.set()
        self._news.set()
        await self._done.wait()

    async def said(self) -> None:
        """Return when all that is queued has been told."""
        await self._said.wait()

    async def run(self) -> None:
        """Tell until `hush`; a heartbeat goes out whenever nothing was told for long."""
        try:
            while not self._closing.is_set():
                await first_of(self._news.wait(), self._parts.clock.sleep(self._gap_s()))
                if not self._news.is_set():
                    self._beats += 1
                    self.tell()
                self._news.clear()
                await self._tell_pending()
        finally:
            self._done.set()

    def _gap_s(self) -> float:
        """Until the next heartbeat. The first ones of a payload come earlier, each after twice the time of the one
        before: so a job of some minutes has a curve of what it uses too, for five small updates more in a long one."""
        settings = self._parts.settings
        if self._phase is not Phase.RUNNING or self._beats >= MOST_EARLY:
            return settings.heartbeat_s
        return min(settings.heartbeat_s, settings.progress_s * 2.0**self._beats)

    async def _tell_pending(self) -> None:
        pauses = PAUSES.pauses(self._random)
        while self._pending:
            told = self._pending[0]
            answer = await self._parts.dispatcher.tell(told)
            if isinstance(answer, ServerTrouble):
                if not answer.may_pass:
                    log.warning("job %s: update refused: %s", self._work.job_id, answer.says)
                    self._drop_first()
                elif self._closing.is_set():
                    self._pending.clear()
                else:
                    await self._pause(next(pauses), answer)
                continue
            self._heard_holding = self._heard_holding or told.status is JobStatus.HOLDING
            self._drop_first()
            self.last_success = self._parts.clock.now_utc()
            if answer.commands:
                self._obey(self._work, answer.commands)
        self._said.set()

    async def _pause(self, pause_s: float, trouble: ServerTrouble) -> None:
        """Wait before telling again, but no longer than until `hush`."""
        log.warning("job %s: %s; telling again in %.0f s", self._work.job_id, trouble.says, pause_s)
        await first_of(self._parts.clock.sleep(pause_s), self._closing.wait())

    def _drop_first(self) -> None:
        if self._pending:
            self._pending.popleft()


class Tellers:
    """The tellers of all jobs of a pilot, and the question for commands between heartbeats."""

    def __init__(self, parts: Parts, obey: Obey) -> None:
        """`obey` gets the job and the commands that the server wants done."""
        self._parts = parts
        self._obey = obey
        self._tellers: dict[int, tuple[JobWork, Teller, asyncio.Task[None]]] = {}
        self._poll: asyncio.Task[None] | None = None
        self._last_success: float | None = None

    @property
    def last_server_update(self) -> float | None:
        """When the server last took an update about any job (seconds since 1970); None if it never did."""
        times = [teller.last_success for _, teller, _ in self._tellers.values()] + [self._last_success]
        return max((time for time in times if time is not None), default=None)

    def start(self, group: asyncio.TaskGroup) -> None:
        """Begin. The tasks live in `group`."""
        self._group = group
        if self._parts.settings.command_poll_s > 0:
            self._poll = group.create_task(self._ask_for_commands(), name="ask for commands")

    def add(self, work: JobWork) -> None:
        """Tell about this job from now on."""
        teller = Teller(work, self._parts, self._obey)
        task = self._group.create_task(teller.run(), name=f"tell {work.job_id}")
        self._tellers[work.job_id] = (work, teller, task)

    def tell(self, work: JobWork) -> None:
        """Tell the job's present phase; never waits."""
        if work.job_id in self._tellers:
            self._tellers[work.job_id][1].tell()

    def tell_progress(self, work: JobWork) -> None:
        """Tell how far the job's present stage is, if nothing else waits to be told; never waits."""
        if work.job_id in self._tellers:
            self._tellers[work.job_id][1].tell_progress()

    async def said(self, work: JobWork) -> None:
        """Return when all that is queued about the job has been told."""
        if work.job_id in self._tellers:
            await self._tellers[work.job_id][1].said()

    async def hush(self, work: JobWork) -> None:
        """Nothing more about this job; returns when no update about it is under way. One that hangs is given up."""
        if (found := self._tellers.pop(work.job_id, None)) is not None:
            _, teller, task = found
            try:
                await first_of(teller.hush(), self._parts.clock.sleep(HUSH_S))
            finally:
                task.cancel()
            self._last_success = max(filter(None, (self._last_success, teller.last_success)), default=None)

    def drop(self, work: JobWork) -> None:
        """Not a word more about this job, not even what is queued."""
        if (found := self._tellers.pop(work.job_id, None)) is not None:
            found[2].cancel()

    async def close(self, patience_s: float) -> None:
        """Tell what is queued, for `patience_s` at most, then end."""
        if self._poll is not None:
            self._poll.cancel()
        try:
            async with asyncio.timeout(patience_s):
                for _, teller, _ in list(self._tellers.values()):
                    await teller.said()
        except TimeoutError:
            log.warning("the server did not take the last updates; the journals hold them")
        for _, _, task in self._tellers.values():
            task.cancel()

    async def _ask_for_commands(self) -> None:
        """A kill should not wait for the next heartbeat, which is half an hour away."""
        while True:
            await self._parts.clock.sleep(self._parts.settings.command_poll_s)
            if not self._tellers:
                continue
            standings = await self._parts.dispatcher.orders_for(tuple(self._tellers))
            if isinstance(standings, ServerTrouble):
                log.debug("no commands: %s", standings.says)
                continue
            for standing in standings:
                found = self._tellers.get(standing.job_id)
                if found is not None and standing.commands:
                    self._obey(found[0], standing.commands)
