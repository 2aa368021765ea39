"""From facts to HTML: the values each template is given, and the templates' filters.

Pure but for the templates' files; what a page may show and to whom is decided in `routes`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from typing import Any
from urllib.parse import urlencode

import jinja2
import msgspec
from markupsafe import Markup

from picard_pilot.server.pages import errors, sentences, stranding, timeline, used, words
from picard_pilot.server.pages.choice import Choice, address
from picard_pilot.server.pages.facts import JobFacts

#: The tiles on top of the list: word, kind of badge, and the server's states that each counts (all: none named).
TILES: tuple[tuple[str, str, frozenset[str]], ...] = (
    ("all", "off", frozenset()),
    ("waiting", "waiting", words.WAITING),
    ("active", "active", frozenset({"sent", "starting", "running"})),
    ("holding", "held", frozenset({"holding", "transferring", "merging"})),
    ("finished", "good", frozenset({"finished"})),
    ("failed", "bad", frozenset({"failed"})),
    ("cancelled", "off", frozenset({"cancelled", "closed"})),
)
STATES_OF_TILE = {word: states for word, _, states in TILES}


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """What every page is told: the path prefix behind a proxy, its own addresses, and the moment it shows."""

    now_s: float
    root: str = ""
    live: str | None = None
    fragment_url: str | None = None
    json_url: str | None = None
    section: str = ""
    signed_in: bool = True


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("picard_pilot.server.pages"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        age=words.age,
        clock=words.clock,
        clock_fine=words.clock_fine,
        iso=words.iso,
        size=words.size,
        file_state=words.file_state,
        way=words.way,
    )
    environment.globals.update(version=version("picard-pilot"), marks=Markup(timeline.marks()))
    return environment


def _fill(template: str, page: Page, values: Mapping[str, Any]) -> str:
    return _environment().get_template(template).render(**msgspec.structs.asdict(page), **values)


def _took(job: JobFacts, now_s: float) -> str:
    worked = [span for span in timeline.spans(job.history) if span.phase != "queued"]
    return words.duration(sum(span.length_s(now_s) for span in worked)) if worked else "–"


def _row(job: JobFacts, page: Page) -> dict[str, Any]:
    found, _ = timeline.without_long_queue(timeline.spans(job.history), page.now_s)
    return {
        "job_id": job.job_id,
        "name": job.name,
        "attempt_nr": job.attempt_nr,
        "href": f"{page.root}/jobs/{job.job_id}",
        "badge": words.badge(job.status, job.phase),
        "strip": Markup(timeline.strip(found, page.now_s, title=f"Job {job.job_id}")),
        "why": words.shorten(sentences.cause(job) or "", sentences.HEADLINE_CHARACTERS)
        if job.status in ("failed", "holding")
        else None,
        "where": job.node or (f"queue {job.queue}" if job.queue else "–"),
        "took": _took(job, page.now_s),
        "changed_s": job.changed_s,
    }


def _tiles(counts: Mapping[str, int], chosen: str, page: Page) -> list[dict[str, Any]]:
    tiles = []
    for word, kind, states in TILES:
        number = sum(n for state, n in counts.items() if not states or state in states)
        if number or word in ("all", "waiting", "active", "finished", "failed", chosen):
            query = "" if word == "all" else "?" + urlencode({"state": word})
            href = f"{page.root}/jobs{query}"
            tiles.append(
                {"word": word, "kind": kind, "number": number, "href": href, "chosen": word == chosen}
            )
    return tiles


def jobs(
    rows: Sequence[JobFacts], counts: Mapping[str, int], page: Page, *, state: str = "all", whole: bool = True
) -> str:
    """The list of jobs, newest first; `whole` is the page, else only the part that changes."""
    total = sum(n for name, n in counts.items() if state == "all" or name in STATES_OF_TILE[state])
    noun = "jobs" if state == "all" else f"{state} jobs"
    if len(rows) < total:
        caption = f"Showing the newest {len(rows)} of {total} {noun}"
    else:
        caption = f"{'All' if state == 'all' else 'The'} {total} {noun}, newest first"
    values = {
        "tiles": _tiles(counts, state, page),
        "chips": [],
        "rows": [_row(job, page) for job in rows],
        "caption": caption,
        "nothing": "No jobs yet." if state == "all" else f"No {noun} now.",
        "phases": list(timeline.LABELS.items()),
    }
    return _fill("jobs.html" if whole else "jobs_live.html", page, values)


def chosen_jobs(
    rows: Sequence[JobFacts], total: int, page: Page, state: str, choice: Choice, *, whole: bool = True
) -> str:
    """The list of those jobs that a choice means, newest first, with what narrows it."""
    noun = "jobs" if state == "all" else f"{state} jobs"
    caption = f"The newest {len(rows)} of {total} {noun} that were chosen"
    if len(rows) == total:
        caption = f"The {words.count(total, noun.removesuffix('s'))} chosen, newest first"
    values = {
        "tiles": [],
        "chips": errors.chips(choice, f"{page.root}/jobs", state),
        "errors_href": address(f"{page.root}/errors", choice.query()),
        "rows": [_row(job, page) for job in rows],
        "caption": caption,
        "nothing": f"No {noun} were chosen.",
        "phases": list(timeline.LABELS.items()),
    }
    return _fill("jobs.html" if whole else "jobs_live.html", page, values)


def errors_page(values: Mapping[str, Any], page: Page, *, whole: bool = True) -> str:
    """What jobs fail of; `whole` is the page, else only the part that changes."""
    return _fill("errors.html" if whole else "errors_live.html", page, values)


def explained(values: Mapping[str, Any], page: Page) -> str:
    """What an error means and what to do about it."""
    return _fill("explained.html", page, values)


def stranded(rows: Sequence[JobFacts], total: int, page: Page, *, whole: bool = True) -> str:
    """The jobs that wait on nodes for a later pilot; `whole` is the page, else only the part that changes."""
    found = [stranding.row(job, page.root, page.now_s) for job in rows]
    values = {"rows": found, "caption": stranding.caption(len(found), total)}
    return _fill("stranded.html" if whole else "stranded_live.html", page, values)


def job(job: JobFacts, page: Page, *, whole: bool = True) -> str:
    """One job's page; `whole` is the page, else only the part that changes."""
    found = timeline.spans(job.history)
    drawn, left_out_s = timeline.without_long_queue(found, page.now_s)
    values = {
        "job": job,
        "badge": words.badge(job.status, job.phase),
        "headline": sentences.headline(job),
        "details": sentences.details(job, page.now_s),
        "moving": _moving(job),
        "failures": job.failures if job.status != "finished" else (),
        "same": None if job.same is None else errors.same(job.same, page.root),
        "failures_title": "What went wrong" if job.status in words.FINAL else "Why it waits",
        "gantt": Markup(timeline.gantt(drawn, page.now_s, title=f"Timeline of job {job.job_id}")),
        "left_out": words.duration(left_out_s) if left_out_s is not None else None,
        "spans": [
            {
                "label": timeline.LABELS[span.phase],
                "start_s": span.start_s,
                "length": words.duration(span.length_s(page.now_s))
                + ("" if span.end_s is not None else " so far"),
            }
            for span in found
        ],
        "use": used.values(job),
        "attempts": _attempts(job, page),
        "facts": _facts(job),
        "history": sorted(job.history, key=lambda change: change.at_s),
        "commands": _commands(job),
    }
    return _fill("job.html" if whole else "job_live.html", page, values)


