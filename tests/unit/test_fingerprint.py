"""Fingerprints of errors that no rule explains: equal where only the job differs, different where the error does."""

from __future__ import annotations

import random
import re
import string
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus import cases
from picard_pilot.diagnosis.fingerprint import (
    FINGERPRINT,
    MOST_FRAMES,
    Likeness,
    how_it_ended,
    likeness,
    telling_logs,
    traceback_of,
)  # fmt: skip
from picard_pilot.diagnosis.normal import LINE_CHARACTERS, NORMAL_CHARACTERS, normal
from picard_pilot.model.bundle import Outcome
from picard_pilot.model.facts import Line
from picard_pilot.model.samples import failed

WORD = st.text(string.ascii_lowercase, min_size=3, max_size=9)
NUMBER = st.integers(0, 10**12).map(str)
HEX = st.text("0123456789abcdef", min_size=8, max_size=16).map(lambda text: f"0x{text}")
DIGEST = st.text("0123456789abcdef", min_size=31, max_size=31).map(lambda text: f"{text}7")
UUID = st.uuids().map(str)
FOLDER = st.lists(st.one_of(WORD, NUMBER, WORD.map(lambda word: f"{word}-1.x")), min_size=1, max_size=6).map(
    lambda parts: "/" + "/".join(parts) + "/"
)
MOMENT = st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)).flatmap(
    lambda moment: st.sampled_from(
        [
            moment.strftime("%Y-%m-%d %H:%M:%S"),
            moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            moment.strftime("%Y/%m/%d %H:%M:%S"),
            moment.strftime("%b %d %H:%M:%S"),
            moment.strftime("%a %b %d %H:%M:%S %Y"),
            moment.strftime("%d/%b/%Y:%H:%M:%S"),
            moment.strftime("%H:%M:%S,123"),
        ]
    )
)
HOST = st.one_of(
    st.tuples(WORD, WORD).map(lambda parts: f"{parts[0]}.{parts[1]}.example.org"),
    st.tuples(WORD, WORD).map(lambda parts: f"{parts[0]}-12.{parts[1]}.ch"),
    st.ip_addresses(v=4).map(str),
)
SIZE = st.tuples(st.integers(1, 10**9), st.sampled_from(["B", " kB", " MB", " GiB", " bytes"])).map(
    lambda parts: f"{parts[0]}{parts[1]}"
)
DATA = st.tuples(WORD, NUMBER).map(lambda parts: f"{parts[0]}.{parts[1]}._0001.pool.root.1")
SLOTS = {
    "pid": NUMBER, "address": HEX, "folder": FOLDER, "time": MOMENT, "host": HOST, "job": NUMBER, "uuid": UUID,
    "size": SIZE, "port": st.integers(1, 65535).map(str), "line": st.integers(1, 99999).map(str), "user": WORD,
    "data": DATA, "digest": DIGEST,
}  # fmt: skip
TEMPLATES = (
    "{time} [{pid}] ERROR cannot read {folder}{data}: checksum {digest} is not {digest}",
    "ERROR {time} worker on {host}:{port} died at {address}, job {job}",
    "{folder}bin/analysis.py:{line}: FATAL: request {uuid} of user '{user}' to https://{host}:{port}{folder}x failed",
    "Error: job {job} wrote {size} to '{folder}{data}' and failed",
    "fatal: root://{host}:{port}/{folder}{data} is corrupt (pid {pid}, {size} of {size})",
    "terminate called: {address} in {folder}libMuon.so.4.2(+{address})[{address}]",
    "mail for {user}@{host} failed at {time}",
)


def alike(
    streams: dict[str, list[str]], ended: str = "exit code 1", known: dict[str, str] | None = None
) -> Likeness:
    """The likeness of a failure with these logs."""
    logs = {name: [Line(at, line) for at, line in enumerate(lines)] for name, lines in streams.items()}
    return likeness(logs, ended, known)


def group(*lines: str, known: dict[str, str] | None = None) -> str:
    """The fingerprint of a stderr."""
    return alike({"payload.stderr": list(lines)}, known=known).fingerprint


@st.composite
def filled(draw: st.DrawFn, template: str) -> str:
    """The template with every slot drawn anew, also where one stands twice."""
    return re.sub(r"\{(\w+)\}", lambda slot: draw(SLOTS[slot[1]]), template)


@pytest.mark.parametrize("template", TEMPLATES)
@given(data=st.data())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_what_differs_from_job_to_job_does_not_count(template: str, data: st.DataObject) -> None:
    """Pids, addresses, directories, data files, times, hosts, users, ids, sizes, ports, lines: one group."""
    one, other = data.draw(filled(template)), data.draw(filled(template))
    assert group(one) == group(other), (normal(one), normal(other))


