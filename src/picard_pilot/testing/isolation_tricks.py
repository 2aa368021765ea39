"""More of what the payload of the isolation suite tries: calls of the kernel, and ways around what covers a folder.

Like `isolation_escapes`, which runs them, it is for any Python 3 and uses the standard library only.
"""

import ctypes
import mmap
import os
import socket
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from picard_pilot.testing.isolation_escapes import (
    CLONE_NEWNS,
    CLONE_NEWUSER,
    LIBC,
    PLAN,
    is_pilot,
    marker,
    parents,
    pids,
    pilot,
    read,
    texts,
)

LAUNCHER = b"picard-shim"
"""The name of a payload's launcher."""
MEMORY_BYTES = 64 << 20
"""So much of one process' memory is looked through."""
PTRACE_SEIZE = 0x4206
SYS_OPEN_TREE, SYS_PIDFD_OPEN, SYS_PIDFD_GETFD = 428, 434, 438
"""System calls with the same numbers on every architecture but Alpha."""
OPEN_TREE_CLONE = 1
AT_FDCWD = -100
MS_BIND = 4096
MNT_DETACH = 2


def outsiders() -> Iterator[int]:
    """The pilot and the payload's launcher, as far as they are to be seen."""
    for pid in sorted({pilot(), *parents(), *pids()}):
        if is_pilot(pid) or read(f"/proc/{pid}/comm").strip() == LAUNCHER:
            yield pid


def related() -> list[int]:
    """The outsiders, and those that the payload descends from: what holds it may have brought something in."""
    return sorted({*outsiders(), *parents()} - {0, os.getpid()})


