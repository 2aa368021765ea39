"""`ppilot run`'s command line: today's pilot's flags are taken, and an error never ends in 1 or 2."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from picard_pilot.cli.exits import AGENT_EXCEPTION, AGENT_GENERAL_ERROR
from picard_pilot.cli.main import main
from picard_pilot.model.command import ProcessId
from picard_pilot.settings.pilot3 import OLD_FLAGS, OldFlag
from picard_pilot.settings.settings import Settings

TODAYS = (
    *("-q", "AGLT2", "--pilot-user", "atlas", "-j", "managed", "-r", "X", "-s", "Y", "--job-type", "managed"),
    *("--resource-type", "SCORE", "-v", "2", "-x", "5", "--url", "https://panda.example.org", "-p", "25443"),
    *(
        "-z",
        "-k",
        "-t",
        "-u",
        "-y",
        "-w",
        "generic",
        "-a",
        "/tmp",
        "-l",
        "324000",
        "-L",
        "3600",
        "-b",
        "-i",
        "PR",
    ),
    *("-d", "--cacert", "/p", "--capath", "/c", "--cleanup", "False", "--harvester-submit-mode", "PULL"),
    *("--use-https", "True", "--no-pilot-log", "--pod", "--subscribe-to-msgsvc"),
)


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Settings]]:
    """The settings with which the pilot was started, instead of starting it."""
    import picard_pilot.pilot.main as pilot

    seen: list[Settings] = []
    monkeypatch.chdir(tmp_path)
    for name in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    for name in (
        *(
            "PICARD_SERVER",
            "PANDA_SERVER_URL",
            "PICARD_QUEUE",
            "PICARD_CONFIG",
            "PICARD_TOKEN_FILE",
            "PICARD_CA",
        ),
        *("PICARD_SERVER_DATA_DIR", "XDG_STATE_HOME", "BEARER_TOKEN", "BEARER_TOKEN_FILE"),
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pilot, "run_pilot", lambda settings, environ: seen.append(settings) or 0)
    yield seen


def test_todays_command_line_is_understood(ran: list[Settings], capsys: pytest.CaptureFixture[str]) -> None:
    """Flags that mean the same set our options; each of the others is warned about once."""
    assert main(["run", *TODAYS]) == 0
    (settings,) = ran
    assert (settings.queue, settings.experiment, settings.job_label) == ("AGLT2", "atlas", "managed")
    assert (settings.server_url, settings.port) == ("https://panda.example.org", 25443)
    assert (settings.workdir, settings.lifetime_s, settings.debug, settings.cleanup) == (
        "/tmp",
        324000.0,
        True,
        False,
    )
    assert (settings.x509_proxy, settings.ca, settings.resource_type) == ("/p", "/c", "SCORE")
    said = capsys.readouterr().err.splitlines()
    for flag in ("-r", "-s", "-v 2", "-x", "-z", "-k", "--pod"):
        assert len([line for line in said if line.startswith(f"warning: {flag} has no effect: ")]) == 1
    assert not [
        line for line in said if "-w" in line or "--use-https" in line or " -i " in line or " -L " in line
    ]


@pytest.mark.parametrize("old", OLD_FLAGS, ids=lambda old: old.flags[-1])
def test_every_flag_of_todays_pilot_is_taken(old: OldFlag, ran: list[Settings]) -> None:
    """In each spelling, with its value."""
    for flag in old.flags:
        value = [(*old.only, *old.expected, "x")[0]] if old.takes_value else []
        assert main(["run", "-q", "Q", "--server", "https://x", flag, *value]) == 0
    assert len(ran) == len(old.flags)


@pytest.mark.parametrize(
    "words", [["-w", "stager"], ["--harvester-submit-mode", "PUSH"], ["--use-https", "False"]]
)
def test_what_it_would_be_wrong_to_ignore_is_refused(
    words: list[str], ran: list[Settings], capsys: pytest.CaptureFixture[str]
) -> None:
    """A pilot that was told to work otherwise must not take jobs."""
    assert main(["run", "-q", "Q", "--server", "https://x", *words]) == AGENT_GENERAL_ERROR
    assert not ran
    assert "cannot be obeyed" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--nonsense"],
        ["-q"],
        ["-q", "Q"],
        ["-q", "Q", "--server", "https://x", "--lifetime", "soon"],
        ["-q", "Q", "--server", "http://x"],
        ["-q", "Q", "--server", "https://x", "stray"],
        ["-q", "Q", "--config", "/none/at/all.toml"],
    ],
)
def test_a_usage_error_is_65_and_stands_in_the_log(
    words: list[str], ran: list[Settings], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On stderr and in pilotlog.txt, since often only one of the two is kept."""
    assert main(["run", *words]) == AGENT_GENERAL_ERROR
    assert not ran
    said = capsys.readouterr().err
    logged = (tmp_path / "pilotlog.txt").read_text()
    assert said.splitlines()[-3].removeprefix("error: ") in logged
    assert all(" | ERROR " in line for line in logged.splitlines())


def test_without_a_name_the_user_s_own_server_is_taken(
    ran: list[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its authority and its token for pilots, unless others are named; where none runs, it is an error."""
    from picard_pilot.server import control
    from picard_pilot.server.info import ServerInfo

    assert main(["run", "-q", "Q"]) == AGENT_GENERAL_ERROR and not ran
    running = ServerInfo(
        url="https://127.0.0.1:4711", host="127.0.0.1", port=4711, process=ProcessId(pid=1, start_ticks=1),
        boot_id="b", ca_file="/s/ca.pem", data_dir="/s", started_at_s=0.0,
    )  # fmt: skip
    monkeypatch.setattr(control, "status", lambda data_dir: running)
    assert main(["run", "-q", "Q"]) == 0
    assert main(["run", "-q", "Q", "--token-file", "/mine"]) == 0
    assert main(["run", "-q", "Q", "--server", "https://panda.example.org"]) == 0
    own, named, elsewhere = ran
    assert (own.server_url, own.ca) == ("https://127.0.0.1:4711", "/s/ca.pem")
    assert str(own.token_file).endswith("/tokens/pilot.token") and named.token_file == "/mine"
    assert (elsewhere.server_url, elsewhere.ca, elsewhere.token_file) == (
        "https://panda.example.org",
        None,
        None,
    )


def test_a_surprise_is_70(
    ran: list[Settings], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Never the interpreter's own 1."""
    import picard_pilot.pilot.main as pilot

    def fails(settings: Settings, environ: object) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(pilot, "run_pilot", fails)
    assert main(["run", "-q", "Q", "--server", "https://x"]) == AGENT_EXCEPTION
    assert "Traceback" in capsys.readouterr().err


def test_verbose_means_verbose_unless_a_number_follows(ran: list[Settings]) -> None:
    """`-v 2` is today's pilot's number of requests."""
    for words in (["-v"], ["-vv"], ["-v", "2"]):
        assert main(["run", "-q", "Q", "--server", "https://x", *words]) == 0
    assert [settings.debug for settings in ran] == [True, True, False]


def test_yes_and_no(ran: list[Settings]) -> None:
    """Our way and today's pilot's way to say it."""
    for words in (["--no-cleanup"], ["--cleanup", "False"], ["--cleanup"], []):
        assert main(["run", "-q", "Q", "--server", "https://x", *words]) == 0
    assert [settings.cleanup for settings in ran] == [False, False, True, True]
