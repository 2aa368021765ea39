"""A job's history as phases, drawings and sentences."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import pytest

from picard_pilot.server.pages import render, sentences, timeline, words
from picard_pilot.server.pages.facts import Attempt, Change, Failure, FileFact, JobFacts


def history(*steps: tuple[float, str, str | None]) -> tuple[Change, ...]:
    """Changes at seconds after the start."""
    return tuple(Change(at_s=1000 + at, status=status, phase=phase) for at, status, phase in steps)


TRIP = history(
    (0, "activated", None),
    (1, "sent", None),
    (2, "starting", "setup"),
    (3, "starting", "stagein"),
    (5, "running", "running"),
    (5.5, "running", "running"),
    (15, "running", "stageout"),
    (16, "running", "finishing"),
    (17, "holding", "finished"),
    (18, "finished", "finished"),
)


def job(**known: object) -> JobFacts:
    """A job with what a test wants to be known."""
    facts: dict[str, object] = {
        "job_id": 3,
        "attempt_nr": 1,
        "status": "running",
        "submitted_s": 1000.0,
        **known,
    }
    return JobFacts(**facts)  # type: ignore[arg-type]


def test_history_folds_into_phases() -> None:
    """Repeats are one span, the server's states become phases, and the end of the job ends the last one."""
    found = timeline.spans(TRIP)
    assert [(span.phase, span.length_s(0)) for span in found] == [
        ("queued", 1),
        ("starting", 1),
        ("setup", 1),
        ("stagein", 2),
        ("running", 10),
        ("stageout", 1),
        ("finishing", 1),
        ("holding", 1),
    ]


def test_a_running_phase_has_no_end_yet() -> None:
    """What lasts grows with the clock, and says so in words."""
    found = timeline.spans(TRIP[:5])
    assert found[-1].end_s is None
    assert found[-1].length_s(1007.5) == 2.5
    assert timeline.describe(found, 1007.5).endswith("running 2.5 s so far")


def test_a_phase_met_again_is_a_span_of_its_own() -> None:
    """A job whose stage-in was resumed by a second pilot shows both."""
    found = timeline.spans(
        history((0, "starting", "stagein"), (1, "starting", "setup"), (2, "starting", "stagein"))
    )
    assert [span.phase for span in found] == ["stagein", "setup", "stagein"]


def test_history_out_of_order_is_put_in_order() -> None:
    """A clock set back in between gives no span of negative length."""
    found = timeline.spans(tuple(reversed(TRIP)))
    assert all(span.length_s(0) >= 0 for span in found)
    assert found[0].phase == "queued"


def test_an_unknown_phase_or_state_does_no_harm() -> None:
    """Another pilot's words are not drawn as if they were ours."""
    found = timeline.spans(history((0, "running", "pondering"), (1, "merging", None), (2, "failed", None)))
    assert [span.phase for span in found] == ["running", "holding"]


def test_the_waterfall_is_xml_with_a_label_in_words() -> None:
    """Each phase has its bar, its mark and its text; nothing needs a style attribute."""
    svg = timeline.gantt(timeline.spans(TRIP), 1018, title="Job <3>")
    root = ET.fromstring(svg)
    assert len(root.findall(".//rect[@class='bar']")) == 8
    assert "running 10.0 s" in root.get("aria-label", "")
    assert "Job <3>" in root.get("aria-label", "")
    assert "style=" not in svg
    texts = ["".join(text.itertext()) for text in root.iter("text")]
    assert "stage-in 2.0 s" in texts and "running 10.0 s" in texts
    marks = ET.fromstring(timeline.marks())
    ids = {pattern.get("id") for pattern in marks.iter("pattern")}
    assert {rect.get("fill") for rect in root.iter("rect") if rect.get("fill")} == {
        f"url(#{id_})" for id_ in ids
    }


