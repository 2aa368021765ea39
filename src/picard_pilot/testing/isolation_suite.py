"""The conformance suite for ways to confine: derive `IsolationSuite` in a test file, name the way, run pytest.

A payload tries to break every guarantee that the way claims, by all means of `testing.isolation_escapes`.
"""

import asyncio
import fcntl
import os
import signal
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from picard_pilot.isolation.base import Isolation
from picard_pilot.model.isolation import CannotConfine, Guarantee, Probed
from picard_pilot.plugins.loader import load
from picard_pilot.testing.isolation_kit import ALL, PYTHON, WorkArea

GONE_S = 60.0
"""How long what a payload left behind may take to be gone from a loaded machine."""

DAEMON = """
import fcntl, os, sys, time
if os.fork():
    os.waitpid(-1, 0)
    while not os.path.exists("held"):
        time.sleep(0.01)
    sys.exit(0)
os.setsid()
if os.fork():
    os._exit(0)
os.closerange(0, 100)
fd = os.open("lock", os.O_RDWR | os.O_CREAT, 0o666)
fcntl.flock(fd, fcntl.LOCK_EX)
open("held", "w").close()
os.execve(sys.executable, [sys.executable, "-c", "import time; time.sleep(3600)"], {})
"""
"""A daemon that gives up its session, parents, descriptors and environment, but for a lock that lives while it does."""


