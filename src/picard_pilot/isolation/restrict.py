"""A program that puts itself under Landlock and becomes another: `python -I -S restrict.py RULES -- COMMAND...`.

It is run by path and imports nothing of Picard's. RULES is JSON: paths under `read` and `write`, and under `set`
variables that the command gets and this program must not have. What they are for is `landlock`. Exit code 126 and a
line of its own: it could not, and nothing was started.
"""

import ctypes
import json
import os
import sys

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
"""System calls, with the same numbers on every architecture but Alpha."""
CREATE_RULESET_VERSION = 1
PATH_BENEATH = 1
PR_SET_NO_NEW_PRIVS = 38

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8
REMOVE_DIR, REMOVE_FILE, MAKE_CHAR, MAKE_DIR, MAKE_REG = 16, 32, 64, 128, 256
MAKE_SOCK, MAKE_FIFO, MAKE_BLOCK, MAKE_SYM = 512, 1024, 2048, 4096
REFER, TRUNCATE, IOCTL_DEV = 8192, 16384, 32768
READ = EXECUTE | READ_FILE | READ_DIR
FIRST_ABI = (1 << 13) - 1
ADDED = {2: REFER, 3: TRUNCATE, 5: IOCTL_DEV}
"""What later versions of the interface can handle besides."""
FOR_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
SCOPE_ABI = 6
SCOPE_SIGNALS_AND_SOCKETS = 3
"""From then on: no signals to processes outside, no connection to abstract sockets of theirs."""

FAILED = 126


class RulesetAttr(ctypes.Structure):
    """struct landlock_ruleset_attr: rights on files, on the network (none is handled), and scopes."""

    _fields_ = [("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64)]


class PathBeneathAttr(ctypes.Structure):
    """struct landlock_path_beneath_attr, which is packed."""

    _pack_ = 1
    _fields_ = [("allowed", ctypes.c_uint64), ("parent_fd", ctypes.c_int32)]


LIBC = ctypes.CDLL(None, use_errno=True)


def syscall(number: int, *arguments: "ctypes.c_long | ctypes._Pointer[ctypes.Structure] | None") -> int:
    """A system call; raises OSError."""
    result: int = LIBC.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def abi() -> int:
    """The version of Landlock that the running kernel speaks. Raises OSError where it has none, or is told not to."""
    return syscall(CREATE_RULESET, None, ctypes.c_long(0), ctypes.c_long(CREATE_RULESET_VERSION))


def handled(version: int) -> int:
    """All rights on files that this version knows: what is handled is forbidden but where it is allowed."""
    return FIRST_ABI | sum(right for since, right in ADDED.items() if version >= since)


def restrict(read: "list[str]", write: "list[str]") -> None:
    """Forbid this process and its children to touch files but below these paths. Raises OSError."""
    version = abi()
    rights = handled(version)
    scoped = SCOPE_SIGNALS_AND_SOCKETS if version >= SCOPE_ABI else 0
    attr = RulesetAttr(fs=rights, net=0, scoped=scoped)
    # Older kernels know the first fields only.
    size = 24 if version >= SCOPE_ABI else 16 if version >= 4 else 8
    ruleset = syscall(CREATE_RULESET, ctypes.pointer(attr), ctypes.c_long(size), ctypes.c_long(0))
    for paths, allowed in ((read, READ), (write, rights)):
        for path in paths:
            allow(ruleset, path, allowed & rights)
    if LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "no_new_privs was refused")
    syscall(RESTRICT_SELF, ctypes.c_long(ruleset), ctypes.c_long(0))
    os.close(ruleset)


def allow(ruleset: int, path: str, rights: int) -> None:
    """Allow the rights on a path and all below it; a path that is gone needs none."""
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        # O_PATH and a name that ends in a slash cannot tell a folder from a file; the mode can.
        folder = os.fstat(fd).st_mode & 0o170000 == 0o040000
        rule = PathBeneathAttr(allowed=rights if folder else rights & FOR_FILES, parent_fd=fd)
        syscall(
            ADD_RULE,
            ctypes.c_long(ruleset),
            ctypes.c_long(PATH_BENEATH),
            ctypes.pointer(rule),
            ctypes.c_long(0),
        )
    finally:
        os.close(fd)


def main() -> None:
    """Restrict this process, then become the command."""
    rules = json.loads(sys.argv[1])
    command = sys.argv[3:]
    try:
        restrict(rules["read"], rules["write"])
        os.environ.update(rules["set"])
        os.execvp(command[0], command)
    except OSError as error:
        sys.stderr.write(f"restrict: {error.filename or command[0]}: {error.strerror}\n")
        os._exit(FAILED)


if __name__ == "__main__":
    main()
