"""Looking for what was made and removing it: only what is surely ours, and nothing that somebody else uses."""

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from process_kit import go, until

from picard_pilot.model.command import ProcessId
from picard_pilot.model.ledger import ControlGroup, File, MessageQueue, ProcessTree, Segment, Semaphores
from picard_pilot.pilot.noting import note_worker
from picard_pilot.system import mark, proc, strays
from picard_pilot.system.ledger import in_memory
from picard_pilot.system.shim.kernel import call
from picard_pilot.system.shim.protocol import SEEN_FILE, encode_record

WAIT = "import sys; sys.stdin.readline()"


class Some:
    """A process with these variables that waits until the test is over."""

    def __init__(self, **variables: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", WAIT],
            stdin=subprocess.PIPE,
            env=variables,
            start_new_session=True,
        )
        found = proc.identify(self.process.pid)
        assert found is not None
        self.id = found

    @property
    def lives(self) -> bool:
        return self.process.poll() is None


@pytest.fixture
def others() -> Iterator[list[Some]]:
    """Processes that are ended after the test."""
    started: list[Some] = []
    yield started
    for each in started:
        each.process.kill()
        each.process.communicate()


def detached(value: str, folder: Path) -> ProcessId:
    """A process with a mark that is no child of ours; it ends by itself after a while."""
    code = (
        "import os, sys, time\nif os.fork(): os._exit(0)\nos.setsid()\n"
        f"open({str(folder / 'new')!r}, 'w').write(str(os.getpid()))\n"
        f"os.rename({str(folder / 'new')!r}, {str(folder / 'pid')!r})\ntime.sleep(120)\n"
    )
    subprocess.run([sys.executable, "-I", "-S", "-c", code], env={"PICARD_MARK": value}, check=True)
    until((folder / "pid").exists, "the process to start")
    found = proc.identify(int((folder / "pid").read_text()))
    assert found is not None
    return found


GONE = ProcessId(pid=2**22 - 1, start_ticks=1)


def test_a_mark_finds_what_lost_all_its_parents(tmp_path: Path) -> None:
    """And it is ended."""
    value = secrets.token_hex(8)
    found = detached(value, tmp_path)
    what = ProcessTree(what="payload", root=GONE, marks=(f"PICARD_MARK={value}",))
    assert strays.living(what) == [found]
    assert strays.living(what, strays.marked()) == [found]
    assert go(strays.end(what)) == (1, 0)
    assert not proc.is_running(found)
    assert strays.living(what) == []


def test_a_number_alone_is_nobody(others: list[Some]) -> None:
    """The pid of a tree that is gone, in use again by a process that started later: it is not touched."""
    others.append(Some())
    reused = msgspec.structs.replace(others[0].id, start_ticks=others[0].id.start_ticks - 1)
    what = ProcessTree(what="payload", root=reused, launcher=reused, marks=("PICARD_MARK=none",))
    assert strays.living(what) == []
    assert go(strays.end(what)) == (0, 0)
    assert others[0].lives


def test_half_a_mark_is_none(others: list[Some]) -> None:
    """Another pilot's numbers may begin like ours."""
    others.append(Some(PICARD_MARK="12"))
    assert strays.living(ProcessTree(what="payload", root=GONE, marks=("PICARD_MARK=1",))) == []


