"""What a job costs besides its payload: from dispatch to accepted report, and from one payload to the next."""

from datetime import datetime
from itertools import pairwise

import processes
from figures import Figure
from place import Served, served

from picard_pilot.journal.record import Record
from picard_pilot.model import events as ev
from picard_pilot.model.command import PayloadExit

PHASES = (
    ("received to payload started", ev.JobReceived, ev.PayloadStarted),
    ("payload ended to log stored", ev.PayloadExited, ev.LogStored),
    ("log stored to report accepted", ev.LogStored, ev.ReportAccepted),
)


def per_job(count: int) -> list[Figure]:
    """No-op jobs, then as many that fail, each kind one after another in one pilot."""
    return [
        *_figures(count, "/bin/true", "no-op job", ("p50 150 ms, p95 300 ms", "200 ms")),
        *_figures(count, "/bin/false", "failing job", ("as a good one", "200 ms")),
    ]


def _figures(count: int, transformation: str, name: str, targets: tuple[str, str]) -> list[Figure]:
    with served() as here:
        here.submit(count, transformation)
        before_s = processes.children_cpu_s()
        # Directories are kept, since the journals in them are what is read here.
        here.wait(here.start_pilot("--jobs", str(count), "--no-cleanup"))
        cpu_s = processes.children_cpu_s() - before_s
        journals = here.journals()
        sent = [_sent_at(here, records) for records in journals]
    if len(journals) != count:
        raise SystemExit(f"{count} jobs were submitted, {len(journals)} journals were found")
    exits = [_exit(records) for records in journals]
    overhead = [
        (_at(records, ev.ReportAccepted) - at - ended.wall_s) * 1000
        for records, at, ended in zip(journals, sent, exits, strict=True)
    ]
    gaps = [(after.started_at - before.ended_at) * 1000 for before, after in pairwise(exits)]
    return [
        Figure(f"{name}: dispatch to accepted report less payload", overhead, "ms", targets[0]),
        *(
            Figure(f"  {words}", [(_at(one, end) - _at(one, begin)) * 1000 for one in journals], "ms")
            for words, begin, end in PHASES
        ),
        Figure(f"{name}: end of payload to start of the next", gaps, "ms", targets[1]),
        Figure(f"  CPU time of pilot, launchers and worker per {name}", [1000 * cpu_s / count], "ms"),
    ]


def _sent_at(here: Served, records: list[Record]) -> float:
    """When the server gave the job away, by its own history, in seconds since 1970."""
    first = records[0].event
    assert isinstance(first, ev.JobReceived)
    history = here.client.job(first.job.job_id)["history"]
    return next(
        datetime.fromisoformat(line["at"]).timestamp() for line in history if line["status"] == "sent"
    )


def _exit(records: list[Record]) -> PayloadExit:
    return next(record.event.exit for record in records if isinstance(record.event, ev.PayloadExited))


def _at(records: list[Record], kind: type[ev.Event]) -> float:
    return next(record.at for record in records if isinstance(record.event, kind))