@given(st.permutations(TEMPLATES).flatmap(lambda two: st.tuples(filled(two[0]), filled(two[1]))))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_different_errors_stay_apart_whatever_their_jobs(two: tuple[str, str]) -> None:
    """Two sentences of two authors never meet."""
    assert group(two[0]) != group(two[1])


DIFFERENT = (
    "KeyError: 'electron_pt'",
    "KeyError: 'muon_pt'",
    "OSError: [Errno 28] No space left on device",
    "OSError: [Errno 5] Input/output error",
    "urllib.error.HTTPError: HTTP Error 503: Service Unavailable",
    "urllib.error.HTTPError: HTTP Error 404: Not Found",
    "error while loading shared libraries: libFoo.so.6: cannot open shared object file",
    "error while loading shared libraries: libBar.so.6: cannot open shared object file",
    "ModuleNotFoundError: No module named 'numpy'",
    "ModuleNotFoundError: No module named 'awkward'",
    "/cvmfs/atlas.cern.ch/repo/a: Transport endpoint is not connected, an error",
    "/cvmfs/sft.cern.ch/lcg/a: Transport endpoint is not connected, an error",
    "/scratch/1/a: Transport endpoint is not connected, an error",
    "fatal error in muons.py line 5",
    "fatal error in jets.py line 5",
    "error: cannot convert float32",
    "error: cannot convert float64",
    "[ERROR] Server responded with an error: [3011] x",
    "[ERROR] Server responded with an error: [3010] x",
    "curl: (22) The requested URL returned error: 404",
    "curl: (22) The requested URL returned error: 503",
    "curl: (28) Operation failed",
    "curl: (6) Operation failed",
    "requests.exceptions.HTTPError: 403 Client Error: Forbidden",
    "requests.exceptions.HTTPError: 401 Client Error: Forbidden",
    "gfal-copy error: 2 (No such file or directory)",
    "gfal-copy error: 13 (No such file or directory)",
    "ORA-12541: error",
    "ORA-12170: error",
    "ABORT : Retval = 255",
    "ABORT : Retval = 1",
    "cannot access '/cvmfs/atlas.cern.ch/repo'",
    "cannot access '/cvmfs/sft.cern.ch/repo'",
    "cp: error reading '/eos/lab/a.root'",
    "cp: error reading '/scratch/lab/a.root'",
    "child failed with signal 11",
    "child failed with signal 9",
)


def test_what_tells_errors_apart_counts() -> None:
    """Numbers of errors, names of modules, keys, libraries, source files and repositories."""
    assert len({group(line) for line in DIFFERENT}) == len(DIFFERENT)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("2026-11-23 05:18:32,123 | ERROR | lost 3 of 10 files", "ERROR | lost <n> of <n> files"),
        ("Nov 23 05:18:32 node017 python[1234]: ImportError: no", "node<n> python[<n>]: ImportError: no"),
        ("\x1b[31mError\x1b[0m in /a/b/run.sh: 3", "Error in run.sh: <n>"),
        ("cannot stat 'out put/x 1.root'", "cannot stat 'out put/x <file>.root'"),
        ("cannot stat '/a b/x 1.root'", "cannot stat '<file>.root'"),
        ("I/O error: read/write and/or TCP/IP of float32", "I/O error: read/write and/or TCP/IP of float32"),
        ("std::bad_alloc in abc::def::fed()", "std::bad_alloc in abc::def::fed()"),
        ("connect to 2001:db8::1 port 22", "connect to <host> port <n>"),
        ("/b/a.cc:12:34: error: 'x'", "a.cc:<n>:<n>: error: 'x'"),
        ("shapes (3,4) (5,6) differ after 12 s", "shapes (<n>) (<n>) differ after <length>"),
        ("/DC=ch/DC=cern/CN=Jane Doe is not a member", "<user> is not a member"),
        (
            "ls: '/cvmfs/sw.example.org/a/b' and /cvmfs/x.example.org/c.sh",
            "ls: '/cvmfs/sw.example.org/<path>' and /cvmfs/x.example.org/c.sh",
        ),
        (
            "too many of user namespaces, header 1f8b08, 3D of 17",
            "too many of user namespaces, header <n>, 3D of <n>",
        ),
        ("error: 17 events, error 5 of 6", "error: <n> events, error 5 of <n>"),
        ("error in /data/2026/11/23/a.root at 2026/11/23 05:18", "error in <file>.root at <time>"),
        ("user.jdoe.test is gone", "user.<user>.test is gone"),
    ],
)
def test_a_normalised_line_can_be_read(line: str, expected: str) -> None:
    """People see what a group is."""
    assert normal(line) == expected


