"""Whether a job has broken one of its limits, from what was seen of it so far. Pure.

The limits are `limits`, signs of life are `activity`; who looks, and when, is `watch`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from picard_pilot.lifecycle.activity import Quiet, observe, window_for
from picard_pilot.model.limits import Breach, Limit, Measure, Unit, amount, limit_on
from picard_pilot.model.states import Phase
from picard_pilot.model.usage import CgroupSample, PssSample, Sample

KEPT_S = 60.0
"""Samples are remembered for a minute: long enough to tell a peak from a state."""

LOW_SPACE_S = 20.0
"""Free space must be too small for so long: somebody else's file may come and go."""

CONFIRMATIONS = 2
"""So many readings in a row must be above a limit on memory or processes. A tree is read process by process; those that
end meanwhile leave their share of common pages to the ones read later, which so count twice."""


ONLY_RUNNING = frozenset({Phase.RUNNING})

PHASES: dict[Measure, frozenset[Phase]] = {
    Measure.FREE_SPACE: frozenset({Phase.STAGEIN, Phase.RUNNING}),
    Measure.QUIET_TIME: frozenset({Phase.STAGEIN, Phase.RUNNING, Phase.STAGEOUT}),
}
"""When a limit holds, if not only while the payload runs. A job that stores its outputs is about to give room back."""