def test_the_pilot_itself_and_those_above_it_are_spared(
    others: list[Some], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may run inside a payload whose ledger it settles; and what it started itself is not that ledger's either."""
    me = proc.myself()
    above = proc.identify(os.getppid())
    assert above is not None
    others.append(Some(PICARD_MARK="mine"))
    what = ProcessTree(what="payload", root=above, launcher=me, marks=("PICARD_MARK=mine",))
    assert os.getpid() not in {each.pid for each in strays.living(what)}
    assert os.getppid() not in {each.pid for each in strays.living(what)}
    assert others[0].id not in strays.living(
        ProcessTree(what="payload", root=GONE, marks=("PICARD_MARK=mine",))
    )
    # What it started and noted is found.
    assert strays.living(ProcessTree(what="worker", root=others[0].id)) == [others[0].id]


def test_the_mark_of_what_a_process_starts_names_it_and_its_boot() -> None:
    """So that no other process ever had the same."""
    me = proc.myself()
    assert mark.mine() == {mark.NAME: f"{me.pid}.{me.start_ticks}.{proc.boot_id()}"}


def record(**fields: object) -> bytes:
    """A launcher's record."""
    return encode_record({"event": "seen", "sure": 1, "pid": 5, **fields})  # type: ignore[arg-type]


def test_a_launchers_records_are_believed_as_far_as_they_go(tmp_path: Path) -> None:
    """The payload can write there: torn lines, other places and nonsense count for nothing."""
    inside = b"/dev/shm/x".hex()
    lines = (
        record(kind="segment", id=1, key=2),
        record(kind="file", path=inside, device=3, inode=4, sure=0),
        record(kind="file", path=b"/etc/passwd".hex(), device=3, inode=4),
        record(kind="file", path=b"/tmp/../etc/passwd".hex(), device=3, inode=4),
        record(kind="file", path="no path", device=3, inode=4),
        record(kind="segment", id="one", key=2),
        record(kind="semaphores", id=8, key=9),
        record(kind="queue", id=10, key=11),
        b"[" * 100_000 + b"\n",
        b"\xff\n",
        record(kind="segment", id=1, key=2)[:-9],
    )
    (tmp_path / SEEN_FILE).write_bytes(b"".join(lines))
    assert strays.seen_of(tmp_path, 7) == [
        Segment(number=1, key=2, maker=5, job_id=7),
        File(path=inside, device=3, inode=4, maker=5, sure=False, job_id=7),
        Semaphores(number=8, key=9, job_id=7),
        MessageQueue(number=10, key=11, job_id=7),
    ]
    assert strays.seen_of(tmp_path / "nowhere", 7) == []


@pytest.fixture
def file() -> Iterator[Path]:
    """A file in the node's shared memory."""
    path = Path("/dev/shm", f"picard-test-{secrets.token_hex(8)}")
    path.touch()
    yield path
    path.unlink(missing_ok=True)


def thing_of(path: Path) -> File:
    """As a launcher would have seen it."""
    status = path.stat()
    return File(path=os.fsencode(path).hex(), device=status.st_dev, inode=status.st_ino)


def test_a_file_is_removed_if_it_is_the_very_one(file: Path) -> None:
    """Another of its name is another's."""
    thing = thing_of(file)
    assert strays.is_there(thing)
    kept = file.with_name(f"{file.name}.kept")
    file.rename(kept)  # keeps its inode from being used again
    try:
        file.touch()
        assert not strays.is_there(thing)
        assert strays.remove(thing, strays.Users()) is None
        assert file.exists()
        assert strays.remove(thing_of(file), strays.Users()) is None
        assert not file.exists()
    finally:
        kept.unlink()


@pytest.mark.parametrize("how", ["open", "mapped"])
def test_a_file_that_somebody_uses_stays(file: Path, how: str, others: list[Some]) -> None:
    """And it is said who."""
    code = (
        "import ctypes, os, sys\nfd = os.open(sys.argv[1], os.O_RDWR); os.ftruncate(fd, 4096)\n"
        "ctypes.CDLL(None).mmap(None, 4096, 3, 1, fd, 0)\nif sys.argv[2] == 'mapped': os.close(fd)\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
    )
    user = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", code, str(file), how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert user.stdout is not None
        assert user.stdout.readline() == b"ready\n"
        thing = thing_of(file)
        why = strays.remove(thing, strays.Users())
        assert why == f"process {user.pid}, which is not the payload's, has it open"
        assert file.exists()
        assert not strays.may_be_ours(thing, strays.Users())
    finally:
        user.communicate(b"\n")
    assert strays.may_be_ours(thing, strays.Users())


def test_shared_memory_goes_unless_somebody_is_attached() -> None:
    """It is known by number, key and maker."""
    number = call("shmget", 0, 4096, 0o600)
    thing = Segment(number=number, key=0, maker=os.getpid())
    code = (
        "import ctypes, sys\nlibrary = ctypes.CDLL(None)\nlibrary.shmat.restype = ctypes.c_void_p\n"
        "assert library.shmat(int(sys.argv[1]), None, 0) != -1\nprint('ready', flush=True); sys.stdin.readline()\n"
    )
    user = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", code, str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert user.stdout is not None
        assert user.stdout.readline() == b"ready\n"
        assert strays.remove(thing, strays.Users()) == "1 processes of others are attached to it"
        assert strays.is_there(thing)
    finally:
        user.communicate(b"\n")
        gone = strays.remove(thing, strays.Users())
    assert gone is None
    assert not strays.is_there(thing)


def test_shared_memory_of_another_user_is_left_to_that_user() -> None:
    """Even where the pilot could remove it, as root can: a payload may have forged the record of it."""
    if os.geteuid() != 0:
        pytest.skip("only root can make something of another user's")
    code = "import ctypes, os; os.setuid(65534); print(ctypes.CDLL(None).shmget(0, 4096, 0o600), os.getpid())"
    said = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, check=True).stdout
    number, maker = map(int, said.split())
    thing = Segment(number=number, key=0, maker=maker)
    try:
        assert strays.remove(thing, strays.Users()) == "it is another user's"
        assert strays.is_there(thing)
    finally:
        call("shmctl", number, strays.IPC_RMID, 0)
    assert not strays.is_there(thing)