@pytest.mark.parametrize("length_s", [0.0, 0.001, 0.3, 1.0, 59, 61, 3600, 90000, 3e6])
def test_bars_stay_inside_the_drawing(length_s: float) -> None:
    """Whatever the length, bars are visible and within, and few marks are on the axis."""
    steps = history((0, "starting", "setup"), (0, "running", "running"), (length_s, "finished", None))
    root = ET.fromstring(timeline.gantt(timeline.spans(steps), 1000 + length_s, title="t"))
    for rect in root.iter("rect"):
        left, width = (float(rect.get(name, "").rstrip("%")) for name in ("x", "width"))
        assert 0 <= left <= 100 and width >= 0.5 and left + width <= 100.7
    assert len(root.findall(".//line[@class='grid']")) <= timeline.MOST_TICKS


def test_nothing_is_drawn_of_nothing() -> None:
    """A job without history has no picture."""
    assert timeline.gantt([], 0, title="t") == "" == timeline.strip([], 0, title="t")


def test_a_long_wait_is_told_instead_of_drawn() -> None:
    """Ten minutes of waiting do not squeeze three seconds of work into a line."""
    found = timeline.spans(history((0, "activated", None), (600, "sent", None), (603, "failed", None)))
    drawn, left_out_s = timeline.without_long_queue(found, 1700)
    assert [span.phase for span in drawn] == ["starting"]
    assert left_out_s == 600
    assert timeline.without_long_queue(timeline.spans(TRIP), 2000)[1] is None


def test_the_file_for_documents_stands_alone() -> None:
    """The SVG file carries its colours and marks."""
    root = ET.fromstring(timeline.standalone(timeline.spans(TRIP), 1018, title="Job 3"))
    space = "{http://www.w3.org/2000/svg}"
    assert root.tag == f"{space}svg"
    assert len(list(root.iter(f"{space}pattern"))) == 8
    assert "--phase" in (root.findtext(f"{space}style") or "")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, "unknown"), (0.004, "4 ms"), (0.0996, "0.10 s"), (0.12, "0.12 s"), (0.9999, "1.0 s"), (59.96, "1 min 00 s"),
     (125, "2 min 05 s"), (3599.7, "1 h 00 min"), (7380, "2 h 03 min"), (90000, "1 d 01 h")],
)  # fmt: skip
def test_durations_have_two_parts_at_most(seconds: float | None, said: str) -> None:
    """Rounding never shows 60 s."""
    assert words.duration(seconds) == said


@pytest.mark.parametrize(
    ("size_bytes", "said"), [(None, "unknown"), (0, "0 B"), (178971, "174.8 KiB"), (5 << 40, "5.0 TiB")]
)  # fmt: skip
def test_sizes_are_binary(size_bytes: int | None, said: str) -> None:
    """Unknown is not zero."""
    assert words.size(size_bytes) == said


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ({"status": "activated", "queue": "Q"}, "Job 3 is waiting for a pilot at queue Q."),
        ({"status": "sent", "node": "n1"}, "Job 3 is starting on n1."),
        ({"status": "starting", "phase": "stagein", "node": "n1"}, "Job 3 is bringing its input to n1."),
        ({"phase": "running"}, "Job 3 is running its payload."),
        ({"phase": "running", "asked_to_stop": True}, "Job 3 is running its payload; it has been asked to stop."),
        ({"status": "holding"}, "Job 3 has ended on its node; the server is checking its report."),
        (
            {"status": "holding", "phase": "holding", "node": "n1"},
            "Job 3 waits: it could not be finished on n1, and a later pilot there goes on.",
        ),
        (
            {
                "status": "holding",
                "phase": "holding",
                "failures": (Failure(component="pilot", code=1137, says="outputs are safe in n1:/work"),),
            },
            "Job 3 waits: outputs are safe in n1:/work.",
        ),
        ({"status": "cancelled"}, "Job 3 was cancelled."),
        ({"status": "failed"}, "Job 3 failed: no reason was recorded."),
        ({"status": "failed", "payload_exit": 7}, "Job 3 failed: its payload exited with 7."),
        ({"status": "failed", "payload_exit": 137}, "Job 3 failed: its payload ended with 137: signal 9 (SIGKILL)."),
        ({"status": "finished", "history": TRIP}, "Job 3 finished: it had nothing to store, 17.0 s from start to end."),
    ],
)  # fmt: skip
def test_the_headline_says_what_is(known: dict[str, object], said: str) -> None:
    """One sentence for each state."""
    assert sentences.headline(job(**known)) == said


