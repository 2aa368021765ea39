"""The commands' parts: ids, times, sizes, colours, job descriptions, completion scripts."""

import io
import json
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from picard_pilot.cli.completion import commands
from picard_pilot.cli.completion_shells import SHELLS
from picard_pilot.cli.exits import UsageTrouble
from picard_pilot.cli.ids import job_ids
from picard_pilot.cli.main import main
from picard_pilot.cli.moments import duration, shown, size
from picard_pilot.cli.nouns import NOUNS
from picard_pilot.cli.peek import readable
from picard_pilot.cli.screen import clean, colourful
from picard_pilot.experiments.words import split
from picard_pilot.wire.jobspec import accept


def _latest() -> int:
    return 99


def test_ids_in_all_their_forms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers, ranges, lists, files, stdin, latest; each job once, in order."""
    (tmp_path / "ids").write_text("7\n8, 20-21\n")
    monkeypatch.setattr("sys.stdin", io.StringIO("30 31\n"))
    words = ["3", "10-12,3", f"@{tmp_path / 'ids'}", "-", "latest"]
    assert job_ids(words, _latest) == [3, 10, 11, 12, 7, 8, 20, 21, 30, 31, 99]


@pytest.mark.parametrize(
    "word", ["x", "1-", "-5", "5-1", "1-2-3", "1.5", "²", ",", "@/none/at/all", "1-1000000"]
)
def test_what_is_no_id_is_told(word: str) -> None:
    """In three lines."""
    with pytest.raises(UsageTrouble) as caught:
        job_ids([word], _latest)
    assert len(str(caught.value).splitlines()) == 3


def test_times_and_sizes() -> None:
    """Ages by default, clocks on request, binary units."""
    assert [duration(seconds) for seconds in (0, 59, 192, 7500, 97200)] == [
        "0s",
        "59s",
        "3m12s",
        "2h05m",
        "1d03h",
    ]
    moment = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
    now = moment + timedelta(seconds=192)
    assert shown(moment, "age", now) == "3m12s ago"
    assert shown(moment, "utc", now) == "2026-01-31T12:00:00Z"
    assert shown(None, "utc", now) == "-"
    assert [size(count) for count in (None, 0, 1023, 1536, 5 << 30)] == [
        "-",
        "0 B",
        "1023 B",
        "1.5 KiB",
        "5.0 GiB",
    ]


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("terminal", "environ", "flag", "wanted"),
    [
        (True, {}, False, True),
        (False, {}, False, False),
        (True, {"NO_COLOR": "1"}, False, False),
        (True, {"NO_COLOR": ""}, False, True),
        (True, {"TERM": "dumb"}, False, False),
        (True, {}, True, False),
        (False, {"CLICOLOR_FORCE": "1"}, False, True),
        (False, {"CLICOLOR_FORCE": "0"}, False, False),
        (False, {"CLICOLOR_FORCE": "1", "NO_COLOR": "1"}, False, False),
    ],
)
def test_colours_only_where_they_are_wanted(
    terminal: bool, environ: dict[str, str], flag: bool, wanted: bool
) -> None:
    """On terminals, and as the well-known variables say."""
    assert colourful(_Terminal() if terminal else io.StringIO(), environ, flag) is wanted


def test_what_others_wrote_cannot_steer_a_terminal() -> None:
    """Escape sequences are shown, not obeyed."""
    assert clean("a\x1b[2Jb\nc") == "a\\x1b[2Jb\\nc"
    assert readable("a\x1b]0;x\x07\nb\t\r") == "a\\x1b]0;x\\x07\nb\t\\r"


def _spec(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, object]:
    assert main(["submit", "--dry-run", "--json", *words]) == 0, capsys.readouterr().out
    spec: dict[str, object] = json.loads(capsys.readouterr().out)["data"][0]
    return spec


@pytest.mark.parametrize("flag", ["--recover", "--useJobRecovery"])
def test_a_job_whose_outputs_are_to_be_kept(capsys: pytest.CaptureFixture[str], flag: str) -> None:
    """Under either name."""
    assert _spec(capsys, "-q", "Q", flag, "--", "true")["useJobRecovery"] == "True"


def test_a_job_from_flags_is_one_that_the_server_takes(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """With units turned into PanDA's, the file's size and checksum, and the command word by word."""
    events = tmp_path / "events"
    events.write_bytes(b"abc")
    spec = _spec(
        capsys,
        *("-q", "Q", "--name", "fit", "--cores", "4", "--mem", "4GiB", "--disk", "100", "--walltime", "2h"),
        *(
            "--scope",
            "user.me",
            "--input",
            f"a.root={events}@DISK",
            "--input",
            "mc:b.root",
            "--output",
            "h.root@OUT",
        ),
        *("--env", "A=1 2", "--retries", "2", "--label", "user", "--debug"),
        *("--", "./fit.sh", "it's", "a b", "--json"),
    )
    submission = accept({**spec, "prodUserID": "me"})
    assert (submission.queue, submission.max_attempt, submission.debug) == ("Q", 3, True)
    job = submission.job
    assert (job.name, job.label) == ("fit", "user")
    assert (*split(job.transformation), *split(job.parameters)) == (
        "env",
        "A=1 2",
        "./fit.sh",
        "it's",
        "a b",
        "--json",
    )
    needs = job.requirements
    assert (needs.cores, needs.memory_mb, needs.disk_mb, needs.walltime_s) == (4, 4096, 100, 7200)
    first, second = job.inputs
    assert (first.lfn, first.scope, first.endpoint, first.size_bytes) == ("a.root", "user.me", "DISK", 3)
    assert first.checksum is not None and first.checksum.value == "024d0127"
    assert (second.scope, second.endpoint, second.size_bytes, second.checksum) == ("mc", None, None, None)
    (output,) = job.outputs
    assert (output.lfn, output.scope, output.endpoint) == ("h.root", "user.me", "OUT")
    assert job.log is not None and job.log.lfn == "job.$PANDAID.log.tgz"


def test_the_smallest_job(capsys: pytest.CaptureFixture[str]) -> None:
    """A queue and a command; the log archive comes by itself, unless it is not wanted."""
    job = accept({**_spec(capsys, "-q", "Q", "--", "date"), "prodUserID": "me"}).job
    assert job.log is not None and job.outputs == () and job.inputs == ()
    job = accept({**_spec(capsys, "-q", "Q", "--log", "none", "--", "date"), "prodUserID": "me"}).job
    assert job.log is None


def test_jobs_from_files(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """JSON or TOML, one job or several; the queue may come from outside."""
    (tmp_path / "jobs.toml").write_text(
        "[[job]]\ntransformation = 'date'\n[[job]]\ncomputingSite = 'R'\ntransformation = 'id'\n"
    )
    (tmp_path / "job.json").write_text('{"transformation": "date"}')
    assert main(["submit", str(tmp_path / "jobs.toml"), "-q", "Q", "--dry-run", "--json"]) == 0
    specs = json.loads(capsys.readouterr().out)["data"]
    assert [(spec["computingSite"], spec["transformation"]) for spec in specs] == [("Q", "date"), ("R", "id")]
    assert _spec(capsys, str(tmp_path / "job.json"), "-q", "Q") == {
        "transformation": "date",
        "computingSite": "Q",
    }


@pytest.mark.parametrize(
    "words",
    [
        ["-q", "Q"],
        ["--", "date"],
        ["-q", "Q", "date", "--", "date"],
        ["-q", "Q", "a", "b"],
        ["-q", "Q", "/none/at/all.json"],
        ["-q", "Q", "--mem", "much", "--", "date"],
        ["-q", "Q", "--input", "a@", "--", "date"],
        ["-q", "Q", "--input", "a=/none/at/all", "--", "date"],
        ["-q", "Q", "--output", "a=b", "--", "date"],
        ["-q", "Q", "--env", "A", "--", "date"],
        ["-q", "Q", "--", ""],
    ],
)
def test_a_job_that_cannot_be_described_is_told(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Three lines and exit code 2; an empty program is for the server to refuse."""
    code = main(["submit", "--dry-run", *words])
    if words[-1] == "":
        assert code == 0
    else:
        assert code == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 3


