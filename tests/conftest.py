"""Shared by all tests: a grid per test, on one server per test process; each grid has its own queue.

Real storages are shared by all tests of a process too: each is started by the first test that wants it.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from grid import Grid, running_server
from picard_pilot.server.info import ServerInfo

if TYPE_CHECKING:
    from federation import Federation
    from rucio_catalogue import RucioCatalogue
    from s3_storage import S3Storage
    from secure_door import SecureDoor

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerInfo]:
    """The embedded server that all trips of this test process share."""
    with running_server(tmp_path_factory.mktemp("server")) as info:
        yield info


@pytest.fixture
def server(shared_server: ServerInfo) -> ServerInfo:
    """The same, under the name by which tests of rooms have a server of their own."""
    return shared_server


@pytest.fixture
def grid(shared_server: ServerInfo, tmp_path: Path) -> Iterator[Grid]:
    """Storage, queue and pilots of one test."""
    made = Grid(tmp_path, shared_server, queue=f"TEST{next(_numbers)}")
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


@pytest.fixture(scope="session")
def shared_federation() -> "Iterator[Federation]":
    """The XRootD federation of this test process."""
    from federation import running_federation, why_no_federation

    if (reason := why_no_federation()) is not None:
        pytest.skip(f"no XRootD federation here: {reason}")
    with running_federation() as made:
        yield made


@pytest.fixture
def federation(shared_federation: "Federation") -> "Iterator[Federation]":
    """Redirector and three sites, all up; what a test breaks is mended after it."""
    yield shared_federation
    shared_federation.mend()


@pytest.fixture(scope="session")
def shared_secure_door() -> "Iterator[SecureDoor]":
    """The XRootD door with TLS and tokens of this test process."""
    from secure_door import running_door
    from xrootd_server import why_not

    if (reason := why_not()) is not None:
        pytest.skip(f"no XRootD door here: {reason}")
    with running_door() as made:
        yield made


@pytest.fixture
def secure_door(shared_secure_door: "SecureDoor") -> "Iterator[SecureDoor]":
    """A door with TLS and tokens, up; what a test breaks is mended after it."""
    yield shared_secure_door
    shared_secure_door.mend()


@pytest.fixture(scope="session")
def rucio_catalogue(tmp_path_factory: pytest.TempPathFactory) -> Iterator["RucioCatalogue"]:
    """The Rucio server that all tests of this process share; needs `xdist_group("rucio")` to be one per run."""
    import rucio_catalogue as kit

    if why := kit.missing():
        pytest.skip(why)
    with kit.running_rucio(tmp_path_factory.mktemp("rucio")) as catalogue:
        yield catalogue


@pytest.fixture
def own_x509_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """The XRootD client reads from variables whom it trusts and as whom it goes: afterwards they are as before."""
    for name in ("X509_CERT_DIR", "X509_CERT_FILE", "X509_USER_PROXY", "X509_USER_CERT", "X509_USER_KEY"):
        monkeypatch.setenv(name, "")  # so that it is remembered as it was
        monkeypatch.delenv(name)
