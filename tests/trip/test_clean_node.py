"""After a pilot nothing of it is on the node, whatever its payloads did; its receipt says so, and a look from outside
says the same."""

import subprocess
from pathlib import Path

import clean_kit as outside
import pytest
from clean_kit import assert_nothing_is_left, diary, payload

from grid import Grid

LEAVES: dict[str, str] = {
    "nothing": "",
    "a process in the background": "subprocess.Popen(SLEEPER); started(1)\n",
    "a session of its own": "subprocess.Popen(SLEEPER, start_new_session=True); started(1)\n",
    "nohup": "subprocess.Popen(['nohup', *SLEEPER], stdout=open('nohup.out', 'w')); started(1)\n",
    "a double fork": (
        "if os.fork() == 0:\n os.setsid()\n if os.fork() == 0:\n  os.execv(SLEEPER[0], SLEEPER)\n os._exit(0)\n"
        "os.wait(); started(1)\n"
    ),
    "an emptied environment": (
        "if os.fork() == 0:\n os.setsid()\n os.chdir('/')\n [os.close(n) for n in range(3)]\n"
        " if os.fork() == 0:\n  os.execve(SLEEPER[0], SLEEPER, {})\n os._exit(0)\nos.wait(); started(1)\n"
    ),
    "another name": (
        "if os.fork() == 0:\n os.setsid()\n ctypes.CDLL(None).prctl(15, b'kworker/0:1')\n tell('started')\n"
        " time.sleep(600)\nstarted(1)\n"
    ),
    "one that ignores signals": (
        "if os.fork() == 0:\n [signal.signal(n, signal.SIG_IGN) for n in (1, 2, 3, 15)]\n tell('started')\n"
        " while True: time.sleep(600)\nstarted(1)\n"
    ),
    "an abstract socket": (
        "if os.fork() == 0:\n import socket\n os.setsid()\n kept = socket.socket(socket.AF_UNIX)\n"
        " kept.bind('\\0' + MARK); kept.listen(); tell('started'); time.sleep(600)\nstarted(1)\n"
    ),
    "shared memory of System V": "tell('segment %d' % ctypes.CDLL(None).shmget(0, 4096, 0o600))\n",
    "shared memory of an orphan": (
        "if os.fork() == 0:\n os.setsid()\n if os.fork() == 0:\n"
        "  tell('segment %d' % ctypes.CDLL(None).shmget(0, 4096, 0o600)); tell('started'); time.sleep(600)\n"
        " os._exit(0)\nos.wait(); started(1)\n"
    ),
    "attached shared memory": (
        "if os.fork() == 0:\n made = ctypes.CDLL(None).shmget(0, 4096, 0o600)\n"
        " ctypes.CDLL(None).shmat(made, None, 0); tell('segment %d' % made); tell('started'); time.sleep(600)\n"
        "started(1)\n"
    ),
    "POSIX shared memory": (
        "seen(mapped, '/dev/shm/' + MARK)\n"
    ),
    "a file in /tmp": "kept = seen(opened, '/tmp/' + MARK)\n",
    "a temporary file": "import tempfile\ntell('temporary ' + tempfile.mkstemp(prefix=MARK)[1])\n",
    "a pipe and a socket as files": (
        "import socket\nplace = os.environ['TMPDIR']\nos.mkfifo(place + '/pipe-' + MARK)\n"
        "kept = socket.socket(socket.AF_UNIX); kept.bind(place + '/socket-' + MARK)\n"
    ),
    "its directory, moved away": "os.rename(os.getcwd(), os.getcwd() + '.' + MARK)\n",
    "a locked and deep directory": "os.makedirs('d/' * 200 + MARK); os.chmod('d', 0)\n",
}  # fmt: skip
"""What a payload leaves behind, in Python. Each ends well."""