def test_completion_knows_every_command_and_flag() -> None:
    """It is made from the parsers."""
    found = {" ".join(command.words): command for command in commands()}
    assert {name.split()[0] for name in found} == set(NOUNS)
    flags = {word for flag in found["run"].flags for word in flag.spellings}
    assert {"--queue", "--lifetime", "-h"} <= flags
    assert "--noserverupdate" not in flags


_CHECKS = {
    "bash": ["bash", "-n"],
    "zsh": ["zsh", "-n"],
    "fish": ["fish", "--no-execute"],
    "tcsh": ["tcsh", "-n"],
}


@pytest.mark.parametrize("shell", SHELLS)
def test_the_scripts_are_valid(shell: str, tmp_path: Path) -> None:
    """Each shell that is here reads its own; all scripts name all commands."""
    text = SHELLS[shell](commands(), {noun: entry.help for noun, entry in NOUNS.items()})
    assert all(noun in text for noun in NOUNS)
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here to read its script")
    script = tmp_path / "script"
    script.write_text(text)
    done = subprocess.run([*_CHECKS[shell], str(script)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("ppilot se", {"server"}),
        ("ppilot job ki", {"kill"}),
        ("ppilot job list --lim", {"--limit"}),
        ("ppilot plugin list --kind ", {"experiment", "mover", "isolation"}),
        ("ppilot completion z", {"zsh"}),
    ],
)
def test_bash_completes(line: str, offered: set[str], tmp_path: Path) -> None:
    """As in a terminal: the words so far in, the choices out."""
    script = SHELLS["bash"](commands(), {noun: entry.help for noun, entry in NOUNS.items()})
    words = line.split(" ")
    quoted = " ".join(f"'{word}'" for word in words)
    ask = (
        f"COMP_WORDS=({quoted})\nCOMP_CWORD={len(words) - 1}\n_ppilot\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n"
    )
    program = f"{script}\n{ask}"
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert set(done.stdout.split()) == offered
