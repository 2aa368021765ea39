"""The check of a way to confine on this very node, for `ppilot plugin check`: what its probe says, and every escape.

The suite, which also looks at arguments, ends and refusals, is `isolation_suite`.
"""

import asyncio
import os
import tempfile
from pathlib import Path

from picard_pilot.isolation.base import Isolation
from picard_pilot.model.isolation import CannotConfine
from picard_pilot.testing.experiment_suite import Finding
from picard_pilot.testing.isolation_kit import ALL, WorkArea


def examine(made: type[Isolation], image: str | None = None) -> tuple[Finding, ...]:
    """Have a payload try to break every guarantee that the way claims; a folder of its own is made and removed."""
    isolation = made(os.environ)
    probed = asyncio.run(isolation.probe())
    found = [Finding("usable", isolation.name, probed.usable, probed.says)]
    if not probed.usable:
        return tuple(found)
    lacking = sorted(isolation.claims - probed.guarantees)
    found.append(
        Finding("gives what it claims", isolation.name, not lacking, f"not here: {', '.join(lacking)}")
    )
    tried = [(guarantee, name) for guarantee, name in ALL if guarantee in probed.guarantees]
    try:
        with tempfile.TemporaryDirectory(prefix="picard-check-") as folder:
            told = WorkArea(Path(folder)).escape(isolation, tuple(name for _, name in tried), image)
    except (CannotConfine, AssertionError, OSError) as error:
        return (*found, Finding("a payload runs", isolation.name, False, str(error)))
    found.append(Finding("a payload works", isolation.name, told["cannot"] is None, str(told["cannot"])))
    for guarantee, name in tried:
        got = told["found"][name]
        found.append(Finding(guarantee.value, name, got is None, str(got)))
    return tuple(found)
