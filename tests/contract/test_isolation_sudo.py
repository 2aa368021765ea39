"""Another local user by sudo, for real: root makes the user, and removes it again."""

import asyncio
import os
import pwd
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from grid import wait_for
from picard_pilot.isolation.base import Isolation
from picard_pilot.isolation.sudo import Sudo
from picard_pilot.model.isolation import CannotConfine
from picard_pilot.plugins.loader import load
from picard_pilot.system import proc
from picard_pilot.testing.isolation_kit import WorkArea
from picard_pilot.testing.isolation_suite import IsolationSuite
from plain_user import open_folder
from second_user import lacks_second_user, second_user

REASON = lacks_second_user()
pytestmark = pytest.mark.skipif(REASON is not None, reason=REASON or "")


@pytest.fixture(scope="module")
def user() -> Iterator[str]:
    """The payload's user."""
    with second_user() as name:
        yield name


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Where the user can come. Not pytest's own: each run of pytest closes the folder above those of all runs anew."""
    with open_folder() as made:
        yield made


@pytest.fixture
def switch(user: str) -> Sudo:
    """The switch to it."""
    made: Sudo = load("isolation", f"sudo:{user}")(os.environ)
    return made


class TestSudo(IsolationSuite):
    """The whole suite as the other user."""

    isolation_name = "sudo"

    @pytest.fixture
    def area(self, tmp_path: Path) -> WorkArea:
        """A fresh work area."""
        return WorkArea(tmp_path / "area")

    @pytest.fixture
    def isolation(self, switch: Sudo) -> Isolation:
        """The switch."""
        return switch


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("sudo", "no user is named"),
        ("sudo:nobody-of-this-name", "there is no user"),
        ("sudo:root", "is root or the pilot itself"),
    ],
)
def test_what_it_needs_is_said(name: str, says: str) -> None:
    """Without a user, with one that is not there, with root: it is not usable, and says why."""
    probed = asyncio.run(load("isolation", name)(os.environ).probe())
    assert not probed.usable
    assert says in probed.says


def test_a_rule_that_is_missing_is_said(user: str) -> None:
    """A pilot without a rule in sudoers is told in sudo's own words."""
    program = (
        "import asyncio, os, sys; from picard_pilot.plugins.loader import load\n"
        f"os.setuid({pwd.getpwnam(user).pw_uid})\n"
        "print(asyncio.run(load('isolation', 'sudo:nobody')(os.environ).probe()).says)"
    )
    # As the second user, which may read what root's Python consists of only where it was loaded before.
    said = subprocess.run(
        ("sudo", "-n", "-u", user, "--", "sudo", "-n", "-u", "nobody", "--", "true"),
        capture_output=True,
        text=True,
    )
    assert said.returncode == 1, program
    fault = load("isolation", "sudo:nobody")(os.environ).fault(said.returncode, said.stderr)
    assert fault is not None
    assert "sudo: " in fault.says


def area_of(tmp_path: Path, switch: Sudo) -> WorkArea:
    """A work area that is shared with the user."""
    area = WorkArea(tmp_path / "area")
    switch.wrap(area.request("/bin/true"))
    return area


def test_the_verbs_reach_what_is_the_users(switch: Sudo, tmp_path: Path) -> None:
    """What the user closed is opened, and removed, through the switch; the pilot's own files stand it."""
    area = area_of(tmp_path, switch)
    closed = area.job / "closed"
    script = f"umask 077; mkdir {closed} && echo data >{closed}/file && chmod 0 {closed}/file {closed}"
    assert asyncio.run(switch.run(("/bin/sh", "-c", script))).ok
    assert asyncio.run(switch.chmod("u+rwX,g+rwX", str(closed))).ok
    assert (closed / "file").stat().st_mode & 0o660 == 0o660
    assert asyncio.run(switch.remove(str(closed))).ok
    assert not closed.exists()
    assert not asyncio.run(switch.remove(str(area.credential))).ok
    assert area.credential.exists()


def test_the_users_processes_are_signalled_and_no_others(switch: Sudo) -> None:
    """A process of the user's gets the signal; one of the pilot's does not, since it is the user who sends it."""
    theirs = subprocess.Popen(("setpriv", "--reuid", str(switch.user), "--clear-groups", "sleep", "3600"))
    ours = subprocess.Popen(("sleep", "3600"))
    try:
        wait_for(lambda: Path(f"/proc/{theirs.pid}/comm").read_text() == "sleep\n", "it is the user's")
        found = [proc.identify(each.pid) for each in (theirs, ours)]
        processes = [each for each in found if each is not None]
        asyncio.run(switch.signal(processes[1:], signal.SIGTERM))
        assert asyncio.run(switch.signal(processes[:1], signal.SIGTERM))
        assert theirs.wait(60) == -signal.SIGTERM
        assert ours.poll() is None
        assert asyncio.run(switch.signal(processes[:1], signal.SIGTERM)) is None
    finally:
        for each in (theirs, ours):
            each.kill()
            each.wait()


def test_an_environment_that_is_too_large_is_refused(switch: Sudo, tmp_path: Path) -> None:
    """The kernel takes no variable of more than 128 KiB: that is said before anything is started."""
    noise = {f"V{number}": os.urandom(2000).hex() for number in range(60)}
    area = WorkArea(tmp_path / "area")
    with pytest.raises(CannotConfine, match="too large"):
        switch.wrap(area.request("/bin/true", environment=noise))


def test_what_the_pilot_makes_later_is_closed_too(switch: Sudo, tmp_path: Path) -> None:
    """A log that the pilot begins after the payload was started is not for the payload."""
    area = area_of(tmp_path, switch)
    later = area.work / "later.log"
    later.write_text(area.marker)
    tried: Any = asyncio.run(switch.run(("cat", str(later))))
    assert (tried.ok, tried.stdout_tail) == (False, "")


def test_a_work_directory_that_is_others_too_is_refused(switch: Sudo, tmp_path: Path) -> None:
    """What others have in /tmp is not closed for a job's sake; nothing of it is changed."""
    area = WorkArea(tmp_path / "area")
    area.work.chmod(0o1777)
    with pytest.raises(CannotConfine, match="a work directory of its own"):
        switch.wrap(area.request("/bin/true"))
    assert area.other.stat().st_mode & 0o777 == 0o755
