"""system.run: what a command does is what its result says."""

import os
import signal
import sys
from pathlib import Path

import pytest
from process_kit import ENV, PYTHON, command, shell

from picard_pilot.model.command import EndedBy, StartErrorKind


def test_exit_code_output_and_usage_are_told() -> None:
    """A command that ends by itself: code, both streams, times and memory."""
    result = shell("echo to output; echo to error >&2; exit 7")
    assert (result.ended_by, result.exit_code, result.signal) == (EndedBy.ITSELF, 7, None)
    assert (result.stdout_tail, result.stderr_tail) == ("to output\n", "to error\n")
    assert (result.stdout_bytes, result.stderr_bytes) == (10, 9)
    assert not result.ok
    assert 0 < result.wall_s < 10
    assert result.max_rss_bytes and result.cpu_user_s is not None


def test_success_is_ok() -> None:
    """Exit code 0 without anybody's help is success."""
    assert command("true").ok


def test_death_by_signal_is_not_the_exit_code_of_a_shell() -> None:
    """A process killed by signal 15 and a shell that exits with 143 are told apart."""
    killed = shell("kill -TERM $$")
    assert (killed.exit_code, killed.signal, killed.ended_by) == (None, signal.SIGTERM, EndedBy.ITSELF)
    told = shell("exit 143")
    assert (told.exit_code, told.signal) == (143, None)


@pytest.mark.parametrize("code", [126, 127])
def test_exit_codes_126_and_127_are_the_commands_own(code: int) -> None:
    """They mean that a program did not start only to a shell."""
    result = shell(f"exit {code}")
    assert (result.exit_code, result.start_error) == (code, None)


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    """With and without a slash in its name."""
    for name in ("no-such-program", str(tmp_path / "absent"), "/bin/true/below-a-file"):
        result = command(name)
        assert result.ended_by is EndedBy.NOT_STARTED
        assert result.start_error is not None
        assert result.start_error.kind is StartErrorKind.NOT_FOUND
        assert name in result.start_error.evidence
        assert result.exit_code is None


def _program(path: Path, text: str, mode: int = 0o755) -> str:
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def test_what_cannot_be_executed_is_told_apart(tmp_path: Path) -> None:
    """No execute permission, a missing interpreter, no program at all, too long a command line."""
    cases = {
        _program(tmp_path / "plain", "#!/bin/sh\n", 0o644): StartErrorKind.NOT_EXECUTABLE,
        str(tmp_path): StartErrorKind.NOT_EXECUTABLE,
        _program(tmp_path / "alien", "#!/no/such/interpreter\n"): StartErrorKind.BAD_INTERPRETER,
        _program(tmp_path / "text", "neither script nor program\n"): StartErrorKind.BAD_FORMAT,
    }
    for path, kind in cases.items():
        result = command(path)
        assert result.start_error is not None, path
        assert result.start_error.kind is kind
    long = command("true", "x" * (1 << 20), *["y" * 100_000] * 40)
    assert long.start_error is not None
    assert long.start_error.kind is StartErrorKind.ARGUMENTS_TOO_LONG


def test_the_programs_own_path_is_searched(tmp_path: Path) -> None:
    """PATH is that of the command, and a file that may not be executed does not hide a good one behind it."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    _program(tmp_path / "a" / "tool", "#!/bin/sh\necho wrong\n", 0o644)
    _program(tmp_path / "b" / "tool", "#!/bin/sh\necho right\n")
    result = command("tool", env={"PATH": f"{tmp_path}/a:{tmp_path}/b"})
    assert result.stdout_tail == "right\n"


@pytest.mark.parametrize(
    ("argv", "env"),
    [
        ((), {}),
        (("",), {}),
        (("a\0b",), {}),
        (("true", "a\0b"), {}),
        (("true",), {"A=B": "c"}),
        (("true",), {"": "c"}),
    ],
)
def test_what_no_kernel_takes_is_refused(argv: tuple[str, ...], env: dict[str, str]) -> None:
    """Empty commands, NUL bytes and impossible variable names are typed errors, not exceptions."""
    result = command(*argv, env=env)
    assert result.start_error is not None
    assert result.start_error.kind is StartErrorKind.BAD_ARGUMENT


def test_a_vanished_work_directory_is_named(tmp_path: Path) -> None:
    """The program is not to blame."""
    result = command("true", cwd=tmp_path / "gone")
    assert result.start_error is not None
    assert result.start_error.kind is StartErrorKind.NO_WORK_DIRECTORY
    assert str(tmp_path / "gone") in result.start_error.evidence


def test_output_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A directory in the place of the output file."""
    result = command("true", stdout=tmp_path)
    assert result.start_error is not None
    assert result.start_error.kind is StartErrorKind.OUTPUT_NOT_WRITABLE
    assert str(tmp_path) in result.start_error.evidence


def test_environment_and_directory_are_exactly_those_given(tmp_path: Path) -> None:
    """Nothing of the caller's environment is inherited."""
    result = command("/usr/bin/env", env={"ONLY": "this ü"}, cwd=tmp_path)
    assert result.stdout_tail == "ONLY=this ü\n"
    assert shell("pwd", cwd=tmp_path).stdout_tail == f"{tmp_path.resolve()}\n"


def test_input_is_empty_unless_given() -> None:
    """A command that reads gets the end of file at once, or what was given."""
    assert command("cat").stdout_tail == ""
    assert command("cat", stdin=b"some input").stdout_tail == "some input"


