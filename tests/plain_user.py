"""A pilot that is an ordinary user, as on every worker node, for the tests that root runs."""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

import picard_pilot
from confining import lacks_program
from picard_pilot.isolation.base import Isolation
from picard_pilot.model.isolation import ConfineRequest, Probed, Wrapped
from picard_pilot.testing.isolation_kit import WorkArea
from second_user import lacks_second_user

WRAP = """
import os, sys, msgspec
from picard_pilot.model.isolation import ConfineRequest
from picard_pilot.plugins.loader import load
request = msgspec.json.decode(sys.stdin.buffer.read(), type=ConfineRequest)
sys.stdout.buffer.write(msgspec.json.encode(load("isolation", sys.argv[1])(os.environ).wrap(request)))
"""
PROBE = """
import asyncio, os, sys, msgspec
from picard_pilot.plugins.loader import load
sys.stdout.buffer.write(msgspec.json.encode(asyncio.run(load("isolation", sys.argv[1])(os.environ).probe())))
"""


def paths() -> str:
    """Where Picard and msgspec are, for a Python that is not ours."""
    return f"{Path(picard_pilot.__file__).parents[1]}:{Path(msgspec.__file__).parents[1]}"


def command(user: str, python: str) -> tuple[str, ...]:
    """The command that runs this Python as the user, without any right of root's."""
    who = pwd.getpwnam(user)
    switch = (
        "setpriv",
        "--reuid",
        str(who.pw_uid),
        "--regid",
        str(who.pw_gid),
        "--clear-groups",
        "--inh-caps=-all",
    )
    return (*switch, "env", f"PYTHONPATH={paths()}", "PYTHONDONTWRITEBYTECODE=1", python)


def python_for(user: str) -> str | None:
    """A Python that the user can run with Picard in it: ours, or the system's where it is of the same version."""
    for python in (sys.executable, "/usr/bin/python3"):
        tried = subprocess.run(
            (*command(user, python), "-c", "import picard_pilot.system.run"), capture_output=True, cwd="/"
        )
        if tried.returncode == 0:
            return python
    return None


def lacks_plain_user() -> str | None:
    """Why no pilot can be run as another user here."""
    if (reason := lacks_second_user() or lacks_program("setpriv")) is not None:
        return reason
    if python_for("nobody") is None:
        return "no Python that an ordinary user can run has Picard in it: ours lies in a closed folder"
    return None


class UserArea(WorkArea):
    """A work area of an ordinary user."""

    def __init__(self, base: Path, user: str, isolation: str) -> None:
        """`isolation` is the name of what the user's pilot asks, in processes of the user's."""
        super().__init__(base)
        self.user, self.isolation = user, isolation
        self._python = python_for(user) or "python3"
        for path in (base, *base.rglob("*")):
            shutil.chown(path, user, pwd.getpwnam(user).pw_gid)

    @property
    def pilot_uid(self) -> int:
        """The user's."""
        return pwd.getpwnam(self.user).pw_uid

    @property
    def pilot_gid(self) -> int:
        """The user's."""
        return pwd.getpwnam(self.user).pw_gid

    def python(self) -> tuple[str, ...]:
        """As the user."""
        return command(self.user, self._python)

    def wrap(self, isolation: Isolation, request: ConfineRequest) -> Wrapped:
        """Asked by the user."""
        told = self._ask(WRAP, msgspec.json.encode(request))
        return msgspec.json.decode(told, type=Wrapped)

    def probe(self) -> Probed:
        """Asked by the user."""
        return msgspec.json.decode(self._ask(PROBE), type=Probed)

    def _ask(self, program: str, told: bytes = b"") -> bytes:
        return subprocess.run(
            (*self.python(), "-c", program, self.isolation),
            input=told,
            stdout=subprocess.PIPE,
            check=True,
            cwd="/",
            env=plain(os.environ),
        ).stdout


def plain(environ: Mapping[str, str]) -> dict[str, str]:
    """What an ordinary user's pilot has of our variables."""
    return {"PATH": environ["PATH"], "HOME": "/"}


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that every user can reach, which pytest's own is not."""
    with tempfile.TemporaryDirectory(prefix="picard-user-", dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
