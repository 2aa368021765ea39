"""The ways to confine as an ordinary user has them, which is what a pilot is on a worker node."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from confining import (
    IMPOSSIBLE_ANYWAY,
    INSTALL,
    ROOTS_ALONE,
    apptainer,
    lacks_bubblewrap,
    lacks_landlock,
    lacks_namespaces,
    restrained,
)
from picard_pilot.isolation.base import Isolation
from picard_pilot.isolation.none import NoIsolation
from picard_pilot.model.isolation import Probed
from picard_pilot.plugins.loader import load
from picard_pilot.testing.isolation_kit import ALL, WorkArea
from picard_pilot.testing.isolation_suite import IsolationSuite
from plain_user import UserArea, lacks_plain_user, open_folder
from second_user import second_user

PROGRAM = apptainer()
NO_BUBBLEWRAP = lacks_bubblewrap()
NO_LANDLOCK = lacks_landlock()
NO_APPTAINER = lacks_namespaces() if PROGRAM else f"there is no apptainer here; {INSTALL}"


@pytest.fixture(scope="module")
def user() -> Iterator[str]:
    """The pilot's user."""
    if (reason := lacks_plain_user()) is not None:
        pytest.skip(reason)
    with second_user() as name:
        yield name


class UserSuite(IsolationSuite):
    """The suite with a pilot of that user's."""

    @pytest.fixture
    def folder(self) -> Iterator[Path]:
        """A folder that the user can reach."""
        with open_folder() as made:
            yield made

    @pytest.fixture
    def isolation(self) -> Isolation:
        """The way under test."""
        made: Isolation = load("isolation", self.isolation_name)(os.environ)
        return made

    @pytest.fixture
    def area(self, user: str, folder: Path) -> WorkArea:
        """A work area of the user's."""
        return UserArea(folder / "area", user, self.isolation_name)

    @pytest.fixture
    def probed(self, area: UserArea) -> Probed:
        """What the user finds."""
        return area.probe()

    def test_the_payload_has_no_rights(self, isolation: Isolation, area: WorkArea, image: str | None) -> None:
        """It is the pilot's user, and has no capability."""
        script = "grep CapEff /proc/self/status; id -u"
        ended = area.run(isolation, area.request("/bin/sh", "-c", script, image=image))
        assert ended.stdout.split() == ["CapEff:", "0" * 16, str(area.pilot_uid)], ended


@pytest.mark.skipif(NO_LANDLOCK is not None, reason=NO_LANDLOCK or "")
class TestLandlockAsUser(UserSuite):
    """It needs no rights."""

    isolation_name = "landlock"


@pytest.mark.skipif(NO_BUBBLEWRAP is not None, reason=NO_BUBBLEWRAP or "")
class TestBubblewrapAsUser(UserSuite):
    """By user namespaces."""

    isolation_name = "bubblewrap"


@pytest.mark.skipif(NO_APPTAINER is not None, reason=NO_APPTAINER or "")
class TestApptainerAsUser(UserSuite):
    """By user namespaces, without anything setuid."""

    isolation_name = f"apptainer:{PROGRAM}"

    @pytest.fixture
    def image(self, folder: Path) -> str:
        """A directory of links into /usr."""
        image = folder / "image"
        for name in ("usr", "etc", "proc", "dev", "tmp", "sys", "var/tmp", "root", "home"):
            (image / name).mkdir(parents=True)
        for name in ("bin", "lib", "lib64", "sbin"):
            (image / name).symlink_to(f"usr/{name}")
        return str(image)

    @pytest.fixture
    def area(self, user: str, folder: Path) -> WorkArea:
        """The image has no /usr of its own."""
        made = UserArea(folder / "area", user, self.isolation_name)
        made.image_needs = ("/usr",)
        return made


def test_the_attempts_succeed_where_nothing_confines_a_user(user: str) -> None:
    """They prove something of an ordinary user's payload too."""
    names = tuple(dict.fromkeys(name for _, name in ALL))
    with open_folder() as folder:
        told = UserArea(folder / "area", user, "none").escape(NoIsolation({}), names, None)
    failed = {name for name in names if told["found"][name] is None}
    assert failed == set(IMPOSSIBLE_ANYWAY) | set(ROOTS_ALONE) | restrained(), told