def test_the_first_error_is_the_cause() -> None:
    """Later symptoms do not hide it, and only its first line is in the headline."""
    failures = (
        Failure(component="pilot", code=1305, says="payload exited with 7: out of cheese.\nat line 3"),
        Failure(component="ddm", code=200, says="expected output is missing"),
    )
    assert sentences.headline(job(status="failed", failures=failures, payload_exit=7)) == (
        "Job 3 failed: payload exited with 7: out of cheese."
    )


def test_a_finished_job_counts_what_it_stored() -> None:
    """Inputs are not counted, nor what has no address."""
    files = tuple(
        FileFact(lfn=lfn, role=role, surl=surl)
        for lfn, role, surl in (("i", "input", "file:///i"), ("o", "output", "file:///o"), ("l", "log", None))
    )
    assert sentences.headline(job(status="finished", files=files)) == "Job 3 finished: 1 file stored."


def test_attempts_are_told_in_both_directions() -> None:
    """The attempt before and the attempt after are named with what became of them."""
    attempts = tuple(
        Attempt(job_id=number, attempt_nr=nr, status=status)
        for number, nr, status in ((2, 1, "failed"), (3, 2, "failed"), (9, 3, "running"))
    )
    said = sentences.details(job(attempt_nr=2, max_attempts=3, status="failed", attempts=attempts), 2000)
    assert said == [
        "This is attempt 2 of at most 3.",
        "The attempt before it, job 2, failed.",
        "It was tried again as job 9, which is running.",
    ]


def test_a_silent_pilot_is_worth_a_sentence() -> None:
    """After an hour without a word the page says so."""
    assert sentences.details(job(heard_s=1000.0), 2000) == []
    assert sentences.details(job(heard_s=1000.0), 1000 + 7200) == [
        "Its pilot has not been heard of for 2 h 00 min."
    ]


def test_a_long_cause_is_cut_between_words() -> None:
    """The heading stays a heading; the whole text is in the error's card."""
    failure = Failure(component="pilot", code=1331, says="no replica of the file " * 20)
    said = sentences.headline(job(status="failed", failures=(failure,)))
    assert len(said) < 160 and said.endswith(" …")


@pytest.mark.parametrize(
    ("facts", "said"),
    [({"status": "ready", "role": "input"}, "listed"), ({"status": "failed", "role": "input"}, "failed"),
     ({"status": "ready", "role": "input", "how": "copy", "failed_tries": ("A: missing",)}, "staged"),
     ({"status": "ready", "role": "input", "failed_tries": ("A: missing",)}, "not staged"),
     ({"status": "failed", "role": "log", "surl": "file:///x"}, "stored"),
     ({"status": "unknown", "role": "output"}, "not stored"),
     ({"status": "absent", "role": "output"}, "absent, as allowed")],
)  # fmt: skip
def test_files_are_told_by_what_is_known_of_them(facts: dict[str, Any], said: str) -> None:
    """A log that was stored is stored, also when its job failed, and an input nobody had is not staged."""
    assert words.file_state(FileFact(lfn="f", **facts)) == said


def test_a_held_job_says_why_it_waits() -> None:
    """In the list as well as on its page, and not as something that is over: it is only late."""
    failure = Failure(
        component="pilot", code=1137, says="outputs are safe in n1:/w until noon", blame="storage"
    )
    held = job(status="holding", phase="holding", failures=(failure,))
    page = render.Page(now_s=2000)
    assert 'why-held">outputs are safe in n1:/w until noon<' in render.jobs(
        [held], {"holding": 1}, page, whole=False
    )
    shown = render.job(held, page, whole=False)
    assert "Why it waits" in shown and "What went wrong" not in shown
    assert "What went wrong" in render.job(job(status="failed", failures=(failure,)), page, whole=False)


def test_a_good_report_that_the_server_checks_has_no_reason_beside_it() -> None:
    """Every job is `holding` for a moment; only one that has a reason tells it."""
    rows = [job(status="holding", phase="finished")]
    listed = render.jobs(rows, {"holding": 1}, render.Page(now_s=2000), whole=False)
    assert "job-3" in listed and 'class="why' not in listed
