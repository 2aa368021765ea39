"""`ppilot job replay` of a recipe that somebody tampered with, or whose words are odd: nothing happens elsewhere, every
word arrives as it was, and nothing secret or steering is told."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from picard_pilot.cli.main import main
from picard_pilot.journal.file import Journal
from picard_pilot.model import events as ev
from picard_pilot.model.command import PayloadExit
from picard_pilot.model.job import Job
from picard_pilot.model.recipe import JOB_DIRECTORY, RECIPE_NAME, Recipe, RecipeInput
from picard_pilot.payload import jobdir
from picard_pilot.testing.clock import VirtualClock
from picard_pilot.tools import replay, replay_run


def job_with(tmp_path: Path, parameters: str = "", **recipe: object) -> Path:
    """The directory of a job that ended well, with this in its recipe."""
    bundle, clock = jobdir.make(tmp_path, 17, 1), VirtualClock()
    journal = Journal(Path(bundle.private, "journal.jsonl"), "p1", clock.now_utc)
    now = clock.now_utc()
    for event in (
        ev.JobReceived(
            job=Job(job_id=17, attempt_nr=1, transformation="true", parameters=parameters), queue="Q"
        ),
        ev.Admitted(),
        ev.Prepared(),
        ev.PayloadStarted(pid=1, start_ticks=1, started_at=now),
        ev.PayloadExited(exit=PayloadExit(started_at=now, ended_at=now, wall_s=1.0, exit_code=0)),
    ):
        journal.append(event)
    journal.close()
    usual: dict[str, object] = {"argv": ("/bin/true",), "environment": {"PATH": os.environ["PATH"]}}
    whole = {
        "job_id": 17,
        "attempt_nr": 1,
        "queue": "Q",
        "experiment": "generic",
        "version": "1",
        **usual,
        **recipe,
    }
    made = msgspec.convert(whole, Recipe)
    Path(bundle.private, RECIPE_NAME).write_bytes(msgspec.json.encode(made))
    return Path(bundle.directory)


def tree(folder: Path) -> dict[str, bytes]:
    """All plain files below it."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "lfn", ["", ".", "..", "../../up", "/etc/passwd", "a\0b", "x" * 300, "picard", ".tmp", "payload.stdout"]
)
def test_an_input_cannot_lie_elsewhere(tmp_path: Path, lfn: str) -> None:
    """A name that leads out of the directory, or stands for one of ours, makes nothing of all of it."""
    source = tmp_path / "source"
    source.write_bytes(b"from elsewhere")
    folder = job_with(tmp_path, inputs=(RecipeInput(lfn=lfn, surl=f"file://{source}"),))
    before = tree(tmp_path)
    with pytest.raises(replay.NoReplay, match="no recipe that a pilot wrote"):
        replay.make(folder, tmp_path / "again")
    assert tree(tmp_path) == before
    assert not (tmp_path / "again").exists()


def test_a_file_elsewhere_is_neither_replaced_nor_removed(tmp_path: Path) -> None:
    """An absolute name, whose wrong size would have had it cleared away as a bad copy."""
    precious = tmp_path / "precious"
    precious.write_bytes(b"of the user")
    folder = job_with(tmp_path, inputs=(RecipeInput(lfn=str(precious), size_bytes=1),))
    with pytest.raises(replay.NoReplay):
        replay.make(folder, tmp_path / "again")
    assert precious.read_bytes() == b"of the user"


@pytest.mark.parametrize(
    "recipe", [{"argv": ()}, {"argv": ("a\0b",)}, {"environment": {"A=B": "c"}}, {"environment": {"A": "\0"}}]
)
def test_what_cannot_be_started_is_refused(tmp_path: Path, recipe: dict[str, object]) -> None:
    """No process has such words or variables: the shell's script would start something else."""
    with pytest.raises(replay.NoReplay, match="no recipe that a pilot wrote"):
        replay.make(job_with(tmp_path, **recipe), tmp_path / "again")


ODD = ("a'b", "$(id)", "`id`", "x\ny", "-rf", "", f"{JOB_DIRECTORY}/x y", "\\", "é", '"')
SHOW = """
import os, sys
ours = {".tmp", "picard", "payload.stdout", "payload.stderr"}
words = [word.replace(os.getcwd(), "") for word in sys.argv[1:]]
print(words, os.environ["-S"], os.environ["A"], sorted(set(os.listdir()) - ours))
"""
MAIN = "import sys; from picard_pilot.cli.main import main; sys.exit(main(sys.argv[1:]))"


