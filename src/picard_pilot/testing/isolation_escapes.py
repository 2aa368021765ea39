"""The payload of the isolation suite: it tries to get at what is the pilot's, and prints what it got.

It is run by whatever Python is inside the confinement, and uses the standard library only. Each attempt is a function
named `try_...`, here or in `isolation_tricks`: it returns a text where it succeeded, else None or an OSError.
"""

import ctypes
import json
import os
import select
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

PLAN: "dict[str, object]" = {}
PTRACE_ATTACH, PTRACE_DETACH = 16, 17
CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000
MNT_DETACH = 2
LIBC = ctypes.CDLL(None, use_errno=True)
PATIENCE_S = 60.0
MOST_BYTES = 1 << 20
"""Of one file."""


def marker() -> bytes:
    """What every secret of the pilot contains; in two parts, so that the plan itself holds it nowhere."""
    return "".join(map(str, texts("marker"))).encode()


def texts(name: str) -> list[str]:
    """A list of the plan."""
    value = PLAN[name]
    assert isinstance(value, list)
    return value


def pilot() -> int:
    """The pilot's pid, as the node counts."""
    return int(str(PLAN["pilot_pid"]))


def pids() -> Iterator[int]:
    """Every process that can be seen, but this one."""
    for path in Path("/proc").iterdir():
        if path.name.isdigit() and int(path.name) != os.getpid():
            yield int(path.name)


def read(path: str) -> bytes:
    """A file's first bytes, or nothing. Never of a pipe, whose bytes would be missing for whom they were meant."""
    found = b""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - thousands of them
            return b""
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return b""
    try:
        while len(found) < MOST_BYTES and (more := os.read(fd, MOST_BYTES)):
            found += more
    except OSError:
        pass
    finally:
        os.close(fd)
    return found


def is_pilot(pid: int) -> bool:
    """Whether this number means the pilot here, too."""
    return b"isolation_pilot" in read(f"/proc/{pid}/cmdline")


# credentials


def try_environment() -> str | None:
    """The payload's own environment."""
    found = [name for name, value in os.environb.items() if marker() in value]
    return repr(found) if found else None


def try_environ_of_processes() -> str | None:
    """The environment of every process there is, the pilot's and the parents' among them."""
    found = [pid for pid in (*pids(), os.getppid(), pilot()) if marker() in read(f"/proc/{pid}/environ")]
    return f"of {found}" if found else None


def try_files() -> str | None:
    """The pilot's files by their names."""
    found = [path for path in texts("secrets") if marker() in read(path)]
    return repr(found) if found else None


def try_files_through_processes() -> str | None:
    """The same by way of another process' root, working directory and descriptors."""
    for pid in pids():
        for path in texts("secrets"):
            if marker() in read(f"/proc/{pid}/root{path}"):
                return f"root of {pid}: {path}"
        for path in texts("secrets"):
            if marker() in read(f"/proc/{pid}/cwd/{os.path.basename(path)}"):  # noqa: PTH119
                return f"working directory of {pid}"
        for fd in range(64):
            if marker() in read(f"/proc/{pid}/fd/{fd}"):
                return f"descriptor {fd} of {pid}"
    return None


def try_work_area() -> str | None:
    """What lies beside the job's directory, and in its private folder."""
    found = [name for folder in texts("folders") for name in _names(folder)]
    seen = [name for name in found if name in texts("names")]
    return repr(seen) if seen else None


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208 - one call that fails or does not
    except OSError:
        return []


def try_links() -> str | None:
    """A hard link into the job's directory, a renamed private folder."""
    for number, path in enumerate(texts("secrets")):
        try:
            os.link(path, f"stolen{number}")
        except OSError:
            continue
        if marker() in read(f"stolen{number}"):
            return f"hard link to {path}"
    try:
        os.rename(str(PLAN["private"]), "moved")  # noqa: PTH104
    except OSError:
        return None
    hit = any(marker() in read(f"moved/{name}") for name in _names("moved"))
    os.rename("moved", str(PLAN["private"]))  # noqa: PTH104 - the suite looks there
    return "the private folder could be moved" if hit else None


def try_descriptors() -> str | None:
    """Descriptors that were inherited."""
    found = []
    for name in _names("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")  # noqa: PTH115
        except OSError:
            continue  # the one that the list was read with
        if int(name) > 2:
            found.append(f"{name} -> {target}")
    return repr(found) if found else None


def try_memory() -> str | None:
    """The pilot's memory, by its file and by tracing it."""
    for pid in {pilot(), os.getppid()}:
        try:
            os.close(os.open(f"/proc/{pid}/mem", os.O_RDONLY))
        except OSError:
            pass
        else:
            if is_pilot(pid):
                return f"memory of {pid} opens"
    if is_pilot(pilot()) and LIBC.ptrace(PTRACE_ATTACH, pilot(), None, None) == 0:
        LIBC.ptrace(PTRACE_DETACH, pilot(), None, None)
        return "the pilot can be traced"
    return None


