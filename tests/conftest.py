"""Shared by all tests: a grid per test, on one server per test process; each grid has its own queue."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from grid import Grid, running_server
from picard_pilot.server.info import ServerInfo

if TYPE_CHECKING:
    from s3_storage import S3Storage

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerInfo]:
    """The embedded server that all trips of this test process share."""
    with running_server(tmp_path_factory.mktemp("server")) as info:
        yield info


@pytest.fixture
def grid(server: ServerInfo, tmp_path: Path) -> Iterator[Grid]:
    """Storage, queue and pilots of one test."""
    made = Grid(tmp_path, server, queue=f"TEST{next(_numbers)}")
    yield made
    made.close()


@pytest.fixture(scope="session")
def s3_storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator["S3Storage"]:
    """The S3 server that all tests of this process share; needs `xdist_group("s3")` to be one per run."""
    import s3_storage as kit

    if why := kit.missing():
        pytest.skip(why)
    with kit.running_s3(tmp_path_factory.mktemp("s3")) as storage:
        yield storage