class History(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen of one job, as far as a judgement needs it."""

    samples: tuple[Sample, ...] = ()
    """Of the last `KEPT_S`, oldest first, and at least the last two."""
    pss: tuple[PssSample, ...] = ()
    """The last readings, oldest first."""
    quiet: Quiet = Quiet()

    @property
    def last(self) -> Sample | None:
        """The newest sample."""
        return self.samples[-1] if self.samples else None


def remember(history: History, sample: Sample, limits: Sequence[Limit], *, cores: int) -> History:
    """The history with one sample more. Samples must come in the order of their times."""
    older = history.samples[:-1]
    kept = tuple(each for each in older if each.at >= sample.at - KEPT_S) + history.samples[-1:]
    pss = history.pss
    if sample.pss is not None and (not pss or pss[-1].at != sample.pss.at):
        pss = (*pss, sample.pss)[-CONFIRMATIONS:]
    shortest = limit_on(limits, Measure.QUIET_TIME)
    window_s = window_for(None if shortest is None else shortest.value)
    return History(
        samples=(*kept, sample),
        pss=pss,
        quiet=observe(history.quiet, sample, cores=cores, window_s=window_s),
    )


def judge(history: History, limits: Sequence[Limit]) -> Breach | None:
    """The first of the limits that is broken now. What is not known breaks none."""
    last = history.last
    if last is None:
        return None
    for limit in limits:
        if last.phase not in PHASES.get(limit.measure, ONLY_RUNNING):
            continue
        found = _JUDGES[limit.measure](history, last, limit.value)
        if found is not None:
            return Breach(
                limit=limit,
                value=found.value,
                error=_error(limit.measure, last.phase),
                evidence=found.evidence,
                at=last.at,
            )
    return None


def kernel_kills(before: CgroupSample | None, now: CgroupSample | None) -> int | None:
    """How many processes the kernel ended for lack of memory between two readings; None if that is not known."""
    if before is None or now is None or before.oom_kills is None or now.oom_kills is None:
        return None
    return now.oom_kills - before.oom_kills


def kernel_evidence(before: CgroupSample | None, now: CgroupSample | None) -> tuple[str, ...]:
    """What the kernel itself says about a lack of memory between two readings; nothing where it ended no process."""
    kills = kernel_kills(before, now)
    if not kills or before is None or now is None:
        return ()
    facts = [f"the control group's oom_kill rose from {before.oom_kills} to {now.oom_kills}"]
    if now.limit_bytes is not None:
        facts.append(f"its limit is {amount(now.limit_bytes, Unit.BYTES)}")
    if now.peak_bytes is not None:
        facts.append(f"its peak was {amount(now.peak_bytes, Unit.BYTES)}")
    return tuple(facts)


class _Found(NamedTuple):
    value: float
    evidence: tuple[str, ...]


_Judge = Callable[[History, Sample, float], "_Found | None"]

_ERRORS: dict[Measure, str] = {
    Measure.MEMORY: "PAYLOADEXCEEDMAXMEM",
    Measure.PROCESSES: "PAYLOADEXECUTIONFAILURE",
    Measure.DIRECTORY: "USERDIRTOOLARGE",
    Measure.FREE_SPACE: "NOLOCALSPACE",
    Measure.OUTPUT_FILE: "OUTPUTFILETOOLARGE",
    Measure.OUTPUT_TEXT: "STDOUTTOOBIG",
    Measure.WALL_TIME: "REACHEDMAXTIME",
    Measure.CPU_TIME: "REACHEDMAXTIME",
    Measure.QUIET_TIME: "LOOPINGJOB",
    Measure.SPINNING_TIME: "LOOPINGJOB",
}
"""The catalogue's names, while a payload runs. There is no number for too many processes: 1344 says that the node
refused one, and the node would be blamed for what its payload does."""

_STUCK_STAGES: dict[Phase, str] = {Phase.STAGEIN: "STAGEINTIMEOUT", Phase.STAGEOUT: "STAGEOUTTIMEOUT"}


def _error(measure: Measure, phase: Phase) -> str:
    if measure in (Measure.QUIET_TIME, Measure.SPINNING_TIME):
        return _STUCK_STAGES.get(phase, _ERRORS[measure])
    return _ERRORS[measure]


def _memory(history: History, last: Sample, limit: float) -> _Found | None:
    """PSS where it is known, else the control group's account; never a sum of RSS."""
    known_now = last.pss is not None and len(history.pss) >= CONFIRMATIONS
    if known_now and all(_pss_total(each) > limit for each in history.pss):
        reading = history.pss[-1]
        return _Found(_pss_total(reading), (_pss_words(reading), f"{CONFIRMATIONS} readings in a row"))
    groups = [each.cgroup.memory_bytes for each in history.samples if each.cgroup is not None]
    known = [each for each in groups if each is not None][-CONFIRMATIONS:]
    # The group also holds what processes of other users use, whose PSS we may not read.
    blind = not history.pss or history.pss[-1].unread > 0
    if blind and len(known) == CONFIRMATIONS and min(known) > limit:
        text = f"anonymous and shared memory and swap of the control group: {amount(known[-1], Unit.BYTES)}"
        return _Found(known[-1], (text, f"{CONFIRMATIONS} readings in a row"))
    return None


def _pss_total(reading: PssSample) -> int:
    return reading.pss_bytes + reading.swap_bytes


def _pss_words(reading: PssSample) -> str:
    words = f"PSS {amount(reading.pss_bytes, Unit.BYTES)}"
    if reading.swap_bytes:
        words += f" and swap {amount(reading.swap_bytes, Unit.BYTES)}"
    words += (
        f" of {reading.processes} processes (their RSS adds up to {amount(reading.rss_bytes, Unit.BYTES)})"
    )
    return words + (f", {reading.unread} could not be read" if reading.unread else "")


def _processes(history: History, last: Sample, limit: float) -> _Found | None:
    counts = [each.tree.processes for each in history.samples if each.tree is not None][-CONFIRMATIONS:]
    if len(counts) < CONFIRMATIONS or min(counts) <= limit:
        return None
    return _Found(counts[-1], (f"{CONFIRMATIONS} readings in a row: " + ", ".join(map(str, counts)),))


def _directory(history: History, last: Sample, limit: float) -> _Found | None:
    found = last.directory
    if found is None or found.size_bytes <= limit:
        return None
    more = "" if found.whole else " at least, not all of it could be looked at"
    return _Found(found.size_bytes, (f"{found.files} files{more}",))


def _free_space(history: History, last: Sample, limit: float) -> _Found | None:
    known = [(each.at, each.free_bytes) for each in history.samples if each.free_bytes is not None]
    low_since = None
    for at, free in known:
        low_since = None if free >= limit else at if low_since is None else low_since
    if low_since is None or known[-1][0] - low_since < LOW_SPACE_S:
        return None
    taken = "not known" if last.directory is None else amount(last.directory.size_bytes, Unit.BYTES)
    low_s = known[-1][0] - low_since
    return _Found(known[-1][1], (f"for {low_s:.0f} s", f"the job's own directory takes: {taken}"))


def _output_file(history: History, last: Sample, limit: float) -> _Found | None:
    if not last.outputs:
        return None
    lfn = max(last.outputs, key=lambda name: last.outputs[name])
    return _Found(last.outputs[lfn], (f"output {lfn}",)) if last.outputs[lfn] > limit else None


def _output_text(history: History, last: Sample, limit: float) -> _Found | None:
    sizes = [
        (size, name)
        for size, name in ((last.stdout_bytes, "payload.stdout"), (last.stderr_bytes, "payload.stderr"))
        if size is not None
    ]
    size, name = max(sizes, default=(0, ""))
    return _Found(size, (name,)) if size > limit else None


def _wall_time(history: History, last: Sample, limit: float) -> _Found | None:
    if last.wall_s is None or last.wall_s <= limit:
        return None
    cpu = "" if last.tree is None else f", {last.tree.cpu_s:.0f} s of CPU"
    return _Found(last.wall_s, (f"the payload has run for {last.wall_s:.0f} s{cpu}",))


def _cpu_time(history: History, last: Sample, limit: float) -> _Found | None:
    if last.tree is None or last.tree.cpu_s <= limit:
        return None
    wall = "" if last.wall_s is None else f" in {last.wall_s:.0f} s"
    return _Found(
        last.tree.cpu_s,
        (f"{last.tree.cpu_user_s:.0f} s as user, {last.tree.cpu_system_s:.0f} s as system{wall}",),
    )


def _quiet_time(history: History, last: Sample, limit: float) -> _Found | None:
    quiet = history.quiet
    return _Found(quiet.quiet_s, (quiet.seen,)) if quiet.quiet_s > limit else None


def _spinning_time(history: History, last: Sample, limit: float) -> _Found | None:
    quiet = history.quiet
    return _Found(quiet.spinning_s, (quiet.seen,)) if quiet.spinning_s > limit else None


_JUDGES: dict[Measure, _Judge] = {
    Measure.MEMORY: _memory,
    Measure.PROCESSES: _processes,
    Measure.DIRECTORY: _directory,
    Measure.FREE_SPACE: _free_space,
    Measure.OUTPUT_FILE: _output_file,
    Measure.OUTPUT_TEXT: _output_text,
    Measure.WALL_TIME: _wall_time,
    Measure.CPU_TIME: _cpu_time,
    Measure.QUIET_TIME: _quiet_time,
    Measure.SPINNING_TIME: _spinning_time,
}
