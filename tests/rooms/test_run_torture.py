"""system.run against commands that misbehave: no output is lost and nothing survives."""

import shutil
import time
from pathlib import Path

import pytest
from process_kit import PYTHON, command, marked, nothing_survives, shell

from picard_pilot.model.command import EndedBy

GIGABYTE = 1 << 30
WHEN_IT_SPEAKS: dict[str, int] = {"output_limit_bytes": 0}
"""Stops a command after its first output: it says when it is ready to be stopped, so no test depends on time."""
PROMPT_S = 5.0
"""A command that should return at once and does not would take at least 100 s here."""


def test_a_gigabyte_of_output_arrives_whole(tmp_path: Path) -> None:
    """To a file and without one; memory holds the tail alone."""
    if shutil.disk_usage(tmp_path).free < 3 * GIGABYTE:
        pytest.skip("less than 3 GB free here")
    path = tmp_path / "big"
    result = command(
        "head", "-c", str(GIGABYTE), "/dev/zero", stdout=path, output_limit_bytes=GIGABYTE, temporary=tmp_path
    )
    size = path.stat().st_size
    path.unlink()
    assert (result.ended_by, result.exit_code) == (EndedBy.ITSELF, 0)
    assert (result.stdout_bytes, size) == (GIGABYTE, GIGABYTE)
    assert len(result.stdout_tail) == 64 << 10


def test_output_above_the_limit_stops_the_command_and_is_kept(tmp_path: Path) -> None:
    """The result says so, and the file holds all that was written, in order."""
    path = tmp_path / "out"
    limit = 1 << 20
    with nothing_survives() as mark:
        result = shell(
            "seq 1 1000000000", mark, stdout=path, output_limit_bytes=limit, grace_s=0.2, temporary=tmp_path
        )
    assert result.ended_by is EndedBy.OUTPUT_LIMIT
    assert result.stdout_bytes == path.stat().st_size > limit
    data = path.read_bytes()
    numbers = data[: data.rindex(b"\n")].split(b"\n")
    assert numbers[-1] == str(len(numbers)).encode()


def test_the_limit_holds_for_each_stream_alone(tmp_path: Path) -> None:
    """Standard error counts for itself, and the limit itself is allowed."""
    result = shell("head -c 1000 /dev/zero; head -c 1000 /dev/zero >&2", output_limit_bytes=1000)
    assert result.ok
    result = shell("head -c 2000 /dev/zero >&2; sleep 100", output_limit_bytes=1000, temporary=tmp_path)
    assert (result.ended_by, result.stderr_bytes) == (EndedBy.OUTPUT_LIMIT, 2000)


def test_a_command_that_ignores_term_and_writes_on_is_killed_within_its_grace(tmp_path: Path) -> None:
    """Beyond twice the limit and 64 MB more there is no grace left."""
    began = time.monotonic()
    with nothing_survives() as mark:
        result = shell(
            "trap '' TERM; cat /dev/zero", mark, output_limit_bytes=1 << 20, grace_s=100, temporary=tmp_path
        )
    assert (result.ended_by, result.signal) == (EndedBy.OUTPUT_LIMIT, 9)
    assert time.monotonic() - began < 60


def test_the_time_limit_during_heavy_output_keeps_it(tmp_path: Path) -> None:
    """Stopped in the middle of writing: what was written is there."""
    path = tmp_path / "out"
    with nothing_survives() as mark:
        result = shell(
            "seq 1 1000000000", mark, stdout=path, time_limit_s=0.3, grace_s=1, output_limit_bytes=None
        )
    assert result.ended_by is EndedBy.TIME_LIMIT
    assert result.stdout_bytes == path.stat().st_size > 0
    assert path.read_bytes().startswith(b"1\n2\n3\n")


def test_output_flushed_only_at_exit_is_not_lost() -> None:
    """A buffer that a polite SIGTERM lets the command flush."""
    script = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(4))
print("held back until the end")
print("ready", file=sys.stderr, flush=True)
signal.pause()
"""
    result = command(*PYTHON, "-c", script, grace_s=20, **WHEN_IT_SPEAKS)
    assert (result.ended_by, result.exit_code) == (EndedBy.OUTPUT_LIMIT, 4)
    assert result.stdout_tail == "held back until the end\n"


def test_a_grandchild_that_holds_the_pipe_holds_nobody() -> None:
    """The end of the command is the end of its process; exit code and output are there at once."""
    with nothing_survives() as mark:
        began = time.monotonic()
        result = shell(f"sh -c 'sleep 1000; :' {mark} & echo output; exit 5")
        assert time.monotonic() - began < PROMPT_S
    assert (result.exit_code, result.stdout_tail, result.ended_by) == (5, "output\n", EndedBy.ITSELF)
    assert result.leftovers_killed >= 1


def test_term_ignored() -> None:
    """After the grace comes the signal that cannot be ignored."""
    with nothing_survives() as mark:
        script = "trap '' TERM INT HUP; echo ready; while :; do sleep 1000; done"
        result = shell(script, mark, grace_s=0.3, **WHEN_IT_SPEAKS)
    assert (result.ended_by, result.signal, result.exit_code) == (EndedBy.OUTPUT_LIMIT, 9, None)


def test_a_double_fork_with_its_own_session_and_no_environment_is_no_escape() -> None:
    """The classic daemon, with nothing on it by which it could be found but its descent."""
    with nothing_survives() as mark:
        result = shell(
            f'(env -i setsid sh -c \'(trap "" TERM HUP; cd /; exec </dev/null >/dev/null 2>&1; '
            f'sh -c "while :; do sleep 1000; done" {mark} &) &\' &) ; sleep 0.2; echo left',
        )
        assert result.stdout_tail == "left\n"
        assert result.leftovers_killed >= 1


CHAIN = """
import os, sys, time
while True:
    if os.fork():
        os._exit(0)
    os.setsid()
    time.sleep(0.003)
