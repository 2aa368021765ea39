"""Another local user by gLExec: a stand-in with its variables and exit codes, since no distribution has it any more."""

import asyncio
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from picard_pilot.isolation.base import Isolation
from picard_pilot.isolation.glexec import Glexec
from picard_pilot.model.isolation import CannotConfine
from picard_pilot.plugins.loader import load
from picard_pilot.testing.isolation_kit import WorkArea
from picard_pilot.testing.isolation_suite import IsolationSuite
from plain_user import open_folder
from second_user import lacks_second_user, second_user

REASON = lacks_second_user()
pytestmark = pytest.mark.skipif(REASON is not None, reason=REASON or "")

STAND_IN = Path(__file__).parents[1] / "glexec_stand_in.py"
OWNER = "/DC=org/DC=example/CN=an owner"


class Place:
    """The stand-in's folder, and the proxies."""

    def __init__(self, folder: Path, user: str) -> None:
        self.program = folder / "glexec"
        shutil.copy(STAND_IN, self.program)
        self.program.chmod(0o755)
        self.accounts = folder / "mapped"
        self.accounts.write_text(
            f"{OWNER} {user}\n/CN=the administrator root\n/CN=gone nobody-of-this-name\n"
        )
        self.owners = folder / "owners_proxy"
        self.owners.write_text(f"{OWNER}\nproxy of the owner\n")
        self.owners.chmod(0o600)
        self.pilots = folder / "pilots_proxy"
        self.pilots.write_text("/CN=the pilot\n")
        self.pilots.chmod(0o600)

    def switch(self, **changes: str | None) -> Glexec:
        """The plug-in, with the variables of a pilot."""
        environ: dict[str, str | None] = {
            "PATH": "/usr/bin:/bin",
            "GLEXEC_CLIENT_CERT": str(self.owners),
            "X509_USER_PROXY": str(self.pilots),
        }
        told = {name: value for name, value in (environ | changes).items() if value is not None}
        made: Glexec = load("isolation", f"glexec:{self.program}")(told)
        return made


@pytest.fixture(scope="module")
def user() -> Iterator[str]:
    """The account of the owner."""
    with second_user() as name:
        yield name


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Where the user can come. Not pytest's own: each run of pytest closes the folder above those of all runs anew."""
    with open_folder() as made:
        yield made


@pytest.fixture
def place(user: str, tmp_path: Path) -> Place:
    """A stand-in of one's own."""
    return Place(tmp_path, user)


@pytest.fixture
def switch(place: Place) -> Glexec:
    """A switch that was probed."""
    made = place.switch()
    probed = asyncio.run(made.probe())
    assert probed.usable, probed.says
    return made


class TestGlexec(IsolationSuite):
    """The whole suite as the owner's account."""

    isolation_name = "glexec"

    @pytest.fixture
    def area(self, tmp_path: Path) -> WorkArea:
        """A fresh work area."""
        return WorkArea(tmp_path / "area")

    @pytest.fixture
    def isolation(self, switch: Glexec) -> Isolation:
        """The switch."""
        return switch


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"GLEXEC_CLIENT_CERT": None}, "no proxy of the payload's owner is named"),
        ({"GLEXEC_CLIENT_CERT": "{pilots}"}, "names the pilot's own proxy"),
        ({"GLEXEC_CLIENT_CERT": "/nowhere/proxy"}, "No such file"),
        ({"X509_USER_PROXY": None, "GLEXEC_CLIENT_CERT": "{pilots}"}, "203"),
    ],
)
def test_it_never_goes_on_with_another_identity(
    place: Place, changes: dict[str, str | None], says: str
) -> None:
    """No proxy of the owner, the pilot's own, one without an account: not usable, and said why."""
    named = {name: value and value.format(pilots=place.pilots) for name, value in changes.items()}
    probed = asyncio.run(place.switch(**named).probe())
    assert not probed.usable
    assert says in probed.says


def test_a_proxy_that_others_can_read_is_refused(place: Place) -> None:
    """Mode 0644 is somebody's mistake, and is said before glexec is asked."""
    place.owners.chmod(0o644)
    with pytest.raises(CannotConfine, match="mode 0600"):
        place.switch().command(("/bin/true",), {}, "/")