def test_names_of_this_node_and_job_go_where_no_pattern_knows_them() -> None:
    """Whole words only, and none that are words of every log."""
    names = {"enterprise": "<host>", "enterprise.fleet": "<host>", "jluc": "<user>", "root": "<user>"}
    assert (
        normal("jluc on enterprise.fleet: root of enterprises", names)
        == "<user> on <host>: root of enterprises"
    )
    assert group("error on riker", known={"riker": "<host>"}) == group(
        "error on troi", known={"troi": "<host>"}
    )


PYTHON = """
unrelated error before
Traceback (most recent call last):
  File "/scratch/{job}/run.py", line {n}, in <module>
    main()
  File "/scratch/{job}/muons.py", line {n}, in main
    select(events)
  File "/scratch/{job}/muons.py", line {n}, in select
    raise ValueError(f"event {{number}} has no vertex")
ValueError: event {n} has no vertex
job done on node{n}
"""


def test_a_traceback_is_told_by_its_inner_functions_and_its_exception() -> None:
    """Also where a reader took the indentation away; what stands around it does not count."""
    one, other = (PYTHON.format(job=job, n=n).splitlines() for job, n in ((17, 3), (4711, 1234)))
    found = alike({"payload.stderr": one}, "exit code 1")
    assert found.text.splitlines() == [
        "run.py in <module>", "muons.py in main", "muons.py in select", "ValueError: event <n> has no vertex"
    ]  # fmt: skip
    assert found.evidence[-1].text == "ValueError: event 3 has no vertex"
    assert found.evidence[-1].file == "payload.stderr" and found.evidence[-1].offset == 9
    assert found.fingerprint == group(*other) == group(*(line.strip() for line in other))
    assert found.fingerprint == group(*(f"2026-11-02 10:00:00 | {line}" for line in other))
    assert found.fingerprint != group(*(line.replace("select", "cut") for line in one))


def test_an_endless_recursion_is_one_frame() -> None:
    """Whatever its depth."""
    deep = ["Traceback (most recent call last):"]
    for _ in range(500):
        deep += ['  File "/a/x.py", line 2, in f', "    return f()"]
    found = traceback_of([*deep, "RecursionError: maximum recursion depth exceeded"])
    assert found is not None and found[1] == ["x.py in f", "RecursionError: maximum recursion depth exceeded"]
    assert found[0] == [999, 1001] and len(found[0]) <= MOST_FRAMES + 1


def test_a_traceback_that_was_cut_off_is_none() -> None:
    """Its exception is what tells."""
    assert (
        traceback_of(["Traceback (most recent call last):", '  File "a.py", line 1, in f', "    f()"]) is None
    )


def test_the_last_lines_that_speak_of_an_error_are_chosen() -> None:
    """A repeated one counts once; harmless ones do not; stderr comes before stdout."""
    noise = [f"event {number} failed to converge" for number in range(50)]
    lines = [
        "FATAL no magnet",
        *noise,
        "cannot close the ring",
        "0 errors, 3 warnings",
        "WARNING: it may fail",
        "bye",
    ]
    found = alike({"payload.stderr": lines, "payload.stdout": ["error of stdout"]}, "exit code 3")
    assert found.text == "FATAL no magnet\nevent <n> failed to converge\ncannot close the ring"
    quiet = alike({"payload.stderr": ["hello"], "payload.stdout": ["error of stdout"]}, "exit code 3")
    assert quiet.text == "error of stdout" and quiet.evidence[0].file == "payload.stdout"


def test_where_nothing_speaks_of_an_error_its_end_counts() -> None:
    """The last line and the exit code; with words for the error the exit code says no more."""
    assert alike({"payload.stdout": ["step 3", "step 4", ""]}, "exit code 3").text == "exit code 3\nstep <n>"
    assert alike({}, "signal 9 (SIGKILL)").text == "signal 9 (SIGKILL)"
    spoken = {"payload.stderr": ["error: no"]}
    assert alike(spoken, "exit code 1").fingerprint == alike(spoken, "exit code 2").fingerprint