"""


def test_a_fork_chain_with_a_new_session_every_3_ms_is_caught() -> None:
    """Each link lives 3 ms; neither process group nor session nor a look at the tree would catch it."""
    with nothing_survives() as mark:
        result = shell('"$@" & sleep 0.3; exit 2', mark, *PYTHON, "-c", CHAIN, mark)
    assert (result.exit_code, result.ended_by) == (2, EndedBy.ITSELF)
    assert result.survivors == 0


def test_a_fork_chain_is_caught_when_its_first_link_ends() -> None:
    """The chain itself is the command: its first link ends at once, the rest goes with it."""
    with nothing_survives() as mark:
        result = command(*PYTHON, "-c", CHAIN, mark)
    assert result.exit_code == 0
    assert result.survivors == 0


def test_closed_standard_streams() -> None:
    """A command that closes its input and output ends by ending, not by closing."""
    result = shell("exec 0<&- 1>&- 2>&-; sleep 0.2; exit 6")
    assert (result.exit_code, result.ended_by) == (6, EndedBy.ITSELF)


def test_a_stopped_process_is_woken_to_be_stopped() -> None:
    """SIGSTOP does not save it from SIGTERM, and its handler runs."""
    with nothing_survives() as mark:
        result = shell(
            "trap 'echo awake; exit 8' TERM; echo asleep; kill -STOP $$; while :; do sleep 0.01; done",
            mark,
            grace_s=20,
            **WHEN_IT_SPEAKS,
        )
    assert (result.exit_code, result.stdout_tail) == (8, "asleep\nawake\n")


def test_a_stopped_process_that_ignores_term_is_killed() -> None:
    """SIGKILL needs nobody awake."""
    with nothing_survives() as mark:
        script = "trap '' TERM; echo asleep; kill -STOP $$; sleep 1000"
        result = shell(script, mark, grace_s=0.2, **WHEN_IT_SPEAKS)
    assert (result.ended_by, result.signal) == (EndedBy.OUTPUT_LIMIT, 9)


def test_reading_the_terminal_does_not_stop_anybody() -> None:
    """Without a controlling terminal there is no SIGTTIN, just an error or an end of file."""
    result = shell("read line </dev/tty; echo went on")
    assert result.stdout_tail == "went on\n"


def test_a_thousand_children_go_with_their_parent() -> None:
    """Half of them ignore SIGTERM; all are gone when the command is."""
    script = """
import os, signal, sys
for number in range(1000):
    if os.fork() == 0:
        if number % 2:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.setsid()
        signal.pause()
print("ready", flush=True)
"""
    with nothing_survives() as mark:
        result = command(*PYTHON, "-c", script, mark)
        assert result.stdout_tail == "ready\n"
    assert result.leftovers_killed == 1000
    assert result.survivors == 0


def test_a_thousand_children_are_all_asked_first(tmp_path: Path) -> None:
    """The polite round reaches all of them, and the firm one the rest."""
    script = """
import os, signal, sys
told, ready = os.pipe()
for number in range(1000):
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b"x"), os._exit(0)))
        os.write(ready, b".")
        signal.pause()
        os._exit(1)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for number in range(1000):
    os.read(told, 1)
print("R", flush=True)
for number in range(1000):
    os.wait()
os._exit(9)
"""
    path = tmp_path / "out"
    with nothing_survives() as mark:
        result = command(*PYTHON, "-c", script, mark, grace_s=30, stdout=path, **WHEN_IT_SPEAKS)
    # All but one that had not come from its last word to its rest.
    assert path.read_bytes().count(b"x") >= 999
    assert (result.ended_by, result.exit_code, result.survivors) == (EndedBy.OUTPUT_LIMIT, 9, 0)


def test_a_command_that_makes_itself_a_reaper_is_no_hiding_place() -> None:
    """Its orphans are still descendants."""
    script = """
import ctypes, os, signal, subprocess, sys
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
subprocess.Popen(["/bin/sh", "-c", "(setsid sh -c 'while :; do sleep 1000; done' " + sys.argv[1] + " &)"])
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
while True:
    signal.pause()
"""
    with nothing_survives() as mark:
        result = command(*PYTHON, "-c", script, mark, grace_s=0.3, **WHEN_IT_SPEAKS)
    assert (result.signal, result.ended_by) == (9, EndedBy.OUTPUT_LIMIT)


def test_a_fork_storm_ends_at_the_limit() -> None:
    """Children that fork faster than they are looked at, bounded to spare the machine."""
    script = """
import os, time
end = time.monotonic() + 30
while time.monotonic() < end:
    if os.fork() == 0:
        os.setsid()
        time.sleep(0.05)
        if os.fork():
            os._exit(0)
        time.sleep(0.05)
        os._exit(0)
    time.sleep(0.002)
"""
    with nothing_survives() as mark:
        result = command(*PYTHON, "-c", script, mark, time_limit_s=0.5, grace_s=0)
        assert not marked(mark)
    assert (result.ended_by, result.survivors) == (EndedBy.TIME_LIMIT, 0)
