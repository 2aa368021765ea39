"""The error catalogue: its numbers stay for ever, each row helps its readers, and nothing in it is for show."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from picard_pilot.diagnosis.catalogue import row as rows_of
from picard_pilot.diagnosis.catalogue.codes import BY_NAME, BY_NUMBER, ROWS, causes_of
from picard_pilot.diagnosis.catalogue.dispatcher import DISPATCHER_ROWS
from picard_pilot.diagnosis.catalogue.row import Category, Code, Reader
from picard_pilot.diagnosis.catalogue.shell import EXITS
from picard_pilot.diagnosis.catalogue.transfers import BY_KEY, Finer, next_step
from picard_pilot.diagnosis.catalogue.transfers import ROWS as CLASSES
from picard_pilot.diagnosis.faults import fault
from picard_pilot.lifecycle.causes import causes_first
from picard_pilot.model.fault import Blame
from picard_pilot.model.states import Phase
from picard_pilot.model.transfer import FailureClass
from picard_pilot.pilot.signals import ENDING, EXIT_BASE
from picard_pilot.server import watcher

SOURCE = Path(rows_of.__file__).parents[2]
FROZEN = Path(__file__).parents[1] / "samples" / "error_numbers.txt"

FROM_OUTSIDE = ("diagnosis/catalogue", "server", "tools", "cli", "testing")
"""Parts that name errors and raise none."""

OF_SIGNALS = "pilot/signals.py"
"""Some errors are called like the signals; elsewhere such a word means the signal."""

BY_NUMBER_ONLY = "wire/jobfields.py"
"""It is as pure as the catalogue and beside it, so it says numbers."""

EXITS_OF_WRAPPERS = {
    64: "1377", 65: "1008", 66: "1199", 67: "1103", 68: "1163 1177 1373", 69: "1098", 70: "1301", 71: "1116",
    72: "1117", 73: "1186", 74: "1330", 75: "1332", 76: "1342", 77: "1331", 78: "1359", 79: "1318", 80: "1382",
    81: "1213", 82: "1385", 83: "1386", 130: "1208", 131: "1202", 135: "1206", 137: "1200", 138: "1207",
    139: "1203", 143: "1201", 152: "1204",
}  # fmt: skip
"""What batch wrappers and Harvester take a pilot's exit codes for."""


def frozen() -> Iterator[tuple[int, str]]:
    """The numbers and names that are out in the world."""
    for line in FROZEN.read_text().splitlines():
        if not line.startswith("#"):
            number, name = line.split()
            yield int(number), name


def test_numbers_and_names_stay_what_they_are() -> None:
    """A number that once meant something means it for ever; whoever adds an error adds it to the list."""
    assert [(row.number, row.name) for row in ROWS] == sorted(frozen())
    for column in zip(*frozen(), strict=True):
        assert max(Counter(column).values()) == 1
    assert len(BY_NAME) == len(BY_NUMBER) == len(ROWS)


def raised() -> set[str]:
    """The errors that the source names where it does something."""
    found: set[str] = set()
    for path in SOURCE.rglob("*.py"):
        part = path.relative_to(SOURCE).as_posix()
        if part.startswith(FROM_OUTSIDE):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Constant):
                continue
            said = node.value
            if isinstance(said, str) and (part == OF_SIGNALS or not said.startswith("SIG")):
                found |= {said} & set(BY_NAME)
            if isinstance(said, int) and part == BY_NUMBER_ONLY and said in BY_NUMBER:
                found.add(BY_NUMBER[said].name)
    return found


def test_each_error_can_be_raised_or_says_why_not() -> None:
    """By the pilot itself or by a rule; one that neither knows is reserved, and no other is."""
    can = raised()
    reserved = {row.name for row in ROWS if row.reserved}
    assert sorted(set(BY_NAME) - can - reserved) == [], "nothing raises these, and they are not reserved"
    assert sorted(can & reserved) == [], "these are reserved and raised all the same"


