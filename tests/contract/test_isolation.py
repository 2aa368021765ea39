"""The ways to confine that a plain machine can have, through the public suite."""

import os
from pathlib import Path

import pytest

from confining import (
    IMPOSSIBLE_ANYWAY,
    ROOTS_ALONE,
    lacks_bubblewrap,
    lacks_landlock,
    lacks_namespaces,
    restrained,
)
from picard_pilot.isolation.base import Isolation
from picard_pilot.isolation.bubblewrap import RUN_KEPT, Bubblewrap
from picard_pilot.isolation.none import NoIsolation
from picard_pilot.model.isolation import ConfineRequest, Probed, Wrapped
from picard_pilot.testing.isolation_check import examine
from picard_pilot.testing.isolation_kit import ALL, WorkArea
from picard_pilot.testing.isolation_suite import HostHidingSuite, IsolationSuite

NO_BUBBLEWRAP = lacks_bubblewrap()
NO_LANDLOCK = lacks_landlock()
needs_bubblewrap = pytest.mark.skipif(NO_BUBBLEWRAP is not None, reason=NO_BUBBLEWRAP or "")


class Leaky(Isolation):
    """A way that covers the credentials, and leaves an open door of every kind."""

    name = "leaky"

    def __init__(self, area: WorkArea) -> None:
        """`area` has the secrets."""
        super().__init__({})
        self.area = area

    async def probe(self) -> Probed:
        """Always there."""
        return self.found("leaks")

    def wrap(self, request: ConfineRequest) -> Wrapped:
        """With all rights, the secret in a variable, and a descriptor of its file."""
        script = 'exec 9<"$1" && mount -t tmpfs leaky "${1%/*}" && shift && exec "$@"'
        rights = () if os.getuid() == 0 else ("--map-root-user",)
        return Wrapped(
            argv=(
                *("unshare", *rights, "--mount", "sh", "-c", script, "sh"),
                *(str(self.area.credential), *request.argv),
            ),
            environment={**request.environment, "SECRET": self.area.marker},
        )


@pytest.mark.skipif(NO_LANDLOCK is not None, reason=NO_LANDLOCK or "")
class TestLandlock(IsolationSuite):
    """Rules of the kernel's: it writes to what it was given and nothing else."""

    isolation_name = "landlock"


class TestNone(IsolationSuite):
    """No confinement at all, which claims nothing."""

    isolation_name = "none"


@needs_bubblewrap
class TestBubblewrap(HostHidingSuite):
    """The node's own root, read-only and with covers."""

    isolation_name = "bubblewrap"


def test_the_attempts_succeed_where_nothing_confines(tmp_path: Path) -> None:
    """An attempt that could not succeed anywhere would prove nothing."""
    names = tuple(dict.fromkeys(name for _, name in ALL))
    told = WorkArea(tmp_path).escape(NoIsolation({}), names, None)
    failed = {name for name in names if told["found"][name] is None}
    assert failed == set(IMPOSSIBLE_ANYWAY) | (
        set() if os.geteuid() == 0 else set(ROOTS_ALONE) | restrained()
    ), told
    assert told["signals_heard"] == 1


@pytest.mark.skipif(lacks_namespaces() is not None, reason=lacks_namespaces() or "")
def test_what_is_impossible_anyway_succeeds_where_something_leaks(tmp_path: Path) -> None:
    """A cover that can be taken off, a variable and a descriptor that came along are all found."""
    area = WorkArea(tmp_path)
    told = area.escape(Leaky(area), tuple(IMPOSSIBLE_ANYWAY), None)
    assert [name for name in IMPOSSIBLE_ANYWAY if told["found"][name] is None] == [], told


@needs_bubblewrap
def test_next_to_nothing_of_run_is_seen(tmp_path: Path) -> None:
    """Behind the rest are doors of services, some of which start programs for whoever asks."""
    area = WorkArea(tmp_path)
    ended = area.run(Bubblewrap(os.environ), area.request("/bin/sh", "-c", "find /run -maxdepth 2"))
    kept = {"/run", "/run/systemd", *RUN_KEPT}
    seen = {
        line for line in ended.stdout.split() if not line.startswith(tuple(f"{path}/" for path in RUN_KEPT))
    }
    assert (ended.exit_code, seen - kept) == (0, set()), ended


@needs_bubblewrap
def test_the_check_of_the_command_line_says_the_same() -> None:
    """`ppilot plugin check bubblewrap` tries all that it claims, on this node."""
    findings = examine(Bubblewrap)
    assert [finding for finding in findings if not finding.holds] == []
    assert len(findings) > len([name for guarantee, name in ALL if guarantee in Bubblewrap.claims])
