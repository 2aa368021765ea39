"""`ppilot explain`: whatever people call an error, it is found and told to its reader; what is none is told apart."""

import json

import pytest

from picard_pilot.cli.exits import Exit
from picard_pilot.cli.main import main
from picard_pilot.diagnosis.catalogue.codes import ROWS
from picard_pilot.diagnosis.catalogue.lookup import ExitCode, Signal, Undocumented, Unknown, look_up
from picard_pilot.diagnosis.catalogue.plain import data
from picard_pilot.diagnosis.catalogue.row import Code, Reader
from picard_pilot.diagnosis.catalogue.transfers import ROWS as CLASSES
from picard_pilot.diagnosis.catalogue.transfers import Finer
from picard_pilot.tools.explain import WIDTH, told


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("1099", "STAGEINFAILED"),
        ("01099", "STAGEINFAILED"),
        ("pilot:1099", "STAGEINFAILED"),
        ("pilot 1099", "STAGEINFAILED"),
        ("StageInFailed", "STAGEINFAILED"),
        ("SIGXCPU", "SIGXCPU"),
        ("dispatcher:100", "LOSTHEARTBEAT"),
        ("jobdispatcher 102", "NEVERSTARTED"),
        ("LostHeartbeat", "LOSTHEARTBEAT"),
    ],
)
def test_an_error_by_number_and_by_name(words: str, name: str) -> None:
    """As monitors, logs and people write it."""
    found = look_up(words)
    assert isinstance(found, Code)
    assert found.name == name


@pytest.mark.parametrize(
    ("words", "number", "errors"),
    [
        ("exit 64", 64, ["CVMFSISNOTALIVE"]),
        ("exit:68", 68, ["NOPROXY", "NOVOMSPROXY", "CERTIFICATEHASEXPIRED"]),
        ("exit code 137", 137, ["KILLSIGNAL"]),
        ("exit status 7", 7, []),
        ("82", 82, ["NOJOBSINPANDA"]),
        ("trans:1", 1, []),
        ("payload:255", 255, []),
    ],
)
def test_an_exit_code(words: str, number: int, errors: list[str]) -> None:
    """A bare number that is no error may be one."""
    found = look_up(words)
    assert isinstance(found, ExitCode)
    assert (found.number, [row.name for row in found.rows]) == (number, errors)


@pytest.mark.parametrize(
    ("words", "number", "error"),
    [
        ("SIGKILL", 9, "KILLSIGNAL"),
        ("signal 9", 9, "KILLSIGNAL"),
        ("signal TERM", 15, "SIGTERM"),
        ("usr2", 12, "KILLSIGNAL"),
    ],
)
def test_a_signal(words: str, number: int, error: str) -> None:
    """Also one that has no number on the wire."""
    found = look_up(words)
    assert isinstance(found, Signal)
    assert (found.number, found.row.name) == (number, error)


def test_a_class_of_transfers() -> None:
    """In the words of the fault."""
    found = look_up("StageIn/contact")
    assert isinstance(found, Finer)
    assert found.key == "stagein/contact"


@pytest.mark.parametrize(
    ("words", "near"),
    [
        ("STAGINFAILED", "STAGEINFAILED"),
        ("stagein/contcat", "stagein/contact"),
        ("99999", "from 1008 to 1391"),
        ("123456789012345678901234567890", "from 1008 to 1391"),
        ("exit 300", ""),
        ("signal 77", ""),
        ("héllo wörld", "nothing has a similar name"),
        ("", ""),
    ],
)
def test_what_is_unknown_gets_the_nearest_names(words: str, near: str) -> None:
    """An error of three lines."""
    with pytest.raises(Unknown) as raised:
        look_up(words)
    assert near in raised.value.evidence
    assert "There is no error" in raised.value.what


@pytest.mark.parametrize(
    "words", ["1210", "taskbuffer:300", "ddm 200", "dispatcher:104", "sup:2", f"dispatcher:{'9' * 5000}"]
)
def test_what_exists_without_a_text_is_told_apart_from_what_does_not_exist(words: str) -> None:
    """An old pilot's number, and the server's own errors."""
    with pytest.raises(Undocumented) as raised:
        look_up(words)
    assert "no text for it" in raised.value.what
    assert "There is no" not in str(raised.value)


@pytest.mark.parametrize("reader", [None, *Reader])
def test_every_row_can_be_told_to_everybody(reader: Reader | None) -> None:
    """In lines that fit a terminal, with advice for the reader who is named, and as data."""
    for row in (*ROWS, *CLASSES):
        text = told(row, reader)
        assert max(map(len, text.splitlines())) <= WIDTH
        assert row.summary.split()[0] in text
        assert json.dumps(data(row, reader))
        if reader is not None:
            assert ("Nothing to do: " in text) == (not row.advice(reader))
            assert list(data(row, reader)["advice"]) == [reader.value]
    for number in range(256):
        found = look_up(f"exit {number}")
        assert "of a payload" in told(found).lower()
        assert json.dumps(data(found))


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of the command."""
    code = main(["explain", *words])
    seen = capsys.readouterr()
    return code, seen.out, seen.err


def test_the_command_explains_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Name, meaning, causes, who acts, what to do, and the exit code where there is one."""
    code, out, err = run(capsys, "1331")
    assert (code, err) == (Exit.DONE, "")
    for part in ("1331 MISSINGINPUTFILE", "Possible causes:", "users", "shifters", "sites", "exits with 77"):
        assert part in out


def test_the_command_tells_one_reader_his_part(capsys: pytest.CaptureFixture[str]) -> None:
    """And nobody else's."""
    _, out, _ = run(capsys, "NOREMOTESPACE", "--for", "site")
    assert "For sites: Free space" in out
    assert "For users" not in out and "shifters" not in out


def test_a_reserved_number_says_that_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Old servers and other pilots show it."""
    assert "Picard does not report it: no pilot sets it" in run(capsys, "1100")[1]


def test_unknown_is_exit_3(capsys: pytest.CaptureFixture[str]) -> None:
    """With --json as a document."""
    assert run(capsys, "STAGINFAILED")[0] == Exit.NOT_FOUND
    code, out, _ = run(capsys, "1210", "--json")
    assert (code, json.loads(out)["error"]["name"]) == (Exit.NOT_FOUND, "not_found")


def test_list_and_search(capsys: pytest.CaptureFixture[str]) -> None:
    """All errors; those in whose texts all the words are, classes of transfers included."""
    code, out, _ = run(capsys, "--list", "--json")
    assert (code, len(json.loads(out)["data"])) == (Exit.DONE, len(ROWS))
    code, out, _ = run(capsys, "--search", "proxy", "squid", "--json")
    assert [row["name"] for row in json.loads(out)["data"]] == ["CVMFSISNOTALIVE"]
    assert "stageout/register" in run(capsys, "--search", "rucio")[1]
    assert run(capsys, "--search", "quidditch")[0] == Exit.NOT_FOUND


def test_codes_and_names_as_tools_beside_harvester_read_them(capsys: pytest.CaptureFixture[str]) -> None:
    """`{code: [name, message]}` and nothing around it."""
    code, out, _ = run(capsys, "--codes")
    table = json.loads(out)
    assert (code, len(table)) == (Exit.DONE, len(ROWS))
    assert table["1099"] == ["STAGEINFAILED", "An input could not be staged in"]
    assert all(len(name_and_message) == 2 for name_and_message in table.values())


@pytest.mark.parametrize("words", [[], ["1099", "--list"], ["--codes", "--list"]])
def test_one_thing_at_a_time(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Else it is a usage error."""
    assert run(capsys, *words)[0] == Exit.USAGE