def try_covers() -> str | None:
    """Taking off what covers the hidden folders: as it is, and with the rights of an own user namespace."""
    for flags in (0, CLONE_NEWUSER | CLONE_NEWNS):
        child = os.fork()
        if child == 0:
            os._exit(_uncover(flags))
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0:
            return f"uncovered with flags {flags:#x}"
    return None


def _uncover(flags: int) -> int:
    user, group = os.geteuid(), os.getegid()
    if flags:
        if LIBC.unshare(flags) != 0:
            return 1
        try:
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"0 {user} 1")
            Path("/proc/self/gid_map").write_text(f"0 {group} 1")
        except OSError:
            return 1
    hit = False
    for folder in texts("folders"):
        hit = LIBC.umount2(os.fsencode(folder), MNT_DETACH) == 0 or hit
    return 0 if hit and try_files() is not None else 1


def try_renewed_credential() -> str | None:
    """A credential that the pilot replaces by a newer one while the payload runs."""
    told = os.open("renewed", os.O_RDWR | os.O_NONBLOCK)
    with open("ready", "wb", buffering=0) as ready:  # noqa: PTH123 - a pipe
        ready.write(b"now")
    if not select.select([told], [], [], PATIENCE_S)[0]:
        return "the pilot did not renew it"
    os.close(told)
    return try_files()


def try_socket() -> str | None:
    """A socket in the work area."""
    with socket.socket(socket.AF_UNIX) as door:
        door.connect(str(PLAN["socket"]))
        return "connected"


# process space


def try_see_pilot() -> str | None:
    """The pilot among the processes."""
    return "seen in /proc" if is_pilot(pilot()) else None


def try_signal_pilot() -> str | None:
    """A signal to the pilot, if its number means it here, and to every parent."""
    hit = []
    for pid in {pilot(), *parents()}:
        if is_pilot(pid):
            os.kill(pid, signal.SIGUSR1)
            hit.append(pid)
    return repr(hit) if hit else None


def parents() -> list[int]:
    """The chain of parents."""
    found: list[int] = []
    pid = os.getppid()
    while pid > 0 and pid not in found:
        found.append(pid)
        fields = read(f"/proc/{pid}/stat").rpartition(b") ")[2].split()
        pid = int(fields[1]) if fields else 0
    return found


# identity


def try_same_user() -> str | None:
    """The pilot's user."""
    return str(os.getuid()) if os.getuid() == PLAN["pilot_uid"] else None


def try_become_pilot() -> str | None:
    """Going back to the pilot's user."""
    os.setuid(int(str(PLAN["pilot_uid"])))
    return "setuid" if os.getuid() == PLAN["pilot_uid"] else None


# host


def try_write_host() -> str | None:
    """A new file somewhere on the node. Whether it arrived there, the suite looks itself."""
    hit = []
    for folder in texts("host"):
        path = f"{folder}/{PLAN['unique']}"
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        except OSError:
            continue
        hit.append(path)
    return repr(hit) if hit else None


def try_kernel_settings() -> str | None:
    """Settings of the kernel that would let it run a program as root. Nothing is written."""
    for path in ("/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/sys/kernel/uevent_helper"):
        try:
            os.close(os.open(path, os.O_WRONLY))
        except OSError:
            continue
        return path
    return None


# what must work


def can_work() -> str | None:
    """Read an input, write an output, make a temporary file, start a program; None where all is well."""
    try:
        for path in texts("visible"):
            if read(path) != b"input":
                return f"{path} cannot be read"
        temporary = os.environ.get("TMPDIR", "/tmp")
        for folder in (".", *texts("writable"), temporary):
            Path(folder, f"output-{PLAN['unique']}").write_text("output")
        Path(temporary, f"output-{PLAN['unique']}").unlink()
        if subprocess.run(("sh", "-c", "exit 3")).returncode != 3:
            return "no program can be started"
        if os.environ.get("PAYLOAD_SAYS") != str(PLAN["says"]):
            return f"its environment is {dict(os.environ)}"
        if os.getcwd() != PLAN["cwd"]:  # noqa: PTH109
            return f"its working directory is {Path.cwd()}"
    except OSError as error:
        return repr(error)
    return None


def attempt(tried: Callable[[], str | None]) -> str | None:
    """What an attempt brought."""
    try:
        return tried()
    except OSError:
        return None


def main() -> None:
    """Make the attempts that the plan names."""
    from picard_pilot.testing import isolation_tricks  # which has most of its words from here

    PLAN.update(json.loads(Path(sys.argv[1]).read_bytes()))
    known = vars(isolation_tricks) | globals()
    found = {name: attempt(known[f"try_{name}"]) for name in texts("attempts")}
    print(json.dumps({"found": found, "cannot": can_work(), "uid": os.getuid()}))  # noqa: T201 - its output
