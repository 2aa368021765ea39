"""The commands against a real server, as processes: what people and scripts see of jobs."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from picard_pilot.server import control
from picard_pilot.server.settings import ServerSettings

PROGRAM = [sys.executable, "-m", "picard_pilot.cli.main"]


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """An environment in which a server runs, found by its data folder; nothing else of this machine shows."""
    home = tmp_path_factory.mktemp("home")
    data_dir = home / "picard" / "server"
    data_dir.mkdir(parents=True, mode=0o700)
    control.start_detached(ServerSettings(data_dir=str(data_dir), pages=False))
    try:
        yield {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "XDG_STATE_HOME": str(home),
            "PICARD_QUEUE": "Q",
        }
    finally:
        control.stop(data_dir)
    # Commands come and go, each with a connection of its own: none of them is worth a word in the server's log.
    assert "Traceback" not in (data_dir / "server.log").read_text()


def ppilot(environ: dict[str, str], *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """One command as a process of its own."""
    return subprocess.run(
        [*PROGRAM, *words], env=environ, input=stdin, capture_output=True, text=True, timeout=60
    )


def submitted(environ: dict[str, str], *flags: str) -> str:
    """The id of a new job."""
    done = ppilot(environ, "submit", "--quiet", *flags, "--", "sh", "-c", "exit 3")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_job_is_submitted_listed_described_killed_and_retried(environ: dict[str, str]) -> None:
    """The whole round, with ids as scripts pass them on."""
    job_id = submitted(environ, "--name", "round", "--output", "out.txt")
    rows = json.loads(ppilot(environ, "job", "list", "--json").stdout)["data"]
    assert next(row for row in rows if str(row["job_id"]) == job_id)["status"] == "activated"
    told = ppilot(environ, "job", "describe", job_id).stdout
    assert f"Job {job_id} (round) of" in told and "waits for a pilot" in told and "out.txt" in told
    killed = ppilot(environ, "job", "kill", job_id, "--yes", "--json")
    assert json.loads(killed.stdout)["data"] == [
        {"job_id": int(job_id), "result": "killed", "note": "it is cancelled"}
    ]
    retried = ppilot(environ, "job", "retry", "-", stdin=job_id)
    assert retried.returncode == 0 and "retried" in retried.stdout
    latest = json.loads(ppilot(environ, "job", "describe", "latest", "--json").stdout)["data"]
    assert latest["attempts"][0]["job_id"] == int(job_id)
    assert len(latest["attempts"]) == 2


@pytest.mark.parametrize(
    "words",
    [
        ["job", "list"],
        [
            "job",
            "list",
            "--state",
            "activated,failed",
            "--since",
            "2h",
            "--error",
            "1305",
            "--owner",
            "me",
            "--queue",
            "Q",
        ],
        ["job", "describe", "1"],
        ["job", "kill", "1-2", "--dry-run"],
        ["job", "retry", "1", "--dry-run"],
        ["job", "debug", "on", "latest"],
        ["server", "status"],
        ["server", "token", "user"],
        ["server", "token", "--path"],
        ["server", "token", "--login"],
        ["submit", "--", "date"],
    ],
)
def test_every_answer_is_one_json_document(environ: dict[str, str], words: list[str]) -> None:
    """On stdout alone."""
    submitted(environ)
    place = words.index("--") if "--" in words else len(words)
    done = ppilot(environ, *words[:place], "--json", *words[place:])
    document = json.loads(done.stdout)
    assert done.returncode == 0, document
    assert document["schema"].startswith("ppilot.") and "data" in document


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["job", "describe", "999999"], 3),
        (["job", "describe", "x"], 2),
        (["job", "list", "--limit", "0"], 2),
        (["job", "list", "--since", "yesterday"], 2),
        (["job", "list", "--state", "failed,sleeping"], 2),
        (["job", "kill", "999999", "--yes"], 1),
        (["job", "retry", "999999"], 1),
        (["job", "debug", "on", "999999"], 1),
        (["job", "kill", "1"], 2),
        (["peek", "1"], 3),
        (["server", "start"], 8),
        (["submit", "--retries", "1000", "--", "date"], 1),
        (["job", "list", "--server", "https://127.0.0.1:1"], 6),
        (["submit", "--wait", "--timeout", "0.5", "--", "date"], 7),
    ],
)
def test_failures_have_their_exit_codes(environ: dict[str, str], words: list[str], code: int) -> None:
    """And errors are three lines on stderr."""
    submitted(environ)
    done = ppilot(environ, *words)
    assert done.returncode == code, done.stderr
    if code != 1 or words[0] == "submit":
        error = done.stderr[done.stderr.index("error: ") :]
        assert len(error.strip().splitlines()) == 3


def test_a_bad_token_is_not_allowed(environ: dict[str, str], tmp_path: Path) -> None:
    """Exit code 5, and the token is not in the text."""
    (tmp_path / "token").write_text("not.a.token")
    done = ppilot(environ, "job", "list", "--token-file", str(tmp_path / "token"))
    assert done.returncode == 5
    assert "not.a.token" not in done.stderr


def test_a_token_file_that_is_not_there_is_named(environ: dict[str, str], tmp_path: Path) -> None:
    """Rather than only asking for a token."""
    missing = tmp_path / "nothing-here"
    done = ppilot(environ, "job", "list", "--token-file", str(missing))
    assert done.returncode == 5
    assert str(missing) in done.stderr and "No such file" in done.stderr


def test_a_server_that_is_not_trusted_is_not_used(environ: dict[str, str], tmp_path: Path) -> None:
    """Without its authority there is no connection, even to the same address."""
    url = json.loads(ppilot(environ, "server", "status", "--json").stdout)["data"]["url"]
    elsewhere = {**environ, "XDG_STATE_HOME": str(tmp_path)}
    done = ppilot(elsewhere, "job", "list", "--server", url)
    assert done.returncode == 6
    assert "tls" in done.stderr and "--ca" in done.stderr


def test_without_a_server_the_way_to_one_is_told(environ: dict[str, str], tmp_path: Path) -> None:
    """Exit code 6 for a question, 3 for the server's own verbs."""
    nowhere = {**environ, "XDG_STATE_HOME": str(tmp_path)}
    done = ppilot(nowhere, "job", "list")
    assert done.returncode == 6 and "ppilot server start" in done.stderr
    assert ppilot(nowhere, "server", "status").returncode == 3
    assert ppilot(nowhere, "server", "stop").returncode == 3