def test_doubtful_memory_of_a_process_that_lives_is_that_ones() -> None:
    """So it is not even told."""
    number = call("shmget", 0, 4096, 0o600)
    try:
        thing = Segment(number=number, key=0, maker=os.getpid(), sure=False)
        assert strays.is_there(thing)
        assert not strays.may_be_ours(thing, strays.Users())
    finally:
        call("shmctl", number, strays.IPC_RMID, 0)


def test_mounts_below_a_directory_are_found() -> None:
    """Only below it, not beside it."""
    everything = strays.mounts_below("/")
    assert {"/", "/proc"} <= set(everything)
    assert strays.mounts_below("/proc")[-1] == "/proc"
    assert strays.mounts_below("/pro") == []


def test_a_control_group_goes_with_all_that_is_in_it(others: list[Some]) -> None:
    """The kernel ends it, whatever it is."""
    places = [
        line.split()[4]
        for line in Path("/proc/self/mountinfo").read_text().splitlines()
        if " - cgroup2 " in line
    ]
    if not places or not os.access(places[0], os.W_OK):
        pytest.skip("no control group can be made here")
    path = Path(places[0], f"picard-test-{secrets.token_hex(8)}")
    path.mkdir()
    group = ControlGroup(path=str(path))
    others.append(Some())
    (path / "cgroup.procs").write_text(str(others[0].id.pid))
    assert strays.is_there(group)
    assert go(strays.end_group(group)) is None
    assert others[0].process.wait(60) == -signal.SIGKILL
    assert not strays.is_there(group)
    assert go(strays.end_group(group)) is None


WORKER = """
import sys
from pathlib import Path
from picard_pilot.movers.program import run_program
run_program(sys.argv[2:], environment={"PATH": "/usr/bin:/bin"}, folder=Path(sys.argv[1]), on_look=lambda pid: None)
"""
"""What stands for a transfer worker: it runs a mover's program."""

DAEMON = (
    "import os, time\nif os.fork(): time.sleep(600)\nos.setsid()\nif os.fork(): os._exit(0)\n"
    "open('new', 'w').write(str(os.getpid())); os.rename('new', 'pid'); time.sleep(600)\n"
)


def test_a_movers_program_is_known_when_its_launcher_and_the_worker_were_killed(tmp_path: Path) -> None:
    """At once, so that neither could end what the program had detached."""
    program = (sys.executable, "-I", "-S", "-c", DAEMON)
    worker = subprocess.Popen([sys.executable, "-c", WORKER, str(tmp_path), *program])
    found = in_memory()
    note_worker(found, worker.pid)
    (what,) = found.things
    assert isinstance(what, ProcessTree)
    until((tmp_path / "pid").exists, "the program to detach itself")
    daemon = proc.identify(int((tmp_path / "pid").read_text()))
    assert daemon is not None
    below = proc.descendants(worker.pid)
    assert daemon in below
    launcher = below[0]
    proc.send_signal(launcher, signal.SIGSTOP)
    worker.kill()
    worker.wait()
    proc.send_signal(launcher, signal.SIGKILL)
    until(lambda: not proc.is_running(launcher), "the launcher to end")
    assert daemon in strays.living(what)
    killed, withstand = go(strays.end(what))
    assert (killed >= 1, withstand) == (True, 0)
    assert not proc.is_running(daemon)
