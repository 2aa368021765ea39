"""Handing a payload its environment and directory through a program that wipes them, as those that switch identity do.

All of it travels in one variable that the program lets pass; a small program on the other side unpacks it and becomes
the payload. So no value is on a command line, and none of the pilot's variables gets through.
"""

import base64
import os
import zlib
from collections.abc import Mapping, Sequence

import msgspec

from picard_pilot.model.isolation import CannotConfine

LONGEST_BYTES = 128 * 1024 - 64
"""The kernel takes no longer variable (MAX_ARG_STRLEN)."""

UNPACK = """
import base64, json, os, sys, zlib
name, command = sys.argv[1], sys.argv[2:]
told = json.loads(zlib.decompress(base64.b64decode(os.environ[name])))
kept = {each: os.environ[each] for each in told["keep"] if each in os.environ}
env = {**told["env"], **kept}
try:
    os.umask(told["umask"])
    os.chdir(told["cwd"])
    os.execvpe(command[0], command, env)
except OSError as error:
    sys.stderr.write("unpack: %s: %s\\n" % (error.filename or command[0], error.strerror))
    os._exit(126)
"""
"""Runs on any Python 3, with nothing but its standard library."""

PYTHONS = ("/usr/bin/python3", "/usr/libexec/platform-python")
"""The system's own, which every user may run; the pilot's may lie in its home."""

UMASK = 0o007
"""Of the payload: the bits of its group are the mask of the access list by which the pilot reads what it writes."""


def pack(environment: Mapping[str, str], cwd: str, keep: Sequence[str] = ()) -> str:
    """The variable's value. `keep` are variables that the switch itself sets. Raises CannotConfine if too long."""
    told = {"env": dict(environment), "cwd": cwd, "keep": list(keep), "umask": UMASK}
    value = base64.b64encode(zlib.compress(msgspec.json.encode(told))).decode()
    if len(value) > LONGEST_BYTES:
        raise CannotConfine(
            f"the payload's environment is too large to be handed over ({len(value)} bytes packed)"
        )
    return value


def any_python() -> str:
    """A Python that every user may run. Raises CannotConfine."""
    python = next((each for each in PYTHONS if os.access(each, os.X_OK)), None)
    if python is None:
        raise CannotConfine("there is no Python on this node that every user may run")
    return python


def unpacking(python: str, variable: str, argv: Sequence[str]) -> tuple[str, ...]:
    """The command that unpacks the variable and becomes `argv`."""
    return (python, "-I", "-S", "-c", UNPACK, variable, *argv)
