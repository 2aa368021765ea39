"""Whole jobs of an ordinary user's pilot whose payloads run as another ordinary user, by a rule of the site alone."""

import itertools
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import clean_kit as outside
import pytest
from confined_kit import WORK_ON, Confining, launcher_of

from grid import Grid, wait_for
from picard_pilot.server.info import ServerInfo
from picard_pilot.system import proc
from plain_user import command, lacks_plain_user, open_folder, python_for
from second_user import second_user

LEAVE_A_DAEMON = """
import ctypes, os, pwd, time
name = 'out.' + os.environ['PANDAID'] + '.txt'
os.umask(0o77)
os.mkdir('closed')
open('closed/file', 'w').close()
os.chmod('closed', 0)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        with open(name, 'w') as file:
            memory = ctypes.CDLL(None).shmget(0, 4096, 0o600)
            file.write(f'{pwd.getpwuid(os.getuid()).pw_name} {os.getpid()} {memory}')
            os.mkdir(f'/tmp/' + name)
        os.chmod(name, 0)
        os.closerange(0, 100)
        time.sleep(3600)
    os._exit(0)
while not (os.path.exists(name) and os.stat(name).st_mode & 0o777 == 0):
    time.sleep(0.02)
"""
"""Its output, which it closes, names who wrote it, a process that lives on and its shared memory."""

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def users() -> Iterator[tuple[str, str]]:
    """The pilot's user and the payload's, with the site's rule between them."""
    if (reason := lacks_plain_user()) is not None:
        pytest.skip(reason)
    with second_user() as pilot, second_user() as payload:
        rule = Path("/etc/sudoers.d", pilot)
        rule.write_text(f"{pilot} ALL=({payload}) NOPASSWD:SETENV: ALL\n")
        rule.chmod(0o440)
        try:
            yield pilot, payload
        finally:
            rule.unlink()


@pytest.fixture
def confining(users: tuple[str, str], shared_server: ServerInfo) -> Iterator[Confining]:
    """A grid whose files and pilots are the pilot's user's."""
    with open_folder() as folder:
        made = Grid(folder, shared_server, queue=f"USERS{next(_numbers)}")
        python = python_for(users[0])
        assert python is not None
        made.python = command(users[0], python)
        for name, path in (("ca.pem", made.ca_file), ("token", made.token_file)):
            shutil.copy(path, folder / name)
        made.ca_file, made.token_file = str(folder / "ca.pem"), folder / "secrets" / "token"
        made.token_file.parent.mkdir()
        (folder / "token").rename(made.token_file)
        made.token_file.chmod(0o600)
        made.workdir.mkdir()
        confining = Confining(made)
        try:
            yield confining
        finally:
            made.close()


def started(confining: Confining, users: tuple[str, str], way: str, *flags: str) -> subprocess.Popen[bytes]:
    """A pilot of the pilot's user, to whom all files are given before."""
    home = confining.grid.directory / "home"
    home.mkdir(exist_ok=True)
    folder = confining.grid.directory
    for path in (folder, *folder.rglob("*")):
        if "PanDA_Pilot" not in str(path):
            shutil.chown(path, users[0], users[0])
    return confining.pilot(way, *flags, HOME=str(home), PATH="/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")


def test_what_another_user_closed_or_left_running_is_dealt_with(
    confining: Confining, users: tuple[str, str]
) -> None:
    """The output is stored although it was closed; the daemon is gone with its memory, and so is the directory. What
    nobody can assign is told as with other payloads."""
    grid = confining.grid
    confining.queue('required_guarantees = ["other_identity", "hides_pilot_credentials"]')
    job_id = confining.submit(LEAVE_A_DAEMON)
    assert started(confining, users, f"none,sudo:{users[1]}").wait(120) == 0, grid.output()
    assert grid.wait_status(job_id, "finished", "failed") == "finished", (grid.errors(job_id), grid.output())
    who, pid, memory = confining.output(job_id).split()
    left = Path("/tmp", f"out.{job_id}.txt")
    try:
        assert who == users[1]
        assert not outside.has_segment(int(memory))
        (receipt,) = outside.receipts(grid.workdir)
        assert [entry["job_id"] for entry in outside.named(receipt["doubtful"], str(left))] == [job_id]
        assert outside.named(receipt["removed"], f"segment {memory} ")
    finally:
        left.rmdir()
    wait_for(lambda: proc.identify(int(pid)) is None, "the daemon is gone")
    assert not grid.job_dir(job_id).exists(), grid.output()