def test_every_word_arrives_as_it_was(tmp_path: Path) -> None:
    """In the script as in ours: quotes, newlines, dashes, variables that look like options, inputs of any name."""
    inputs = tuple(RecipeInput(lfn=name) for name in ("-rf", "a b'c", ".hidden", "x\ny"))
    environment = {"PATH": os.environ["PATH"], "A": "a'b\n$(id)`x`\\", "-S": "x", "PYTHONIOENCODING": "utf-8"}
    folder = job_with(
        tmp_path, argv=(sys.executable, "-c", SHOW, *ODD), environment=environment, inputs=inputs
    )
    for one in inputs:
        (folder / one.lfn).write_text(one.lfn)
    target = tmp_path / "a 'name"
    assert replay.make(folder, target).missing == ()
    shell = subprocess.run(
        ["sh", "a 'name/run.sh"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "CDPATH": str(tmp_path)},
    )
    assert shell.returncode == 0, shell
    here = replay_run.replay_now(target)
    assert here.same, here
    wanted = [*ODD[:6], "/x y", *ODD[7:]]
    names = sorted(one.lfn for one in inputs)
    said = f"{wanted} x {environment['A']} {names}\n"
    (by_shell,) = (path.read_text("utf-8") for path in target.glob("run.*/payload.stdout"))
    assert by_shell == said
    assert Path(here.directory, "payload.stdout").read_text("utf-8") == said


def test_a_program_with_an_equals_sign(tmp_path: Path) -> None:
    """`env` would take it for a variable."""
    program = tmp_path / "a=b"
    program.write_text("#!/bin/sh\nexit 0\n")
    program.chmod(0o755)
    target = tmp_path / "again"
    replay.make(job_with(tmp_path, argv=(str(program), "$0")), target)
    assert subprocess.run(["sh", target / "run.sh"], capture_output=True).returncode == 0


def test_logs_that_are_pipes_or_lead_elsewhere(tmp_path: Path) -> None:
    """Nobody waits at a pipe, and nobody copies what a payload's link leads to."""
    folder = job_with(tmp_path)
    (tmp_path / "elsewhere").write_text("of the user")
    os.mkfifo(folder / "payload.stdout")
    (folder / "payload.stderr").symlink_to(tmp_path / "elsewhere")
    (folder / "jobReport.json").mkdir()
    replay.make(folder, tmp_path / "again")
    assert list((tmp_path / "again" / replay.ORIGINAL).iterdir()) == []


def test_secrets_of_the_job_are_not_in_it(tmp_path: Path) -> None:
    """What the payload printed, and what stood in its parameters: in no file of the directory."""
    secret = os.urandom(12).hex()
    folder = job_with(tmp_path, parameters=f"--auth password={secret}")
    (folder / "payload.stdout").write_text(f"using token={secret}\n")
    replay.make(folder, tmp_path / "again")
    files = tree(tmp_path / "again")
    assert not [name for name, data in files.items() if secret.encode() in data]
    assert files[str(tmp_path / "again" / replay.ORIGINAL / "payload.stdout")] == b"using token=[redacted]\n"


def test_texts_do_not_steer_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Escapes in names and values are shown, not sent; also in the error that the input is missing."""
    evil = "\x1b]0;owned\x07\x9b2J\nrm"
    folder = job_with(
        tmp_path,
        name=evil,
        argv=("/bin/echo", evil),
        environment={"A": evil},
        inputs=(RecipeInput(lfn="x\x1b[2J", surl=evil),),
        container=evil,
        settings={"queue": evil},
    )
    replay.make(folder, tmp_path / "again")
    for name in ("README.txt", "environment.txt", "inputs.txt", "settings.txt"):
        text = (tmp_path / "again" / name).read_text("utf-8")
        assert all(char.isprintable() or char == "\n" for char in text), name
        assert "\nrm" not in text, name
    assert main(["job", "replay", "--run", str(tmp_path / "again")]) == 3
    told = capsys.readouterr().err
    assert "The input x\\x1b[2J is not there" in told
    assert "\x1b" not in told


def test_a_full_disk_leaves_nothing_half_made(tmp_path: Path) -> None:
    """What was made so far is removed, and the reason told."""
    folder = job_with(tmp_path, environment={"LONG": "x" * 5000})
    again = tmp_path / "again"
    words = [sys.executable, "-c", MAIN, "job", "replay", str(folder), "--dir", str(again)]
    told = subprocess.run(["sh", "-c", 'ulimit -f 1; exec "$0" "$@"', *words], capture_output=True, text=True)
    assert told.returncode == 3, told
    assert "cannot be written" in told.stderr
    assert not again.exists()