@pytest.mark.parametrize(
    "row", [*ROWS, *CLASSES, *DISPATCHER_ROWS], ids=lambda row: getattr(row, "name", None) or row.key
)
def test_each_row_helps_its_readers(row: Code | Finer) -> None:
    """A summary that fits into a sentence, and sentences of advice; at least for the one who has to act."""
    assert row.summary[0].isupper() and not row.summary.endswith(".") and len(row.summary) <= 120
    for cause in row.causes:
        assert cause and not cause.endswith(".")
    for reader in Reader:
        text = row.advice(reader)
        assert not text or ((text[0].isupper() or text[0] == "`") and text.endswith("."))
    if isinstance(row, Code):
        assert row.next_step
        assert row in DISPATCHER_ROWS or row.since in (rows_of.PILOT1, rows_of.PILOT3, rows_of.LATER_PILOT3)
    else:
        assert row.causes and any(row.advice(reader) for reader in Reader)


def test_no_text_stands_in_many_places() -> None:
    """What helps with everything helps with nothing."""
    texts = Counter(
        text
        for row in (*ROWS, *CLASSES)
        for text in (row.summary, *(row.advice(reader) for reader in Reader))
        if text
    )
    most, times = texts.most_common(1)[0]
    assert times <= 4, most
    summaries = Counter(row.summary for row in (*ROWS, *CLASSES))
    assert max(summaries.values()) == 1


def test_advice_and_reasons_name_only_what_there_is() -> None:
    """Names of errors in texts are names of the catalogue; commands are commands of ours."""
    from picard_pilot.cli.nouns import NOUNS

    known = {*BY_NAME, "TMPDIR", "BEARER", "WORDS", "NUMBER", "NAME", "IMAGE", "ACTIVE", "CVMFS", "PATH"}
    for row in (*ROWS, *CLASSES, *DISPATCHER_ROWS):
        texts = "\n".join((row.summary, *row.causes, row.user, row.shift, row.site, row.reserved or ""))
        for word in re.findall(r"\b[A-Z]{8,}\b", texts):
            assert word in known, (row, word)
        for command, verb in re.findall(r"`ppilot (\w+)(?: (\w+))?", texts):
            assert command in NOUNS, (row, command)
            assert not NOUNS[command].verbs or verb in NOUNS[command].verbs, (row, verb)


def test_symptoms_have_causes_and_no_rings() -> None:
    """What an error follows from is in the catalogue, and never follows from it in turn."""
    for row in ROWS:
        assert len(set(row.symptom_of)) == len(row.symptom_of), row.name
        assert set(row.symptom_of) <= set(BY_NAME), row.name
        assert row.name not in causes_of(row.name), row.name


@pytest.mark.parametrize(
    "chain",
    [
        ("NOLOCALSPACE", "PAYLOADEXECUTIONFAILURE", "MISSINGOUTPUTFILE"),
        (
            "PAYLOADEXCEEDMAXMEM",
            "PAYLOADOUTOFMEMORY",
            "BADALLOC",
            "PAYLOADSIGSEGV",
            "PAYLOADEXECUTIONFAILURE",
        ),
        ("USERDIRTOOLARGE", "NOLOCALSPACE", "LOGFILECREATIONFAILURE"),
        ("NOPROXY", "CERTIFICATEHASEXPIRED", "STAGEOUTAUTHENTICATIONFAILURE", "STAGEOUTFAILED"),
        ("CVMFSISNOTALIVE", "MISSINGINSTALLATION", "SETUPFATAL", "PAYLOADEXECUTIONFAILURE", "ZEROFILESIZE"),
        ("REACHEDMAXTIME", "SIGTERM", "PAYLOADEXECUTIONFAILURE", "MISSINGOUTPUTFILE"),
        ("FRONTIER", "LOOPINGJOB", "PAYLOADEXECUTIONFAILURE"),
        ("SINGULARITYNEWUSERNAMESPACE", "SINGULARITYIMAGEMOUNTFAILURE", "SINGULARITYGENERALFAILURE"),
    ],
)
def test_the_root_cause_wins_in_whatever_order_faults_are_found(chain: tuple[str, ...]) -> None:
    """Also where an error in between was not found: what a cause follows from counts too."""
    made = [fault(name, name.lower(), rule="test") for name in chain]
    for found in (made[::-1], made, [*made[1:], made[0]]):
        assert [one.name for one in causes_first(found)] == list(chain)
    first, last = made[0], made[-1]
    assert [one.name for one in causes_first([last, first])] == [first.name, last.name]


