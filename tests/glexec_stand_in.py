#!/usr/bin/python3 -IS
"""A stand-in for gLExec 0.9, which no distribution has any more: the same variables, switch and exit codes.

Run by root or through sudo, which then stands for its setuid bit. What it maps is in a file of its own: the first line
of a proxy and an account; another file holds its white list. It makes no attempt to check certificates.
"""

import os
import pwd
import signal
import stat
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
CALLER_ERROR, BROKEN, NOT_AUTHORIZED, CLASH, CANNOT_EXECUTE = 201, 202, 203, 204, 126


def fail(code, why):
    """Leave as gLExec does."""
    os.write(2, f"glexec: {why}\n".encode())
    os._exit(code)


def proxy_of_caller(name, code_if_unset):
    """A file of the caller's own that nobody else can read."""
    path = os.environ.get(name) or fail(code_if_unset, f"{name} is not set")
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError as error:
        fail(CALLER_ERROR, f"{name}: {error.strerror}")
    status = os.fstat(fd)
    owner = int(os.environ.get("SUDO_UID", os.getuid()))
    if not stat.S_ISREG(status.st_mode) or status.st_uid != owner or status.st_mode & 0o077:
        fail(CALLER_ERROR, f"{name}: not the caller's own file of mode 0600")
    return os.read(fd, 1 << 16)


def account_of(proxy):
    """The account to which the proxy's first line is mapped."""
    try:
        with (HERE / "mapped").open() as lines:
            mapped = dict(line.rsplit(maxsplit=1) for line in lines if line.strip())
    except OSError as error:
        fail(BROKEN, f"no file of accounts: {error.strerror}")
    owner = proxy.decode().splitlines()[0] if proxy.strip() else ""
    if owner not in mapped:
        fail(NOT_AUTHORIZED, f"no account for {owner!r}")
    try:
        return pwd.getpwnam(mapped[owner])
    except KeyError:
        fail(BROKEN, "the mapped account does not exist")


def become(who, source, command, told):
    """In the child: the other user, with nothing of the caller's environment but the one variable.

    What it says on `told`, which the command does not have, is its own failure and not the command's.
    """
    os.setsid()
    os.setgroups([])
    os.setgid(who.pw_gid)
    os.setuid(who.pw_uid)
    env = {"HOME": who.pw_dir, "USER": who.pw_name, "LOGNAME": who.pw_name, "PATH": "/usr/bin:/bin"}
    if "GLEXEC_ENV" in os.environ:
        env["GLEXEC_ENV"] = os.environ["GLEXEC_ENV"]
    target = os.environ.get("GLEXEC_TARGET_PROXY")
    if source is not None and target:
        try:
            fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            os.write(fd, source)
            os.close(fd)
        except OSError as error:
            os.write(told, bytes([CALLER_ERROR]))
            fail(CALLER_ERROR, f"GLEXEC_TARGET_PROXY: {error.strerror}")
        env["X509_USER_PROXY"] = target
    try:
        os.execve(command[0], command, env)
    except OSError as error:
        os.write(told, bytes([CANNOT_EXECUTE]))
        fail(CANNOT_EXECUTE, f"{command[0]}: {error.strerror}")


def main():
    """Map, switch, pass signals on, and end as the command does."""
    command = sys.argv[2:] if sys.argv[1:2] == ["--"] else sys.argv[1:]
    if os.geteuid() != 0:
        fail(BROKEN, "not setuid root")
    if not command or not command[0].startswith("/"):
        fail(CALLER_ERROR, "the command needs an absolute path")
    who = account_of(proxy_of_caller("GLEXEC_CLIENT_CERT", NOT_AUTHORIZED))
    source = None
    if os.environ.get("GLEXEC_SOURCE_PROXY"):
        source = proxy_of_caller("GLEXEC_SOURCE_PROXY", CALLER_ERROR)
    if who.pw_uid == 0:
        fail(NOT_AUTHORIZED, "will not become root")
    listening, told = os.pipe()
    child = os.fork()
    if child == 0:
        become(who, source, command, told)
    os.close(told)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda got, _: os.kill(child, got))
    own = os.read(listening, 1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code < 0:
        return 128 - code
    return CLASH if not own and CALLER_ERROR <= code <= CLASH else code


sys.exit(main())