def _moving(job: JobFacts) -> dict[str, Any] | None:
    """The progress of the present stage as a sentence and in percent."""
    if job.progress is None:
        return None
    share = job.progress.share
    return {
        "label": {"stagein": "Stage-in", "stageout": "Stage-out"}.get(job.phase or "", "Log"),
        "says": job.progress.says(),
        "percent": None if share is None else int(100 * share),
    }


def drawing(job: JobFacts, now_s: float) -> str:
    """One job's timeline as an SVG file; an empty drawing for a job without history."""
    drawn, _ = timeline.without_long_queue(timeline.spans(job.history), now_s)
    return timeline.standalone(drawn, now_s, title=f"Timeline of job {job.job_id}")


def _attempts(job: JobFacts, page: Page) -> list[dict[str, Any]]:
    if len(job.attempts) < 2:
        return []
    of = {other.job_id: timeline.spans(other.history) for other in job.attempts}
    everything = [span for found in of.values() for span in found]
    return [
        {
            "attempt_nr": other.attempt_nr,
            "job_id": other.job_id,
            "badge": words.badge(other.status),
            "strip": Markup(
                timeline.strip(of[other.job_id], page.now_s, title=f"Job {other.job_id}", within=everything)
            ),
        }
        for other in sorted(job.attempts, key=lambda other: (other.attempt_nr, other.job_id))
    ]


def _facts(job: JobFacts) -> list[tuple[str, str]]:
    known = (
        ("Job", str(job.job_id)),
        (
            "Attempt",
            str(job.attempt_nr) + (f" of at most {job.max_attempts}" if (job.max_attempts or 0) > 1 else ""),
        ),
        ("Queue", job.queue),
        ("Node", job.node),
        ("Pilot", job.pilot),
        ("Owner", job.owner),
        ("Priority", _number(job.priority)),
        ("Submitted", f"{words.clock(job.submitted_s)} UTC"),
        ("Payload's end", job.ending.says() if job.ending is not None else _number(job.payload_exit)),
        ("Events", _number(job.events_processed)),
        ("CPU time", None if job.cpu_time_s is None else words.duration(job.cpu_time_s)),
        ("Peak memory", None if job.peak_memory_kb is None else words.size(job.peak_memory_kb * 1024)),
    )
    return [(label, value) for label, value in known if value]


def _number(value: int | None) -> str | None:
    return None if value is None else str(value)


def _commands(job: JobFacts) -> list[str]:
    lines = [f"ppilot job describe {job.job_id}"]
    if job.status not in words.FINAL:
        lines.append(f"ppilot job kill {job.job_id}")
    if job.status in ("failed", "cancelled", "closed"):
        lines.append(f"ppilot job retry {job.job_id}")
    return lines


def cost(values: Mapping[str, Any], page: Page) -> str:
    """Where slot time went; `values` are those of `pages.cost`."""
    return _fill("cost.html", page, values)


def message(page: Page, *, what: str, evidence: str, next_step: str) -> str:
    """A page that says in three sentences why there is nothing else to see."""
    return _fill("message.html", page, {"what": what, "evidence": evidence, "next_step": next_step})
