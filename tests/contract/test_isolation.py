"""The ways to confine that a plain machine can have, through the public suite."""

from pathlib import Path

import pytest

from confining import lacks_bubblewrap, lacks_landlock
from picard_pilot.isolation.bubblewrap import Bubblewrap
from picard_pilot.isolation.none import NoIsolation
from picard_pilot.testing.isolation_check import examine
from picard_pilot.testing.isolation_kit import ALL, WorkArea
from picard_pilot.testing.isolation_suite import HostHidingSuite, IsolationSuite

NO_BUBBLEWRAP = lacks_bubblewrap()
NO_LANDLOCK = lacks_landlock()
needs_bubblewrap = pytest.mark.skipif(NO_BUBBLEWRAP is not None, reason=NO_BUBBLEWRAP or "")

IMPOSSIBLE_ANYWAY = {
    "environment": "the payload's environment is made without the pilot's secrets",
    "descriptors": "the payload's launcher closes all but three",
    "covers": "there is nothing to take off",
}
"""What no payload can do even without confinement, and why."""


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
    assert failed == set(IMPOSSIBLE_ANYWAY), told
    assert told["signals_heard"] == 1
    assert told["arrived"] != []


@needs_bubblewrap
def test_the_check_of_the_command_line_says_the_same() -> None:
    """`ppilot plugin check bubblewrap` tries all that it claims, on this node."""
    findings = examine(Bubblewrap)
    assert [finding for finding in findings if not finding.holds] == []
    assert len(findings) > len([name for guarantee, name in ALL if guarantee in Bubblewrap.claims])