class IsolationSuite:
    """The tests. A subclass, named `Test...`, gives `isolation_name`; others fixtures where it needs them."""

    isolation_name: ClassVar[str]
    _told: ClassVar[dict[str, dict[str, Any]]] = {}

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """One test for each attempt against a guarantee that the way claims."""
        if "attempt" in metafunc.fixturenames:
            claims = load("isolation", self.isolation_name).claims
            tried = [(g.value, name) for g, name in ALL if g in claims] or [("nothing", "nothing")]
            metafunc.parametrize(("guarantee", "attempt"), tried, ids=[f"{g}-{name}" for g, name in tried])

    @pytest.fixture
    def environ(self) -> dict[str, str]:
        """The pilot's environment, from which the way is made."""
        return dict(os.environ)

    @pytest.fixture
    def image(self) -> str | None:
        """The image to run in."""
        return None

    @pytest.fixture
    def isolation(self, environ: dict[str, str]) -> Isolation:
        """The way under test."""
        made: Isolation = load("isolation", self.isolation_name)(environ)
        return made

    @pytest.fixture
    def probed(self, isolation: Isolation) -> Probed:
        """What its probe says."""
        return asyncio.run(isolation.probe())

    @pytest.fixture
    def area_folder(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """Where work areas are made."""
        return tmp_path_factory.mktemp("isolation")

    @pytest.fixture
    def area(self, area_folder: Path, probed: Probed) -> WorkArea:
        """A fresh work area."""
        assert probed.usable, probed.says
        return WorkArea(area_folder / f"area{len(list(area_folder.iterdir()))}")

    @pytest.fixture
    def told(self, request: pytest.FixtureRequest) -> dict[str, Any]:
        """What one payload brought that tried everything; it runs once for all tests of the class."""
        told = type(self)._told.get(type(self).__name__)
        if told is None:
            # Only now: a probe and a work area for each test would take longer than all attempts.
            isolation, area, image = map(request.getfixturevalue, ("isolation", "area", "image"))
            names = tuple(dict.fromkeys(name for g, name in ALL if g in isolation.claims))
            told = type(self)._told[type(self).__name__] = area.escape(isolation, names, image)
        return told

    def test_its_probe_says_what_it_claims(self, isolation: Isolation, probed: Probed) -> None:
        """It is usable here, gives what it claims, and says in words what it found."""
        assert probed.usable, probed.says
        assert (probed.name, isolation.api) == (isolation.name, Isolation.api)
        assert probed.guarantees == isolation.claims
        assert probed.says

    def test_a_payload_works(self, told: dict[str, Any]) -> None:
        """Inputs are read, outputs written, temporary files made, programs started; its environment is its own."""
        assert told["cannot"] is None, told

    def test_it_keeps(self, told: dict[str, Any], guarantee: str, attempt: str) -> None:
        """No attempt against a guarantee that it claims succeeds; a way that claims nothing keeps nothing."""
        if guarantee == "nothing":
            assert told["found"] == {}
        else:
            assert told["found"][attempt] is None
        assert told["signals_heard"] == 0

    def test_exit_code_and_output_are_the_payloads(
        self, isolation: Isolation, area: WorkArea, image: str | None
    ) -> None:
        """What it says and how it ends passes through."""
        script = "echo out; echo error >&2; exit 7"
        ended = area.run(isolation, area.request("/bin/sh", "-c", script, image=image))
        assert (ended.exit_code, ended.stdout, ended.stderr) == (7, "out\n", "error\n"), ended

    def test_death_by_a_signal_is_told(self, isolation: Isolation, area: WorkArea, image: str | None) -> None:
        """As a signal, or as the code that stands for it."""
        program = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
        ended = area.run(isolation, area.request(PYTHON, "-c", program, image=image))
        assert signal.SIGSEGV in (ended.signal, isolation.signal_of(ended.exit_code or 0)), ended

    def test_hostile_arguments_arrive(self, isolation: Isolation, area: WorkArea, image: str | None) -> None:
        """Blanks, quotes, options and lines in arguments are the payload's."""
        hostile = ("--bind", "a b", "'\"$(id)`id`", "new\nline", "", "Zürich", "--")
        program = "import sys, json; print(json.dumps(sys.argv[1:]))"
        ended = area.run(isolation, area.request(PYTHON, "-c", program, *hostile, image=image))
        assert ended.exit_code == 0, ended
        assert tuple(msgspec.json.decode(ended.stdout)) == hostile

    def test_no_value_of_the_environment_on_a_command_line(
        self, isolation: Isolation, area: WorkArea, image: str | None
    ) -> None:
        """A payload's token, which its experiment asked for, is for every user to read there."""
        environment = {"PATH": "/usr/bin:/bin", "MY_TOKEN": area.marker}
        wrapped = isolation.wrap(area.request("/bin/true", image=image, environment=environment))
        assert not [part for part in wrapped.argv if area.marker in part]

    def test_the_loaders_variables_are_the_payloads(
        self, isolation: Isolation, area: WorkArea, image: str | None
    ) -> None:
        """They arrive; and where the node is read-only no program outside obeys them, by which all could be undone."""
        variables = {
            "LD_DEBUG": "libs",
            "LD_DEBUG_OUTPUT": str(area.host / "loaded"),
            "LD_LIBRARY_PATH": "/no",
        }
        environment = {"PATH": "/usr/bin:/bin", **variables}
        script = "echo $LD_DEBUG,$LD_DEBUG_OUTPUT,$LD_LIBRARY_PATH"
        request = area.request("/bin/sh", "-c", script, image=image, environment=environment)
        ended = area.run(isolation, request)
        # The loader says there what it does where it cannot write the file; apptainer adds a folder of its own.
        assert ended.stdout.splitlines()[-1].startswith(",".join(variables.values())), ended
        if Guarantee.READ_ONLY_HOST in isolation.claims:
            assert area.changed() == []

    def test_nothing_outlives_the_payload(
        self, isolation: Isolation, area: WorkArea, image: str | None
    ) -> None:
        """A daemon that gave up session, parents and environment is gone when the payload's end is known."""
        ended = area.run(isolation, area.request(PYTHON, "-c", DAEMON, image=image))
        assert (ended.exit_code, ended.survivors) == (0, 0), ended
        assert (area.job / "held").exists()
        with (area.job / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)


class HostHidingSuite(IsolationSuite):
    """For ways that show the node's own root with covers over what is hidden: what they must refuse."""

    def test_a_system_folder_cannot_be_hidden(self, isolation: Isolation, area: WorkArea) -> None:
        """A secret in a folder that every program needs is a refusal, not a payload that sees it."""
        with pytest.raises(CannotConfine, match="/etc"):
            isolation.wrap(area.request("/bin/true", hidden=("/etc/passwd",)))

    def test_what_is_hidden_cannot_be_visible(self, isolation: Isolation, area: WorkArea) -> None:
        """A job's directory that is to be hidden is a contradiction, and is refused."""
        with pytest.raises(CannotConfine):
            isolation.wrap(area.request("/bin/true", hidden=(str(area.job),)))
