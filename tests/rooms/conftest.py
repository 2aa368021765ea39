"""Shared by the tests of rooms: the embedded server and its clients, transfers by http, a browser with the pages.

Whoever needs another server or storage has a fixture of that name of its own.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pages_kit import Served
    from playwright.sync_api import Browser

    from browser_kit import Watch
    from picard_pilot.system.http_transfer import HttpTransfers
    from picard_pilot.testing.faulty_storage import FaultyStorage


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One server for the tests of a file, over real TLS; each test has its own queue or its own job."""
    from picard_pilot.testing.server import local_server

    with local_server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def pilot(server: Any) -> Iterator[Any]:
    """A pilot's client."""
    with server.client("pilot") as client:
        yield client


@pytest.fixture
def user(server: Any) -> Iterator[Any]:
    """A user's client."""
    with server.client("user") as client:
        yield client


@pytest.fixture
def queue() -> str:
    """A queue nobody else uses."""
    return uuid.uuid4().hex


@pytest.fixture
def transfers() -> Iterator[HttpTransfers]:
    """Transfers that do not wait long."""
    from transfer_kit import PATIENT_S

    from picard_pilot.system.http_transfer import HttpTransfers

    made = HttpTransfers(user_agent="test", read_limit_s=PATIENT_S)
    yield made
    made.close()


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[FaultyStorage]:
    """A storage by http with one file."""
    from transfer_kit import DATA

    from picard_pilot.testing.faulty_storage import FaultyStorage

    with FaultyStorage(tmp_path) as made:
        made.put("file", DATA)
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for the tests of a file."""
    from browser_kit import chromium

    with chromium() as browser:
        yield browser


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Served]:
    """The pages of an empty server."""
    from pages_kit import served

    with served(tmp_path) as site:
        yield site


@pytest.fixture
def watch() -> Iterator[Watch]:
    """Fails the test for an error on the console (a broken policy is one), in a script, or a foreign request."""
    from browser_kit import watching

    with watching() as watch:
        yield watch