def test_a_server_is_started_and_stopped(environ: dict[str, str], tmp_path: Path) -> None:
    """As a process that outlives the command, in a folder of its own."""
    own = {**environ, "XDG_STATE_HOME": str(tmp_path)}
    started = ppilot(own, "server", "start", "--port", "0", "--json")
    try:
        facts = json.loads(started.stdout)["data"]
        assert facts["login_url"].startswith(facts["url"])
        assert json.loads(ppilot(own, "server", "status", "--json").stdout)["data"]["pid"] == facts["pid"]
    finally:
        stopped = ppilot(own, "server", "stop")
    assert stopped.returncode == 0
    assert ppilot(own, "server", "status").returncode == 3


def test_a_port_that_is_taken_is_told_with_the_way_out(environ: dict[str, str], tmp_path: Path) -> None:
    """Nothing runs afterwards."""
    own = {**environ, "XDG_STATE_HOME": str(tmp_path)}
    taken = json.loads(ppilot(environ, "server", "status", "--json").stdout)["data"]["port"]
    done = ppilot(own, "server", "start", "--port", str(taken))
    assert done.returncode == 1
    assert "Address already in use" in done.stderr and "--port" in done.stderr
    assert ppilot(own, "server", "status").returncode == 3


def test_an_open_door_needs_a_word(environ: dict[str, str], tmp_path: Path) -> None:
    """Another address than loopback is refused without --allow-remote."""
    own = {**environ, "XDG_STATE_HOME": str(tmp_path)}
    done = ppilot(own, "server", "start", "--port", "0", "--host", "0.0.0.0")
    assert done.returncode == 2 and "--allow-remote" in done.stderr


def test_a_person_is_asked_before_a_job_is_killed(environ: dict[str, str]) -> None:
    """On a terminal; `n` changes nothing and is exit code 1, `y` kills."""
    job_id = submitted(environ)
    for answer, code, status in ((b"n\n", 1, "activated"), (b"y\n", 0, "cancelled")):
        assert _in_terminal(environ, ["job", "kill", job_id], b"[y/N]", answer) == code
        row = json.loads(ppilot(environ, "job", "describe", job_id, "--json").stdout)["data"]["row"]
        assert row["status"] == status


def _in_terminal(environ: dict[str, str], words: list[str], wait_for: bytes, answer: bytes) -> int:
    """Run a command on a terminal, type `answer` when `wait_for` has appeared; its exit code."""
    mine, its = pty.openpty()
    try:
        process = subprocess.Popen([*PROGRAM, *words], env=environ, stdin=its, stdout=its, stderr=its)
        os.close(its)
        seen = b""
        while wait_for not in seen:
            assert select.select([mine], [], [], 30)[0], seen
            seen += os.read(mine, 4096)
        os.write(mine, answer)
        while _read(mine):
            pass
        return process.wait(30)
    finally:
        os.close(mine)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # the other end is closed
        return b""


def test_a_closed_pipe_ends_in_silence(environ: dict[str, str]) -> None:
    """Exit code 141, not a word."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*PROGRAM, "config", "show"], env=environ, stdout=writer, stderr=subprocess.PIPE, timeout=60
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


def test_an_interrupted_wait_is_130(environ: dict[str, str]) -> None:
    """Ctrl-C while waiting for a job that nobody runs."""
    # Tests that were started in the background have SIGINT ignored, and would pass that on.
    words = ["env", "--default-signal=INT", *PROGRAM, "submit", "--wait", "--", "date"]
    process = subprocess.Popen(words, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert "waiting for the end" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=120)
    assert (process.returncode, out) == (130, "")


def test_help_imports_nothing_heavy(environ: dict[str, str]) -> None:
    """So that it appears at once; the time itself is a benchmark's business."""
    heavy = ("asyncio", "ssl", "urllib3", "sqlite3", "starlette", "rich", "importlib.metadata", "jwt")
    for words in ("--help", "job list --help", "run --help", "config show"):
        program = (
            "import sys; from picard_pilot.cli.main import main; "
            f"main({words.split()!r}); sys.stderr.write(' '.join(set(sys.modules) & set({heavy!r})))"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], env=environ, capture_output=True, text=True, timeout=60
        )
        assert done.stderr == "", words


@pytest.mark.parametrize(
    ("address", "what", "next_step"),
    [
        ("root://door//x", "The mover http does not speak root://", "Try the mover xrootd on it"),
        ("htp://door/x", "The mover http does not speak htp://", "Name an address of one of these schemes"),
        ("/mnt/x", "'/mnt/x' is no address", "Name an address of one of these schemes"),
    ],
)
def test_a_mover_is_not_judged_by_another_ones_work(
    environ: dict[str, str], address: str, what: str, next_step: str
) -> None:
    """For an address that the named mover does not speak the pilot would take another."""
    done = ppilot(environ, "plugin", "check", "http", "--storage", address)
    assert done.returncode == 2 and what in done.stderr and next_step in done.stderr