@pytest.mark.parametrize(
    ("script", "code", "error"),
    [
        ("exit 7", 7, None),
        ("exit 1", 1, None),
        ("exit 203", 204, None),
        ("kill -9 $$", 137, None),
        ("exec /nowhere/program", 127, None),
    ],
)
def test_the_payloads_own_end_is_no_fault_of_the_switch(
    switch: Glexec, tmp_path: Path, script: str, code: int, error: str | None
) -> None:
    """Its exit codes pass; those that glexec uses itself come as 204; a signal as a shell says it."""
    area = WorkArea(tmp_path / "area")
    ended = area.run(switch, area.request("/bin/sh", "-c", script))
    assert ended.exit_code == code, ended
    assert switch.fault(code, ended.stderr) is error


@pytest.mark.parametrize(
    ("mapped", "code", "error"),
    [
        ("", 203, "SETUPFAILURE"),
        (f"{OWNER} root", 203, "SETUPFAILURE"),
        (f"{OWNER} nobody-of-this-name", 202, "SETUPFAILURE"),
    ],
)
def test_each_exit_code_of_its_own_is_a_clear_fault(
    switch: Glexec, place: Place, tmp_path: Path, mapped: str, code: int, error: str
) -> None:
    """What changed at the site between the probe and the payload is told apart, with glexec's own line."""
    place.accounts.write_text(mapped + "\n")
    area = WorkArea(tmp_path / "area")
    ended = area.run(switch, area.request("/bin/true"))
    assert ended.exit_code == code, ended
    fault = switch.fault(code, ended.stderr)
    assert fault is not None
    assert (fault.error, f"ended with {code}" in fault.says, "glexec: " in fault.says) == (error, True, True)


def test_a_lost_proxy_is_the_callers_mistake(switch: Glexec, place: Place, tmp_path: Path) -> None:
    """The owner's proxy is gone when glexec reads it."""
    area = WorkArea(tmp_path / "area")
    wrapped = switch.wrap(area.request("/bin/true"))
    place.owners.unlink()

    class Prepared(Isolation):
        """What was wrapped before."""

        name = "prepared"
        probe = switch.probe

        def wrap(self, request: object) -> object:  # type: ignore[override]
            """The same."""
            return wrapped

    ended = area.run(Prepared({}), area.request("/bin/true"))
    assert ended.exit_code == 201, ended
    fault = switch.fault(201, ended.stderr)
    assert fault is not None
    assert fault.error == "NOPROXY"


def test_the_owners_proxy_is_the_payloads(switch: Glexec, tmp_path: Path) -> None:
    """The payload has the owner's proxy as a file of its own, and no way to know of the pilot's."""
    area = WorkArea(tmp_path / "area")
    ended = area.run(switch, area.request("/bin/sh", "-c", "cat $X509_USER_PROXY; env"))
    assert ended.exit_code == 0, ended
    assert "proxy of the owner" in ended.stdout
    assert f"X509_USER_PROXY={area.job}/payload_proxy" in ended.stdout
    assert "pilots_proxy" not in ended.stdout
    assert "GLEXEC" not in ended.stdout


def test_where_sites_put_it(place: Place) -> None:
    """The variables that name it, in their order."""
    found = Glexec({"GLEXEC_LOCATION": "/nowhere", "OSG_GLEXEC_LOCATION": str(place.program)}).where()
    assert found == str(place.program)
    (place.program.parent / "sbin").mkdir()
    other = place.program.parent / "sbin" / "glexec"
    shutil.copy(place.program, other)
    assert Glexec({"GLEXEC_LOCATION": str(place.program.parent)}).where() == str(other)
    assert Glexec({}).where() in (None, "/usr/sbin/glexec")


def test_the_verbs_go_through_it(switch: Glexec, user: str, tmp_path: Path) -> None:
    """A folder that the account closed is removed through the switch."""
    area = WorkArea(tmp_path / "area")
    switch.wrap(area.request("/bin/true"))
    closed = area.job / "closed"
    assert asyncio.run(switch.run(("/bin/sh", "-c", f"umask 077; mkdir -p {closed}/deep"))).ok
    assert closed.owner() == user
    assert asyncio.run(switch.remove(str(closed))).ok
    assert not os.path.lexists(closed)
