"""The command's own process between fork and exec: clean signals, a gate, then the program.

Who forks it and reads what it says is `launcher`.
"""

import _signal
import posix

from picard_pilot.system.shim import recordfile
from picard_pilot.system.shim.kernel import call

TYPE_CHECKING = False  # `typing` itself would cost more than everything else here
if TYPE_CHECKING:
    from typing import Any

PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15
PR_SET_CHILD_SUBREAPER = 36

_ENOENT, _EACCES, _ENOTDIR, _ELOOP = 2, 13, 20, 40
_S_IFMT, _S_IFREG = 0o170000, 0o100000
_OUTSIDE_ANY_HANDLER = (_signal.SIGKILL, _signal.SIGSTOP, 32, 33)
"""The two that cannot be caught, and two that the C library keeps for itself."""

DEFAULT_PATH = b"/usr/local/bin:/usr/bin:/bin"
"""Where programs are looked up when the command's environment has no PATH."""


def prctl(option: int, value: int | bytes) -> None:
    """The system call. Raises OSError."""
    if call("prctl", option, value, 0, 0, 0) != 0:
        raise OSError(f"prctl {option} was refused")


def adopt_orphans() -> bool:
    """Become the parent of all descendants that lose theirs; False where a sandbox does not let us."""
    try:
        prctl(PR_SET_CHILD_SUBREAPER, 1)
    except OSError:
        return False
    return True


def set_all_signals(action: "Any", *, but: tuple[int, ...] = ()) -> None:
    """Give every signal that can have one the same action."""
    for number in range(1, _signal.NSIG):
        if number not in but and number not in _OUTSIDE_ANY_HANDLER:
            _signal.signal(number, action)


def become(order: "dict[str, Any]", launcher: int, close: tuple[int, ...], gate: int, status: int) -> None:
    """Turn this forked process into the command once the gate opens; say on `status` why it cannot.

    It never returns. `close` are descriptors of the launcher that must not wait here for the gate: the end of
    the channel and of the lock mean that the launcher is gone.
    """
    stage = "session"
    try:
        for fd in close:
            posix.close(fd)
        posix.setsid()
        _signal.set_wakeup_fd(-1)
        set_all_signals(_signal.SIG_DFL)
        _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
        # A launcher that is killed takes at least the main process with it.
        prctl(PR_SET_PDEATHSIG, _signal.SIGKILL)
        _offer_to_oom_killer(order["oom_score_adj"])
        if order["cgroup"] is not None:
            recordfile.tell(f"{order['cgroup']}/cgroup.procs", b"0")
        if posix.read(gate, 1) != b"g" or posix.getppid() != launcher:
            posix._exit(127)
        stage = "cwd"
        posix.chdir(order["cwd"])
        stage = "exec"
        _exec(order["argv"], order["env"])
    except _Refused as error:
        posix.write(status, f"{error.stage} {error.number}".encode())
    except OSError as error:
        posix.write(status, f"{stage} {error.errno or 0}".encode())
    finally:
        posix._exit(127)


def _offer_to_oom_killer(score: int | None) -> None:
    """Let the kernel take the command before launcher and pilot when memory runs out, where we may."""
    if score is None:
        return
    try:
        fd = posix.open("/proc/self/oom_score_adj", posix.O_RDWR | posix.O_CLOEXEC)
        if int(posix.read(fd, 16)) < score:  # a batch system may have set more already
            posix.pwrite(fd, str(score).encode(), 0)
        posix.close(fd)
    except OSError:
        pass


class _Refused(Exception):
    """The kernel does not execute the program."""

    def __init__(self, stage: str, number: int) -> None:
        self.stage, self.number = stage, number


def _exec(argv: list[bytes], env: dict[bytes, bytes]) -> None:
    """Execute the program, looked up in the command's own PATH. Raises `_Refused`."""
    name, worst = argv[0], _ENOENT
    has_place = b"/" in name
    for place in [b""] if has_place else env.get(b"PATH", DEFAULT_PATH).split(b":"):
        path = name if has_place else (place or b".") + b"/" + name
        try:
            posix.execve(path, argv, env)
        except OSError as error:
            number = error.errno or 0
        if number in (_ENOENT, _ELOOP, _EACCES) and _is_program(path):
            raise _Refused("interpreter", number)
        if number not in (_ENOENT, _ENOTDIR, _EACCES):
            raise _Refused("exec", number)
        worst = _EACCES if number == _EACCES else worst
    raise _Refused("exec", worst)


def _is_program(path: bytes) -> bool:
    """The file itself is fine, so it is its interpreter that is not."""
    try:
        return posix.stat(path).st_mode & _S_IFMT == _S_IFREG and posix.access(path, posix.X_OK)
    except OSError:
        return False