def test_input_larger_than_a_pipe_blocks_nobody() -> None:
    """Read by nobody, or read whole."""
    data = b"0123456789abcdef" * (1 << 17)  # 2 MB
    assert command("true", stdin=data).ok
    assert command("wc", "-c", stdin=data).stdout_tail.strip() == str(len(data))


def test_output_is_appended_to_named_files(tmp_path: Path) -> None:
    """Earlier content stays; count and tail are of this command."""
    path = tmp_path / "out"
    path.write_text("before\n")
    result = shell("echo after", stdout=path)
    assert path.read_text() == "before\nafter\n"
    assert (result.stdout_tail, result.stdout_bytes) == ("after\n", 6)


def test_both_streams_may_share_a_file(tmp_path: Path) -> None:
    """Nothing is overwritten, and the bytes count once."""
    path = tmp_path / "both"
    result = shell("echo one; echo two >&2; echo three", stdout=path, stderr=path)
    assert path.read_text() == "one\ntwo\nthree\n"
    assert (result.stdout_bytes, result.stderr_bytes) == (14, 0)


def test_the_tail_is_bounded_and_never_starts_inside_a_character() -> None:
    """Three-byte characters cut by the bound."""
    result = shell("i=0; while [ $i -lt 1000 ]; do printf '€'; i=$((i+1)); done", tail_bytes=100)
    assert result.stdout_bytes == 3000
    assert result.stdout_tail == "€" * 33


def test_binary_output_is_kept_and_shown() -> None:
    """All 256 byte values arrive; those that are no text are shown as escapes."""
    result = command(*PYTHON, "-c", "import sys; sys.stdout.buffer.write(bytes(range(256)))")
    assert result.stdout_bytes == 256
    assert result.stdout_tail.startswith("\x00\x01")
    assert result.stdout_tail.endswith("\\xfe\\xff")


def test_a_line_of_five_megabytes_is_a_line_like_others(tmp_path: Path) -> None:
    """No limit on the length of lines."""
    path = tmp_path / "out"
    result = command("head", "-c", "5000000", "/dev/zero", stdout=path)
    assert (result.exit_code, path.stat().st_size) == (0, 5_000_000)


def test_the_command_starts_clean() -> None:
    """Own session, default signals, nothing blocked, no descriptors but the three."""
    script = """
import os, signal
assert os.getsid(0) == os.getpid()
assert signal.getsignal(signal.SIGPIPE) == signal.SIG_IGN  # Python itself did that
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status") if ":\\t" in line)
assert int(status["SigBlk"], 16) == 0, status["SigBlk"]
print(sorted(os.listdir("/proc/self/fd"), key=int))
"""
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGTERM})
    leaked = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(leaked, True)
    try:
        result = command(sys.executable, "-I", "-S", "-c", script)
    finally:
        os.close(leaked)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    assert result.ok, result.stderr_tail
    assert result.stdout_tail == "['0', '1', '2', '3']\n"  # 3 is the listing's own
    # The kernel's word for signals: with SIGPIPE ignored `yes` would not die of it but complain.
    ignored = int(shell("grep SigIgn /proc/self/status").stdout_tail.split()[1], 16)
    assert not ignored & (1 << (signal.SIGPIPE - 1) | 1 << (signal.SIGHUP - 1) | 1 << (signal.SIGINT - 1))


def test_a_time_limit_that_has_expired_starts_nothing(tmp_path: Path) -> None:
    """Zero and less are limits, not their absence."""
    for limit in (0, -1.5):
        result = command("touch", str(tmp_path / "ran"), time_limit_s=limit)
        assert (result.ended_by, result.exit_code) == (EndedBy.TIME_LIMIT, None)
    assert not (tmp_path / "ran").exists()


def test_the_time_limit_is_polite_first() -> None:
    """A command that handles SIGTERM ends with its own code within the grace, and nothing of its word is lost."""
    result = shell(
        "trap 'echo cleaned up; exit 3' TERM; echo started; while :; do sleep 0.01; done",
        time_limit_s=1.5,
        grace_s=20,
    )
    assert (result.ended_by, result.exit_code, result.signal) == (EndedBy.TIME_LIMIT, 3, None)
    assert result.stdout_tail == "started\ncleaned up\n"
    assert 1.5 <= result.wall_s < 20


def test_cpu_time_counts_orphans() -> None:
    """What a process used whose parent left before it is in the sum: the launcher reaps it."""
    burn = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"
    # The subshell leaves at once; the substitution waits for what it left behind.
    result = shell(f"said=$( (setsid sh -c '{burn}; echo done' &) ); echo $said")
    assert result.stdout_tail == "done\n"
    assert result.cpu_user_s is not None
    alone = shell(burn)
    assert alone.cpu_user_s is not None
    assert result.cpu_user_s > 0.5 * alone.cpu_user_s


def test_no_variable_of_ours_is_needed() -> None:
    """An empty environment works; programs are then found in the usual places."""
    assert command("true", env={}).ok
    assert "PATH" in ENV


def test_a_character_that_no_program_can_get_is_refused() -> None:
    """Half a surrogate pair, as hostile JSON has it."""
    result = command("echo", "\ud800")
    assert result.start_error is not None
    assert result.start_error.kind is StartErrorKind.BAD_ARGUMENT


def test_limits_of_years_are_no_trouble() -> None:
    """The kernel waits for no more than 24 days at a time; nobody else needs to know."""
    for limit in (1e9, float("inf")):
        assert command("true", time_limit_s=limit, grace_s=1e12).ok