def in_a_child(tried: Callable[[], bool]) -> bool:
    """Whether it succeeds, in a process of its own: what it does to itself is gone with it."""
    child = os.fork()
    if child == 0:
        hit = False
        try:
            hit = tried()
        except OSError:
            pass
        finally:
            os._exit(0 if hit else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def own_user_space() -> bool:
    """Become root of a user namespace of one's own, with a mount namespace in it; whether this kernel lets one."""
    user, group = os.geteuid(), os.getegid()
    if LIBC.unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0:
        return False
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {user} 1")
    Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    return True


def as_it_is_and_with_rights(tried: Callable[[], bool]) -> str | None:
    """Try it as the payload is, and as root of a user namespace of its own."""
    if in_a_child(tried):
        return "as it is"
    if in_a_child(lambda: own_user_space() and tried()):
        return "with the rights of an own user namespace"
    return None


# credentials


class Span(ctypes.Structure):
    """struct iovec."""

    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


def try_memory_by_call() -> str | None:
    """The memory of the pilot, the launcher and all parents, by process_vm_readv."""
    for pid in related():
        left = MEMORY_BYTES
        for line in read(f"/proc/{pid}/maps").decode("utf-8", "replace").splitlines():
            span, rights = line.split()[:2]
            start, end = (int(each, 16) for each in span.split("-"))
            if not rights.startswith("rw") or end - start > left:
                continue
            left -= end - start
            copy = ctypes.create_string_buffer(end - start)
            here, there = Span(ctypes.addressof(copy), end - start), Span(start, end - start)
            got = LIBC.process_vm_readv(pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0)
            if got > 0 and marker() in copy.raw[:got]:
                return f"of {pid}"
    return None


def _seized(pid: int) -> bool:
    return bool(LIBC.ptrace(PTRACE_SEIZE, pid, None, None) == 0)


def try_trace_launcher() -> str | None:
    """Tracing the pilot or the launcher, as a debugger attaches to a running program."""
    hit = [pid for pid in outsiders() if in_a_child(partial(_seized, pid))]
    return f"{hit} can be traced" if hit else None


def try_stolen_descriptors() -> str | None:
    """Copies of the descriptors of the pilot, the launcher and all parents."""
    for pid in related():
        process = LIBC.syscall(SYS_PIDFD_OPEN, pid, 0)
        if process < 0:
            continue
        try:
            for number in range(64):
                stolen = LIBC.syscall(SYS_PIDFD_GETFD, process, number, 0)
                if stolen < 0:
                    continue
                try:
                    if marker() in os.pread(stolen, 1 << 16, 0):
                        return f"descriptor {number} of {pid}"
                except OSError:
                    pass
                finally:
                    os.close(stolen)
        finally:
            os.close(process)
    return None


def try_folders_of_processes() -> str | None:
    """From every folder that another process has open, down to the secrets and up to another root."""
    for pid in pids():
        try:
            open_ones = [f"/proc/{pid}/fd/{name}" for name in os.listdir(f"/proc/{pid}/fd")]  # noqa: PTH208
        except OSError:
            open_ones = []
        for folder in (f"/proc/{pid}/cwd", f"/proc/{pid}/root", *open_ones):
            for up in ("", "/..", "/../..", "/../../../../../../../.."):
                for path in texts("secrets"):
                    if marker() in read(f"{folder}{up}{path}"):
                        return f"{folder}{up}"
    return None


def try_modes() -> str | None:
    """Opening what is secret to everybody. Whether it is open then, the suite looks itself."""
    hit = []
    for path in (*texts("secrets"), *texts("folders")):
        try:
            os.chmod(path, 0o755)  # noqa: PTH101 - one call that fails or does not
        except OSError:
            continue
        hit.append(path)
    return repr(hit) if hit else None


def try_handles() -> str | None:
    """Secrets by the file system's own handles, which need no path: they can be guessed."""
    return as_it_is_and_with_rights(_open_handles)


def _open_handles() -> bool:
    folder = os.open(".", os.O_RDONLY)
    for text in texts("handles"):
        handle = ctypes.create_string_buffer(bytes.fromhex(text))
        fd = LIBC.open_by_handle_at(folder, handle, os.O_RDONLY)
        if fd >= 0 and marker() in os.pread(fd, 1 << 16, 0):
            return True
    return False


def try_second_view() -> str | None:
    """The covered folders in a second view of what they lie in, made without what is mounted on it."""
    return as_it_is_and_with_rights(lambda: _cloned() or _bound())


def _cloned() -> bool:
    """By a copy of the mount that is attached nowhere."""
    for path in texts("secrets"):
        for above in map(str, Path(path).parents):
            copy = LIBC.syscall(SYS_OPEN_TREE, AT_FDCWD, os.fsencode(above), OPEN_TREE_CLONE)
            if copy < 0:
                continue
            if marker() in read(f"/proc/self/fd/{copy}/{os.path.relpath(path, above)}"):
                return True
            os.close(copy)
    return False


def _bound() -> bool:
    """By a second mount of it, which does not have what was mounted on the first."""
    point = Path("second-view")
    point.mkdir(exist_ok=True)
    for path in texts("secrets"):
        for above in map(str, Path(path).parents):
            if LIBC.mount(os.fsencode(above), bytes(point), None, MS_BIND, None) != 0:
                continue
            hit = marker() in read(f"{point}/{os.path.relpath(path, above)}")
            LIBC.umount2(bytes(point), MNT_DETACH)
            if hit:
                return True
    return False


# process space


def try_see_outsiders() -> str | None:
    """Any process of the pilot's, and the launcher."""
    found = list(outsiders())
    return repr(found) if found else None


def try_hold_outsiders() -> str | None:
    """A descriptor of the pilot's process, by which it can be signalled, if its number means it here."""
    held = [pid for pid in outsiders() if LIBC.syscall(SYS_PIDFD_OPEN, pid, 0) >= 0]
    return repr(held) if held else None


def try_named_memory() -> str | None:
    """Shared memory of the node's, by its key: it needs neither file nor descriptor."""
    number = LIBC.shmget(int(str(PLAN["memory_key"])), 0, 0)
    if number < 0:
        return None
    LIBC.shmat.restype = ctypes.c_void_p
    address = LIBC.shmat(number, None, 0)
    if address in (None, ctypes.c_void_p(-1).value):
        return None
    return "attached" if marker() in ctypes.string_at(address, mmap.PAGESIZE) else None


# identity


def try_all_identities() -> str | None:
    """The pilot's user as effective, saved or file user, and its group in any place."""
    user, group = int(str(PLAN["pilot_uid"])), int(str(PLAN["pilot_gid"]))
    if user in os.getresuid() or group in (*os.getresgid(), *os.getgroups()):
        return f"users {os.getresuid()}, groups {os.getresgid()} and {os.getgroups()}"
    tries: tuple[Callable[[], None], ...] = (
        lambda: os.setresuid(-1, user, -1),
        lambda: os.setreuid(user, -1),
        lambda: os.seteuid(user),
        lambda: os.setegid(group),
        lambda: os.setgroups([group]),
    )
    for number, tried in enumerate(tries):

        def done(tried: Callable[[], None] = tried) -> bool:
            tried()
            return True

        if in_a_child(done):
            return f"way {number}"
    return None


# host


def try_change_host() -> str | None:
    """What is there already on the node: writing, cutting, renaming, linking, removing, and more of other kinds.

    Whether something has changed there, the suite looks itself.
    """
    hit = []
    for folder in texts("changeable"):
        file, other = f"{folder}/precious", f"{folder}/{PLAN['unique']}"
        kinds: dict[str, Callable[[], object]] = {
            "written": partial(_write, file),
            "cut": partial(os.truncate, file, 1),
            "folder": partial(os.mkdir, other + ".folder"),
            "link": partial(os.symlink, "/", other + ".link"),
            "pipe": partial(os.mkfifo, other + ".pipe"),
            "socket": partial(_bind, other + ".socket"),
            "linked": partial(os.link, file, other + ".linked"),
            "moved in": partial(_move_in, other + ".moved"),
            "renamed": partial(os.rename, file, other + ".renamed"),
        }
        for kind, change in kinds.items():
            try:
                change()
            except OSError:
                continue
            hit.append(f"{kind} in {folder}")
    return repr(hit) if hit else None


def _write(path: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    os.write(fd, b"x")
    os.close(fd)


def _bind(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(path)


def _move_in(target: str) -> None:
    Path("moving").touch()
    os.rename("moving", target)  # noqa: PTH104 - one call that fails or does not
