"""What the tests of limits share: jobs, queues and samples in few words, and a story told sample by sample."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from picard_pilot.lifecycle.judging import History, judge, remember
from picard_pilot.model.job import Job, Requirements
from picard_pilot.model.limits import Breach, From, Limit, Measure
from picard_pilot.model.site import Queue, QueueLimits
from picard_pilot.model.states import Phase
from picard_pilot.model.usage import DirectorySample, IoCounts, PssSample, Sample, TreeSample

GB = 1_000_000_000


def job(*, extra: dict[str, bytes] | None = None, **needs: Any) -> Job:
    """A job that needs no more than is said."""
    raw = {name: msgspec.Raw(value) for name, value in (extra or {}).items()}
    return Job(job_id=1, attempt_nr=1, requirements=Requirements(**needs), extra=raw)


def queue(params: dict[str, object] | None = None, **limits: Any) -> Queue:
    """A queue with these limits and no others."""
    return Queue(name="Q", panda_resource="Q", limits=QueueLimits(**limits), params=params or {})


def limit(measure: Measure, value: float) -> Limit:
    """One limit, wherever it is from."""
    return Limit(measure=measure, value=value, origin=From.QUEUE, detail="set by the test")


def tree(cpu_s: float = 0.0, *, io: int = 0, **more: Any) -> TreeSample:
    """A tree of one process."""
    fields: dict[str, Any] = {
        "processes": 1,
        "threads": 1,
        "cpu_user_s": cpu_s,
        "cpu_system_s": 0.0,
        "rss_bytes": 0,
        "vmem_bytes": 0,
        "io": IoCounts(rchar=io, wchar=0, read_bytes=0, write_bytes=0),
    }
    return TreeSample(**{**fields, **more})


def pss(at: float, pss_bytes: float, **more: Any) -> PssSample:
    """A reading of PSS."""
    return PssSample(at=at, pss_bytes=int(pss_bytes), **{"swap_bytes": 0, "processes": 8, **more})


def directory(at: float, size_bytes: float = 0, *, stamp: int = 0, whole: bool = True) -> DirectorySample:
    """A reading of the directory."""
    return DirectorySample(at=at, size_bytes=int(size_bytes), files=1, stamp=stamp, whole=whole)


def sample(at: float, phase: Phase = Phase.RUNNING, **seen: Any) -> Sample:
    """One look, at which nothing else was seen."""
    return Sample(at=at, phase=phase, **seen)


def breaches(samples: Iterable[Sample], *limits: Limit, cores: int = 1) -> list[Breach]:
    """What is judged after each sample, where it is a breach."""
    history, found = History(), []
    for each in samples:
        history = remember(history, each, limits, cores=cores)
        found.append(judge(history, limits))
    return [breach for breach in found if breach is not None]


def first(samples: Sequence[Sample], *limits: Limit, cores: int = 1) -> Breach | None:
    """The first breach of the story, if it has one."""
    return next(iter(breaches(samples, *limits, cores=cores)), None)
