"""Diagnosing a payload that failed: gathering what is known of its end, and asking the rules what it means.

A payload that ended well costs nothing here: none of its logs is opened. The rules are `diagnosis`'s.
"""

import asyncio
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from picard_pilot.experiments.report_files import ERROR_REPORT, decoded
from picard_pilot.model.bundle import Bundle, Outcome
from picard_pilot.model.command import PayloadExit
from picard_pilot.model.facts import Facts, Log
from picard_pilot.model.fault import Fault
from picard_pilot.model.rule import Rule, Where
from picard_pilot.model.states import Phase
from picard_pilot.pilot import faults
from picard_pilot.system.daemon_threads import DaemonThreads
from picard_pilot.system.logs import names_like, read_log
from picard_pilot.system.redact import Redactor

log = logging.getLogger("picard.diagnosis")

RULES_S = 10.0
"""How long rules are tried: many times what all of the core's take on two full logs."""

STOPPED_FOR_OUTPUT = "output_limit"
"""The launcher's word for a payload that wrote too much."""


class Left(NamedTuple):
    """What a payload left: its end, its directory, and what was seen from outside."""

    ended: PayloadExit
    bundle: Bundle
    outcome: Outcome = Outcome()
    died_of: int | None = None
    disk_full: str | None = None
    kernel: tuple[str, ...] = ()
    watched: tuple[Fault, ...] = ()
    known: Mapping[str, str] = MappingProxyType({})
    """Names of node and job that say nothing about an error, each with the word for it."""

    @property
    def ended_well(self) -> bool:
        """Whether there is nothing to explain: exit code 0, within the limit of its output."""
        ended = self.ended
        return ended.exit_code == 0 and ended.stopped_by != STOPPED_FOR_OUTPUT


async def explained(left: Left, rules: Sequence[Rule], redactor: Redactor) -> tuple[Fault, ...]:
    """The same as `explain`, in a thread: a log may be on a slow disk."""
    threads = DaemonThreads("diagnosis", 1)
    try:
        return await asyncio.wrap_future(threads.submit(lambda: explain(left, rules, redactor)))
    finally:
        threads.close()


def explain(left: Left, rules: Sequence[Rule], redactor: Redactor) -> tuple[Fault, ...]:
    """What is wrong with how a payload ended, the cause first; nothing, if it ended well. No log is opened then.

    `rules` are those of the experiment; the core's come after them. The last fault says how the payload ended and, if
    no rule explains that, has the lines that tell most and their fingerprint.
    """
    if left.ended.start_error is not None:
        return (faults.start_fault(left.ended.start_error),)
    if left.ended_well:
        return ()
    # Loaded here: the pilot's start and good jobs need neither rules nor engine.
    from picard_pilot.diagnosis.engine import diagnose, further_logs
    from picard_pilot.diagnosis.rulebook import CORE_RULES

    together = (*rules, *CORE_RULES)
    facts = facts_of(left, further_logs(together), redactor)
    until = time.monotonic() + RULES_S
    told = diagnose(together, facts, lambda: time.monotonic() > until)
    for why in told.broken:
        log.error("an error rule failed itself: %s", why)
    if told.cut_short:
        log.warning("not all error rules could be tried within %.0f s", RULES_S)
    found = tuple(_hidden(one, redactor) for one in told.faults(Phase.RUNNING))
    return (*found, faults.end_fault(facts, None if found else left.known))


def _hidden(found: Fault, redactor: Redactor) -> Fault:
    """The fault without secrets: logs come without them, but a function may quote a report or anything else."""
    evidence = (msgspec.structs.replace(one, text=redactor.text(one.text)) for one in found.evidence)
    return msgspec.structs.replace(
        found,
        says=redactor.text(found.says),
        next_step=redactor.text(found.next_step),
        evidence=tuple(evidence),
    )


def facts_of(left: Left, further: tuple[str, ...], redactor: Redactor) -> Facts:
    """All that is known; `further` are the names and patterns of logs beside both streams."""
    return Facts(
        exit=left.ended,
        died_of=left.died_of,
        report=redactor.data(decoded(left.bundle.job_report)),
        error_report=redactor.data(decoded(str(Path(left.bundle.directory, ERROR_REPORT)))),
        outcome=left.outcome,
        kernel=left.kernel,
        disk_full=left.disk_full,
        watched=left.watched,
        logs={found.name: found for found in _logs(left.bundle, further, redactor)},
    )


def _logs(bundle: Bundle, further: tuple[str, ...], redactor: Redactor) -> Iterator[Log]:
    places = {Where.STDERR.value: bundle.stderr, Where.STDOUT.value: bundle.stdout}
    for name in names_like(bundle.directory, further):
        places.setdefault(name, str(Path(bundle.directory, name)))
    for name, path in places.items():
        if (found := read_log(path, name, redactor)) is not None:
            yield found
