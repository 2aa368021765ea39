"""Another local user by sudo, where the pilot is an ordinary user too and has no right but a rule of the site."""

import asyncio
import os
import select
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from picard_pilot.isolation.sudo import Sudo
from picard_pilot.model.isolation import Probed
from picard_pilot.plugins.loader import load
from picard_pilot.system import proc
from picard_pilot.testing.isolation_kit import PYTHON
from picard_pilot.testing.isolation_suite import DAEMON, IsolationSuite
from plain_user import UserArea, lacks_plain_user, open_folder
from second_user import second_user


@pytest.fixture(scope="module")
def users() -> Iterator[tuple[str, str]]:
    """The pilot's user and the payload's, with the site's rule between them."""
    if (reason := lacks_plain_user()) is not None:
        pytest.skip(reason)
    with second_user() as pilot, second_user() as payload:
        rule = Path("/etc/sudoers.d", pilot)
        rule.write_text(f"{pilot} ALL=({payload}) NOPASSWD:SETENV: ALL\n")
        rule.chmod(0o440)
        try:
            yield pilot, payload
        finally:
            rule.unlink()


class TestSudoBetweenUsers(IsolationSuite):
    """The suite with an ordinary user's pilot and another ordinary user's payload."""

    isolation_name = "sudo"

    @pytest.fixture
    def folder(self) -> Iterator[Path]:
        """A folder that both can reach."""
        with open_folder() as made:
            yield made

    @pytest.fixture
    def isolation(self, users: tuple[str, str]) -> Sudo:
        """The switch to the payload's user."""
        made: Sudo = load("isolation", f"sudo:{users[1]}")(os.environ)
        return made

    @pytest.fixture
    def area(self, users: tuple[str, str], folder: Path) -> UserArea:
        """A work area of the pilot's user."""
        return UserArea(folder / "area", users[0], f"sudo:{users[1]}")

    @pytest.fixture
    def probed(self, area: UserArea) -> Probed:
        """What the pilot's user finds."""
        return area.probe()

    def test_the_pilot_reads_and_removes_what_the_payload_wrote(
        self, isolation: Sudo, area: UserArea
    ) -> None:
        """By the access list, without asking for rights; and the payload cannot read the pilot's."""
        ended = area.run(
            isolation, area.request("/bin/sh", "-c", "mkdir made && echo out >made/file; cat picard/*")
        )
        assert ended.exit_code == 1, ended
        assert "Permission denied" in ended.stderr
        reader = (*area.python(), "-c", "import sys; print(open(sys.argv[1]).read(), end='')")
        said = subprocess.run(
            (*reader, str(area.job / "made" / "file")), capture_output=True, text=True, cwd="/"
        )
        assert (said.stdout, said.stderr) == ("out\n", "")
        remover = (*area.python(), "-c", "import shutil, sys; shutil.rmtree(sys.argv[1])")
        assert subprocess.run((*remover, str(area.job / "made")), cwd="/").returncode == 0

    def test_nothing_outlives_the_payload(self, isolation: Sudo, area: UserArea) -> None:
        """The launcher may not kill another user's daemon and says so; through the switch it is killed."""
        ended = area.run(isolation, area.request(PYTHON, "-c", DAEMON))
        assert (ended.exit_code, ended.survivors) == (0, 1), ended
        left = [pid for pid in proc.all_pids() if _is_of(pid, Path("/proc", str(pid)), area.job)]
        processes = [found for pid in left if (found := proc.identify(pid)) is not None]
        assert len(processes) == 1
        assert asyncio.run(isolation.signal(processes, signal.SIGKILL)) is not None
        descriptor = proc.open_pidfd(processes[0])
        if descriptor is not None:
            wait_for_end(descriptor)
        assert not proc.is_running(processes[0])


def _is_of(pid: int, entry: Path, job: Path) -> bool:
    """Whether the process' working directory is the job's."""
    try:
        return pid != os.getpid() and (entry / "cwd").readlink() == job
    except OSError:
        return False


def wait_for_end(descriptor: int) -> None:
    """Wait for the end of a process."""
    try:
        assert select.select([descriptor], [], [], 60.0)[0]
    finally:
        os.close(descriptor)
