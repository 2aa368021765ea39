"""A second local user for the tests that switch identity: made by root, and removed with all that is its own."""

import fcntl
import os
import secrets
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from confining import lacks_program


def lacks_second_user() -> str | None:
    """Why no second user can be made here."""
    if os.geteuid() != 0:
        return "only root can make the second user that this needs"
    return lacks_program("useradd", "userdel", "sudo")


@contextmanager
def second_user() -> Iterator[str]:
    """The name of a new user without a home or a password."""
    name = f"picard{secrets.token_hex(4)}"
    change_users("useradd", "--no-create-home", "--home-dir", "/", "--shell", "/bin/sh", name)
    try:
        yield name
    finally:
        change_users("userdel", "--force", name)


def change_users(*command: str) -> None:
    """Change the machine's list of users, one after the other: the tools wait for each other some seconds only."""
    with Path(tempfile.gettempdir(), "picard-tests-users.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run(command, check=True, capture_output=True)