@given(st.lists(st.text(max_size=300), max_size=12))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_any_text_gets_a_fingerprint(lines: list[str]) -> None:
    """Binary rubbish too, and the same one each time; what is kept is bounded."""
    found = alike({"payload.stderr": lines}, "exit code 1")
    assert FINGERPRINT.fullmatch(found.fingerprint)
    assert found == alike({"payload.stderr": lines}, "exit code 1")
    assert all(len(line) <= NORMAL_CHARACTERS for line in found.text.splitlines())


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "/a",
        "a.",
        "a/",
        "1.",
        "1:",
        "::",
        "a@",
        "'/",
        "/CN=a",
        "x0",
        "a1_",
        "<n>",
        "…",
        'File "',
        "Errno ",
    ],
)
def test_a_line_of_a_million_characters_takes_no_longer_than_a_short_one(piece: str) -> None:
    """It is cut first, and no pattern goes over the same characters again and again."""
    line = "error " + piece * (1_000_000 // len(piece))
    assert len(normal(line)) <= NORMAL_CHARACTERS
    assert normal(line) == normal(line[: LINE_CHARACTERS + 1])
    assert len(alike({"payload.stderr": [line] * 5}, "exit code 1").text) <= 4 * NORMAL_CHARACTERS


def test_the_first_version_of_the_fingerprint_never_changes() -> None:
    """Groups on servers live longer than a release: another choice or normalisation is another version."""
    assert group("2026-11-23 05:18:32 ERROR cannot open /scratch/7/muons.root on wn12") == "fp1:e6c152622d2b"


def test_no_two_cases_of_the_corpus_with_different_verdicts_share_a_fingerprint() -> None:
    """Were a rule lost, its failures would still stand apart from those of all others; those that left no word cannot,
    and two that left the same words differ in what somebody else saw."""
    verdicts: dict[tuple[object, ...], set[tuple[str, str]]] = {}
    names: dict[tuple[object, ...], list[str]] = {}
    for case in cases():
        facts = case.facts
        alike = likeness(telling_logs(facts), how_it_ended(facts))
        if not alike.evidence:
            continue
        seen = (facts.kernel, facts.disk_full, facts.exit.stopped_by, facts.died_of, facts.watched)
        key = (alike.fingerprint, case.experiment, *seen)
        verdicts.setdefault(key, set()).add((case.error, case.blame))
        names.setdefault(key, []).append(case.name)
    assert [names[key] for key, told in verdicts.items() if len(told) > 1] == []


def elsewhere(text: str, chance: random.Random) -> str:
    """A line of the corpus as another job on another node would have written it at another time."""
    number = chance.randint
    for pattern, put in (
        (r"(?<!\d)\d{4}-\d\d-\d\d", lambda: f"{number(2000, 2040)}-{number(1, 12):02}-{number(1, 28):02}"),
        (r"(?<![\d:])\d\d:\d\d:\d\d", lambda: f"{number(0, 23):02}:{number(0, 59):02}:{number(0, 59):02}"),
        (r"(?<![\w.:-])(?<!error: \[)\d{4,}(?![\w.:-])", lambda: str(number(1000, 10**9))),
        (
            r"(?<!cvmfs/)\b[a-z0-9-]+\.example\.org",
            lambda: chance.choice(("wn-7.site.ch", f"x{number(1, 99)}.lab.edu")),
        ),
        (
            r"/(?:srv|scratch|home|data|tmp|work|pilot)/",
            lambda: chance.choice(("/q/w/", "/batch/12_3/x/", "/l/")),
        ),
        (r"\bline \d+", lambda: f"line {number(1, 5000)}"),
    ):
        text = re.sub(pattern, lambda _, put=put: put(), text)  # type: ignore[misc]
    return text


def test_every_case_of_the_corpus_has_one_fingerprint_wherever_it_happens() -> None:
    """With other times, numbers, hosts, directories and lines."""
    for case in cases():
        chance = random.Random(case.name)
        logs, ended = telling_logs(case.facts), how_it_ended(case.facts)
        moved = {
            name: [Line(line.offset, elsewhere(line.text, chance)) for line in lines]
            for name, lines in logs.items()
        }
        assert likeness(moved, ended).text == likeness(logs, ended).text, case.name


def test_a_report_tells_before_the_logs() -> None:
    """Its sentences that speak of an error, whatever its form; rubbish and depth do no harm."""
    nested: object = "deep error"
    for _ in range(5000):
        nested = [nested]
    for report, expected in (
        ({"exitMsg": "OK", "executor": [{"log": {"ERROR": [{"message": "Tool ERROR no mu_pt in\n/a/b.root"}]}}]},
         "Tool ERROR no mu_pt in <file>.root"),
        (["error 1", 7, None, {"a": "fine"}], "error 1"),
        (nested, "exit code 1\nlast line"),
        ("no such report", "no such report"),
        ({str(number): "fine" for number in range(10_000)}, "exit code 1\nlast line"),
    ):  # fmt: skip
        found = likeness(telling_logs(failed(1, stdout="last line", report=report)), "exit code 1")
        assert found.text == expected
    own = failed(1, stderr="bye", outcome=Outcome(exe_error_diag="no good events in 17"))
    assert likeness(telling_logs(own), "exit code 1").text == "exit code 1\nno good events in <n>"
    told = likeness(
        telling_logs(failed(1, stderr="error of stderr", error_report={"diag": "error of the report"})), ""
    )
    assert [(each.file, each.offset) for each in told.evidence] == [("payload_error_report.json", None)]
