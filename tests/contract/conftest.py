"""Shared by the tests of the http mover's failures: a storage that can misbehave, a node, a mover.

The suites of single movers have storages of their own.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from picard_pilot.movers.http import HttpMover
from picard_pilot.testing.faulty_storage import FaultyStorage
from picard_pilot.testing.mover_kit import CONTENT


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[FaultyStorage]:
    """A storage with one file."""
    folder = tmp_path / "storage"
    folder.mkdir()
    with FaultyStorage(folder) as made:
        made.put("in.root", CONTENT)
        yield made


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """A folder of the node, with one output in a folder beside it."""
    (tmp_path / "out.root").write_bytes(CONTENT)
    folder = tmp_path / "node"
    folder.mkdir()
    return folder


@pytest.fixture
def mover() -> HttpMover:
    """A mover with the limits of production."""
    return HttpMover()
