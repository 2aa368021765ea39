"""The rules that every command keeps: help with examples, flags explained, errors of three lines, suggestions."""

import argparse
import importlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from picard_pilot.cli.exits import MEANINGS, Exit
from picard_pilot.cli.frame import Verb, build
from picard_pilot.cli.main import main
from picard_pilot.cli.nouns import NOUNS
from picard_pilot.cli.topics import agent_meanings
from picard_pilot.pilot.exits import Exit as AgentExit

COMMANDS: list[tuple[str, Verb]] = [
    (f"{noun} {name}" if entry.verbs else noun, verb)
    for noun, entry in NOUNS.items()
    for name, verb in importlib.import_module(entry.module).VERBS.items()
]


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A home, a directory and an environment in which nothing of this machine shows."""
    monkeypatch.chdir(tmp_path)
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    for name in ("PICARD_SERVER", "PANDA_SERVER_URL", "PICARD_QUEUE", "PICARD_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    yield


@pytest.mark.parametrize(("name", "entry"), NOUNS.items())
def test_the_table_of_commands_agrees_with_their_files(name: str, entry: object) -> None:
    """Verbs are listed twice, so that help needs no import; here they are compared."""
    verbs = importlib.import_module(NOUNS[name].module).VERBS
    assert tuple(verbs) == (NOUNS[name].verbs or (name,))


@pytest.mark.parametrize(("command", "verb"), COMMANDS, ids=[command for command, _ in COMMANDS])
def test_every_flag_is_explained_and_every_command_has_examples(command: str, verb: Verb) -> None:
    """Examples begin with the command itself; hidden flags are those of today's pilot and the negated ones."""
    parser = build(f"ppilot {command}", verb)
    for action in parser._actions:
        assert action.help, action.option_strings
    assert verb.examples
    name = "ppeek" if command == "peek" else f"ppilot {command}"
    assert any(name in example for example in verb.examples)