@pytest.mark.parametrize("leaves", LEAVES)
def test_whatever_a_payload_leaves_is_gone_after_its_pilot(
    grid: Grid, workdir: Path, mark: str, leaves: str
) -> None:
    """The receipt is true, and the ledger is settled."""
    job_id = payload(grid, mark, LEAVES[leaves])
    pilot = grid.pilot("--jobs", "1", workdir=workdir)
    assert pilot.wait(120) == 0, grid.output()[-4000:]
    told = grid.wait_status(job_id, "finished", "failed")
    assert told == ("failed" if "moved" in leaves else "finished"), grid.errors(job_id)
    assert_nothing_is_left(grid, workdir, mark)
    (receipt,) = outside.receipts(workdir)
    assert receipt["remains"] == []
    assert receipt["kept"] == []
    assert receipt["gone"]["directory"] == 1
    assert receipt["gone"]["process tree"] >= 1
    assert "the node is clean: " in grid.output()
    assert outside.ledgers(workdir) == []
    if "shared memory" in leaves and "POSIX" not in leaves:
        assert receipt["gone"]["shared memory segment"] == 1
    if "POSIX" in leaves or "/tmp" in leaves:
        (entry,) = outside.named(receipt["removed"], mark)
        assert (entry["kind"], entry["job_id"]) == ("file", job_id)


def test_temporary_files_go_into_the_jobs_directory(grid: Grid, workdir: Path, mark: str) -> None:
    """Where the pilot's own TMPDIR points to is not touched by a payload that asks for its own."""
    elsewhere = grid.directory / "elsewhere"
    elsewhere.mkdir()
    job_id = payload(grid, mark, LEAVES["a temporary file"])
    assert grid.pilot("--jobs", "1", workdir=workdir, TMPDIR=str(elsewhere)).wait(60) == 0, grid.output()
    (path,) = diary(grid, "temporary")
    assert Path(path).parent == workdir / f"PanDA_Pilot-{job_id}" / ".tmp"
    assert list(elsewhere.iterdir()) == []


def may_mount(*wrapper: str) -> bool:
    """Whether a file system can be mounted here."""
    script = "d=$(mktemp -d) && mount -t tmpfs x $d && umount $d; r=$?; rmdir $d; exit $r"
    try:
        tried = subprocess.run([*wrapper, "sh", "-c", script], capture_output=True)
    except FileNotFoundError:
        return False
    return tried.returncode == 0


def test_a_mount_in_a_users_own_space_goes_with_its_processes(grid: Grid, workdir: Path, mark: str) -> None:
    """Only those see it who are in that space."""
    wrapper = ("unshare", "-U", "-r", "-m")
    if not may_mount(*wrapper):
        pytest.skip("this kernel lets no user mount in a name space of his own")
    script = f'mkdir {mark} && mount -t tmpfs {mark} {mark} && exec "$@"'
    code = f"subprocess.Popen([*{wrapper!r}, 'sh', '-c', {script!r}, 'sh', *SLEEPER]); started(1)\n"
    job_id = payload(
        grid, mark, code + "tell('mounts ' + str(len(open('/proc/self/mountinfo').readlines())))\n"
    )
    assert grid.pilot("--jobs", "1", workdir=workdir).wait(60) == 0, grid.output()
    assert grid.wait_status(job_id, "finished", "failed") == "finished", grid.errors(job_id)
    assert_nothing_is_left(grid, workdir, mark)
    assert outside.receipts(workdir)[0]["remains"] == []


def test_a_mount_in_the_jobs_directory_is_taken_away(grid: Grid, workdir: Path, mark: str) -> None:
    """What is mounted there is not removed with the directory: only the mount is the payload's."""
    if not may_mount():
        pytest.skip("this user cannot mount")
    precious = grid.directory / "precious"
    precious.mkdir()
    (precious / "file").write_text("somebody's")
    code = f"os.mkdir(MARK)\nsubprocess.run(['mount', '--bind', {str(precious)!r}, MARK], check=True)\n"
    job_id = payload(grid, mark, code)
    assert grid.pilot("--jobs", "1", workdir=workdir).wait(60) == 0, grid.output()
    assert grid.wait_status(job_id, "finished", "failed") == "finished", grid.errors(job_id)
    assert (precious / "file").read_text() == "somebody's"
    assert_nothing_is_left(grid, workdir, mark)
    (receipt,) = outside.receipts(workdir)
    assert [entry["job_id"] for entry in receipt["removed"] if entry["kind"] == "mount"] == [job_id]