def test_exit_codes_are_those_that_wrappers_know() -> None:
    """One meaning each, none is 1 or 2, and a pilot that a signal ends says 128 and its number."""
    told: dict[int, str] = {}
    for row in ROWS:
        if row.shell_exit is not None:
            told[row.shell_exit] = f"{told.get(row.shell_exit, '')} {row.number}".strip()
    assert told == EXITS_OF_WRAPPERS
    assert set(EXITS) <= set(BY_NAME)
    for number, name in ENDING.items():
        if name == number.name:
            assert EXITS[name] == EXIT_BASE + number


def test_each_phase_and_class_of_transfers_has_a_row() -> None:
    """And is told to the server under errors that there are."""
    assert {*BY_KEY} == {
        f"{phase}/{kind}" for phase in (Phase.STAGEIN, Phase.STAGEOUT) for kind in FailureClass
    }
    assert len(BY_KEY) == len(CLASSES)
    for one in CLASSES:
        assert one.told_as and set(one.told_as) <= set(BY_NAME)


def test_categories_have_the_numbers_of_the_monitor() -> None:
    """Seven, from 0 to 6, each with a word."""
    assert [category.value for category in Category] == [*range(7)]
    assert len({category.label for category in Category}) == 7


def test_a_fault_takes_what_the_catalogue_says() -> None:
    """And the finer class and the storage of whoever made it."""
    made = fault("STAGEINFAILED", "x", rule="test", finer="stagein/contact", endpoint="SITE_DISK")
    row = BY_NAME["STAGEINFAILED"]
    assert (made.code, made.blame, made.retry) == (1099, row.blame, row.retry)
    assert (made.finer, made.endpoint) == ("stagein/contact", "SITE_DISK")
    assert "USERDIRTOOLARGE" in made.symptom_of  # over NOLOCALSPACE


def test_the_next_step_is_the_most_exact_advice_for_whoever_has_to_act() -> None:
    """A class says more than a general number, and less than any other; who has to act may be known better."""
    failed, expired, contact = (
        BY_NAME["STAGEINFAILED"],
        BY_NAME["CERTIFICATEHASEXPIRED"],
        BY_KEY["stagein/contact"],
    )
    assert fault(failed.name, "x", rule="test", finer=contact.key).next_step == contact.site
    assert next_step(failed, None) == failed.site
    assert next_step(expired, "stagein/auth") == expired.site
    assert next_step(failed, contact.key, Blame.SERVER) == contact.shift
    assert next_step(failed, contact.key, Blame.USER) == failed.user
    assert next_step(BY_NAME["QUEUEDATANOTOK"], None, Blame.USER) == BY_NAME["QUEUEDATANOTOK"].shift


def test_the_servers_own_errors_have_rows() -> None:
    """All with which it ends jobs; none looks like a pilot's."""
    ours = {watcher.LOST_HEARTBEAT, watcher.RECOVERY_FAILED, watcher.NEVER_STARTED, watcher.HOLDING_TIMEOUT}
    assert {row.number for row in DISPATCHER_ROWS} == ours
    assert not ours & set(BY_NUMBER) and not {row.name for row in DISPATCHER_ROWS} & set(BY_NAME)