@pytest.mark.parametrize(("command", "verb"), COMMANDS, ids=[command for command, _ in COMMANDS])
def test_help_has_its_parts(command: str, verb: Verb, capsys: pytest.CaptureFixture[str]) -> None:
    """Examples, variables, exit codes, where to read on; on stdout, exit 0."""
    assert main([*command.split(), "--help"]) == 0
    text = capsys.readouterr().out
    for part in (verb.examples[0], "environment:", "exit codes:", "see also:", f"usage: ppilot {command}"):
        assert part in text


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_the_overview_lists_the_commands(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Also without any word, which is a usage error."""
    assert main(words) == (Exit.DONE if words else Exit.USAGE)
    text = capsys.readouterr().out
    assert all(entry.help in text for entry in NOUNS.values())


def test_a_noun_without_a_verb_lists_its_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    """On stderr, as a usage error; with --help on stdout."""
    assert main(["job"]) == Exit.USAGE
    assert "list, describe, kill, retry, debug" in capsys.readouterr().err
    assert main(["job", "--help"]) == Exit.DONE
    assert "list jobs" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["jbo", "list"], "ppilot job"),
        (["job", "lst"], "ppilot job list"),
        (["config", "show", "--orign"], "--origin"),
        (["plugin", "show", "genric"], "generic"),
        (["help", "exit-code"], "exit-codes"),
        (["config", "show", "pilot.lifetme"], "pilot.lifetime"),
        (["config", "show", "--fields", "kee"], "key"),
    ],
)
def test_misspelt_words_get_a_suggestion(
    words: list[str], meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In an error of three lines on stderr, and nothing on stdout."""
    assert main(words) in (Exit.USAGE, Exit.NOT_FOUND)
    seen = capsys.readouterr()
    assert seen.out == ""
    assert meant in seen.err
    assert len(seen.err.strip().splitlines()) == 3


@pytest.mark.parametrize(
    ("words", "code", "name"),
    [
        (["jbo", "--json"], 2, "usage"),
        (["config", "show", "--nonsense", "--json"], 2, "usage"),
        (["plugin", "show", "nothing", "--json"], 3, "not_found"),
        (["--json", "server", "status"], 3, "not_found"),
        (["job", "list", "--json"], 6, "unreachable"),
        (["config", "show", "--json", "--config", "/none/at/all.toml"], 2, "usage"),
        (["submit", "--json"], 2, "usage"),
    ],
)
def test_errors_are_json_too(
    words: list[str], code: int, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One document on stdout, nothing on stderr, the same exit code."""
    assert main(words) == code
    seen = capsys.readouterr()
    error = json.loads(seen.out)["error"]
    assert (error["code"], error["name"]) == (code, name)
    assert error["message"] and error["hint"]
    assert seen.err == ""


@pytest.mark.parametrize(
    "words",
    [
        ["config", "show"],
        ["config", "path"],
        ["plugin", "list"],
        ["plugin", "show", "generic"],
        ["plugin", "check", "generic"],
        ["help"],
        ["help", "states"],
        ["completion", "bash"],
        ["submit", "-q", "Q", "--dry-run"],
    ],
)
def test_json_is_exactly_one_document_with_its_schema(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever else is said goes to stderr."""
    command = ["--", "echo", "--json"] if words[0] == "submit" else []
    assert main([*words, "--json", *command]) == 0
    document = json.loads(capsys.readouterr().out)
    assert set(document) == {"schema", "data"}
    assert document["schema"].startswith("ppilot.")


def test_formats_and_fields(capsys: pytest.CaptureFixture[str]) -> None:
    """A table for people, values for scripts, chosen fields in their order."""
    base = ["config", "show", "pilot.lifetime", "pilot.redact", "--lifetime", "2h"]
    assert main(base) == 0
    assert capsys.readouterr().out == "KEY             VALUE\npilot.lifetime  7200\npilot.redact    -\n"
    assert main([*base, "--format", "plain", "--fields", "origin,key"]) == 0
    assert capsys.readouterr().out == "flag --lifetime\tpilot.lifetime\ndefault\tpilot.redact\n"
    assert main([*base, "--format", "csv", "--fields", "key,value"]) == 0
    assert capsys.readouterr().out == "key,value\npilot.lifetime,7200.0\npilot.redact,\n"
    assert main([*base, "--json", "--fields", "value"]) == 0
    assert json.loads(capsys.readouterr().out)["data"] == [{"value": 7200.0}, {"value": []}]
    assert main([*base, "--format", "wide"]) == 0
    assert "DEFAULT BECAUSE" in capsys.readouterr().out
    assert main([*base, "--format", "xml"]) == Exit.USAGE


def test_flags_may_stand_before_noun_and_verb(capsys: pytest.CaptureFixture[str]) -> None:
    """Global flags everywhere."""
    assert main(["--format", "plain", "config", "--fields", "value", "show", "pilot.jobs"]) == 0
    assert capsys.readouterr().out == "0\n"


def test_a_surprise_is_told_in_three_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a traceback only on request."""
    from picard_pilot.cli import config

    def fails(call: object) -> int:
        raise ZeroDivisionError("oh")

    monkeypatch.setitem(config.VERBS, "show", config.VERBS["show"]._replace(act=fails))
    assert main(["config", "show"]) == Exit.FAILED
    first = capsys.readouterr().err
    assert "ZeroDivisionError: oh" in first and "Traceback" not in first
    assert main(["config", "show", "-vv"]) == Exit.FAILED
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupt_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    """As shells expect."""
    from picard_pilot.cli import config

    def interrupted(call: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setitem(config.VERBS, "show", config.VERBS["show"]._replace(act=interrupted))
    assert main(["config", "show"]) == Exit.INTERRUPTED


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    """The same as the package's."""
    import tomllib

    assert main(["--version"]) == 0
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert capsys.readouterr().out == f"ppilot {project['version']}\n"


def test_all_exit_codes_are_documented() -> None:
    """Both families; the pilot's own are in the agent's table, and never 1 or 2."""
    assert set(MEANINGS) == set(Exit)
    assert {int(code) for code in AgentExit} <= set(agent_meanings())
    assert not {1, 2} & set(agent_meanings())


def test_no_parser_takes_abbreviations() -> None:
    """A new flag must not change what an old script means."""
    parser = build("ppilot x", COMMANDS[0][1])
    assert isinstance(parser, argparse.ArgumentParser) and not parser.allow_abbrev