LEAVES = """
tell('segment %d' % ctypes.CDLL(None).shmget(0, 4096, 0o600))
kept = [seen(mapped, '/dev/shm/' + MARK), seen(opened, '/tmp/' + MARK)]
os.mkfifo(os.environ['TMPDIR'] + '/pipe-' + MARK)
subprocess.Popen(['nohup', *SLEEPER], stdout=open('nohup.out', 'w'))
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        [os.close(n) for n in range(3)]
        os.execve(SLEEPER[0], SLEEPER, {})
    os._exit(0)
os.wait()
started(2)
os.makedirs('d/' * 50 + MARK)
os.chmod('d', 0)
"""
"""What root's pilots are tried with one by one (`test_clean_node`)."""


def test_an_ordinary_users_pilot_leaves_a_clean_node(
    confining: Confining, users: tuple[str, str], mark: str
) -> None:
    """As on every worker node: it needs no right of root's to find and remove what its payload left."""
    grid = confining.grid
    head = outside.HEAD.format(mark=mark, diary=str(grid.directory / "diary"))
    job_id = confining.submit(head + LEAVES + outside.TAIL)
    assert started(confining, users, "none").wait(120) == 0, grid.output()
    assert grid.wait_status(job_id, "finished", "failed") == "finished", (grid.errors(job_id), grid.output())
    outside.assert_nothing_is_left(grid, grid.workdir, mark)
    (receipt,) = outside.receipts(grid.workdir)
    assert (receipt["remains"], receipt["kept"]) == ([], [])
    assert len(outside.named(receipt["removed"], mark)) == 2
    assert outside.ledgers(grid.workdir) == []


@pytest.mark.parametrize("polite", [True, False])
def test_a_later_pilot_stops_what_only_the_switch_can_signal(
    confining: Confining, users: tuple[str, str], polite: bool
) -> None:
    """The first pilot is killed with -9; the second, with other settings, asks the payload, then ends it by force."""
    grid = confining.grid
    code = WORK_ON if polite else WORK_ON.replace("SIGTERM, told", "SIGTERM, signal.SIG_IGN")
    job_id = confining.submit(code)
    first = started(confining, users, f"sudo:{users[1]}")
    said = grid.job_dir(job_id) / "payload.stdout"
    wait_for(lambda: said.exists() and b"begun" in said.read_bytes(), f"the payload runs; {grid.output()}")
    grid.wait_event(job_id, "PayloadStarted")
    held = launcher_of(grid, job_id)
    inside = proc.descendants(held.pid)
    first.kill()
    first.wait(60)
    second = started(confining, users, "none", "--no-cleanup", "--stop-grace", "60" if polite else "0.2")
    grid.wait_event(job_id, "Resumed")
    grid.kill(job_id)
    assert second.wait(120) == 0, grid.output()
    assert not any(map(proc.is_running, [held, *inside]))
    ended = next(one["event"] for one in grid.journal(job_id) if one["event"]["event"] == "PayloadExited")
    assert ended["exit"]["stopped_by"] == "server_kill"
    if polite:
        assert (grid.job_dir(job_id) / f"out.{job_id}.txt").read_text() == "told 1"
        assert ended["exit"]["exit_code"] == 5


def test_nothing_lives_on_of_another_users_payload_whose_launcher_is_killed(
    confining: Confining, users: tuple[str, str]
) -> None:
    """How the payload ended is not known, so the job fails; its processes are found and ended through the switch."""
    grid = confining.grid
    job_id = confining.submit(WORK_ON)
    pilot = started(confining, users, f"sudo:{users[1]}")
    said = grid.job_dir(job_id) / "payload.stdout"
    wait_for(lambda: said.exists() and b"begun" in said.read_bytes(), f"the payload runs; {grid.output()}")
    grid.wait_event(job_id, "PayloadStarted")
    held = launcher_of(grid, job_id)
    inside = proc.descendants(held.pid)
    assert len(inside) > 1
    proc.send_signal(held, signal.SIGKILL)
    assert pilot.wait(120) == 0, grid.output()
    assert grid.wait_status(job_id, "finished", "failed") == "failed"
    wait_for(lambda: not any(map(proc.is_running, inside)), "the payload's processes are gone")
