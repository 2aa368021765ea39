"""A second local user for the tests that switch identity: made by root, and removed with all that is its own."""

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

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
    subprocess.run(
        (
            shutil.which("useradd") or "useradd",
            "--no-create-home",
            "--home-dir",
            "/",
            "--shell",
            "/bin/sh",
            name,
        ),
        check=True,
        capture_output=True,
    )
    try:
        yield name
    finally:
        subprocess.run(("userdel", "--force", name), check=True, capture_output=True)
