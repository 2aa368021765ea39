"""The Rucio catalogue: where the replicas of a job's files are, and the registration of what was stored.

It moves no byte: addresses go to the movers that speak their scheme. Server, account and credential are those of
`rucio-clients`' own configuration (`RUCIO_CONFIG`, `RUCIO_ACCOUNT`, `rucio.cfg`); the library also keeps the token.
"""

import logging
import os
import threading
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

# The library takes itself for a server where its configuration has a [database] section; it looks on import.
os.environ["RUCIO_CLIENT_MODE"] = "1"

from rucio.client.didclient import DIDClient
from rucio.client.replicaclient import ReplicaClient
from rucio.common.exception import (
    DatabaseException,
    DataIdentifierAlreadyExists,
    DataIdentifierNotFound,
    Duplicate,
    DuplicateContent,
    FileAlreadyExists,
    FileReplicaAlreadyExists,
    RucioException,
)

from picard_pilot.model.files import Checksum, ChecksumKind
from picard_pilot.model.site import Endpoint, PathRule
from picard_pilot.model.transfer import (
    FailureClass,
    FetchRequest,
    FileReplicas,
    Remedy,
    Replica,
    Replicas,
    ReplicasRequest,
    StoreRequest,
    TransferError,
    TransferFailure,
    Transferred,
)
from picard_pilot.movers import SPEAKERS
from picard_pilot.movers.base import Progress, SiteMover
from picard_pilot.movers.rucio_troubles import NOT_RUCIO, classified

FILES_PER_QUESTION = 1000
"""More are asked for in portions: a server needs some milliseconds per file, and the worker is killed after a minute
of silence."""

ADLER32_DIGITS = 8

ALREADY = (
    DataIdentifierAlreadyExists,
    Duplicate,
    DuplicateContent,
    FileAlreadyExists,
    FileReplicaAlreadyExists,
)
"""How Rucio says that somebody, perhaps we, did the same before."""

SOMEBODY_WAS_FASTER = (*ALREADY, DatabaseException)
"""Two that add the same at one moment: the second one hears of the database's own complaint."""

Answer = TypeVar("Answer")


class _Client(ReplicaClient, DIDClient):  # type: ignore[misc]  # of a package without types
    """Rucio's client for replicas and datasets, with one login for both."""


class _LastWords(logging.Handler):
    """Keeps the last error that the library logged in a thread: of a lost connection it raises no more than that."""

    def __init__(self, here: threading.local) -> None:
        super().__init__(logging.ERROR)
        self._here = here

    def emit(self, record: logging.LogRecord) -> None:
        self._here.words = record.getMessage()


class RucioCatalogue(SiteMover):
    """Asks Rucio for replicas and tells it of new ones."""

    name: ClassVar[str] = "rucio"
    schemes: ClassVar[tuple[str, ...]] = ()
    is_catalogue: ClassVar[bool] = True
    timeout_s: ClassVar[tuple[float, float]] = (5.0, 40.0)
    """To connect (which the library tries three times) and until the next byte: together less than the minute of
    silence after which the worker is killed."""

    def __init__(self) -> None:
        self._here = threading.local()
        self._log = logging.getLogger("picard.rucio")
        # At its debug level the library logs tokens; of its errors the last one is evidence.
        self._log.setLevel(logging.ERROR)
        self._log.propagate = False
        self._log.handlers = [_LastWords(self._here)]

    def fetch(self, request: FetchRequest, progress: Progress) -> Transferred:
        """A catalogue moves nothing."""
        raise self._cannot("fetch", request.surl)

    def store(self, request: StoreRequest, progress: Progress) -> Transferred:
        """A catalogue moves nothing."""
        raise self._cannot("store", request.surl)

    def replicas(self, request: ReplicasRequest) -> Replicas:
        """The replicas of all files of the request, in Rucio's order; a file it does not know is left out."""
        found: list[FileReplicas] = []
        for first in range(0, len(request.dids), FILES_PER_QUESTION):
            dids = [
                {"scope": did.scope, "name": did.lfn}
                for did in request.dids[first : first + FILES_PER_QUESTION]
            ]
            found += self._looked_up(dids, request.context.site)
        return Replicas(files=tuple(found), catalogue=self.name)

    def _looked_up(self, dids: list[dict[str, str]], site: str | None) -> list[FileReplicas]:
        rows = self._ask(
            f"looking up the replicas of {len(dids)} files",
            lambda client: list(
                client.list_replicas(
                    dids,
                    schemes=sorted(SPEAKERS),
                    client_location=_location(site),
                    resolve_archives=False,
                )
            ),
        )
        return [_file(row, knows_site=site is not None) for row in rows]

    def register(self, request: StoreRequest, stored: Transferred) -> None:
        """Add the replica, and the file to its dataset where the job names one; a dataset is made if need be.

        May be repeated. Rucio itself takes a second replica with another checksum for the same name without a
        word, so what it knows is compared before.
        """
        file, endpoint = _new_file(request, stored)
        doing = f"registering {request.lfn} at {endpoint.name}"
        if endpoint.name not in self._look(doing, request, stored, file):
            try:
                self._tell(
                    doing, request, lambda client: client.add_replicas(rse=endpoint.name, files=[file])
                )
            except SOMEBODY_WAS_FASTER as error:  # as good, if it is the same file at the same place
                if endpoint.name not in self._look(doing, request, stored, file):
                    raise self._failed(error, doing, request.surl, registering=True) from error
        if request.dataset:
            self._attach(request, file, *_dataset(request.dataset, str(request.scope)))

    def _look(self, doing: str, request: StoreRequest, stored: Transferred, file: dict[str, Any]) -> set[str]:
        """The RSEs that have the file already. Raises a `register` failure where it is another file."""
        did = {"scope": file["scope"], "name": file["name"]}
        rows = self._ask(
            doing,
            lambda client: list(client.list_replicas([did], all_states=True, resolve_archives=False)),
            surl=request.surl,
        )
        for row in rows:
            known = _file(row, knows_site=False)
            other_size = known.size_bytes not in (None, stored.size_bytes)
            known_value = row.get(stored.checksum.kind)
            if other_size or (known_value and _padded(known_value) != _padded(stored.checksum.value)):
                raise TransferError(
                    TransferFailure(
                        kind=FailureClass.REGISTER,
                        says=f"{request.lfn} is in the catalogue as another file ({known.size_bytes} bytes, "
                        f"{stored.checksum.kind} {known_value}; stored are {stored.size_bytes} bytes, "
                        f"{stored.checksum.value})",
                        remedy=Remedy.STOP,  # at no other place it would have another name
                        code="rucio FileConsistencyMismatch",
                        surl=request.surl,
                        fault="FILEEXISTS",
                    )
                )
            return set(row["rses"]) | set(row.get("states") or ())
        return set()

    def _attach(self, request: StoreRequest, file: dict[str, Any], scope: str, name: str) -> None:
        doing = f"attaching {request.lfn} to {scope}:{name}"
        dids = [{"scope": file["scope"], "name": file["name"]}]
        try:
            try:
                self._tell(doing, request, lambda client: client.attach_dids(scope, name, dids))
            except DataIdentifierNotFound:
                try:
                    self._tell(doing, request, lambda client: client.add_dataset(scope, name))
                except SOMEBODY_WAS_FASTER:
                    pass
                self._tell(doing, request, lambda client: client.attach_dids(scope, name, dids))
        except ALREADY:
            pass
        except DatabaseException as error:
            content = self._ask(doing, lambda client: list(client.list_content(scope, name)), request.surl)
            if not any(row["name"] == file["name"] for row in content):
                raise self._failed(error, doing, request.surl, registering=True) from error
        except DataIdentifierNotFound as error:
            raise self._failed(error, doing, request.surl, registering=True) from error

    def _tell(self, doing: str, request: StoreRequest, act: Callable[[Any], object]) -> None:
        """Change the catalogue. What a repetition or a missing dataset causes is raised as the library has it."""
        try:
            act(self._client())
        except (*SOMEBODY_WAS_FASTER, DataIdentifierNotFound):
            raise
        except (RucioException, *NOT_RUCIO) as error:
            raise self._failed(error, doing, request.surl, registering=True) from error

    def _ask(self, doing: str, ask: Callable[[Any], Answer], surl: str | None = None) -> Answer:
        try:
            return ask(self._client())
        except (RucioException, *NOT_RUCIO) as error:
            raise self._failed(error, doing, surl, registering=surl is not None) from error

    def _failed(
        self, error: BaseException, doing: str, surl: str | None, *, registering: bool
    ) -> TransferError:
        """The classified failure; the next question of this thread begins with a fresh login."""
        self._here.client = None
        words: str | None = getattr(self._here, "words", None)
        return classified(error, doing=doing, surl=surl, registering=registering, last_words=words)

    def _client(self) -> Any:
        """One per thread, since its connection is; made anew after a failure, with what its files then say."""
        self._here.words = None
        if getattr(self._here, "client", None) is None:
            self._here.client = _Client(timeout=self.timeout_s, user_agent="picard-pilot", logger=self._log)
        return self._here.client


def _location(site: str | None) -> dict[str, Any]:
    """Where we ask from. The library's own answer asks the name service twice, which may take long."""
    return {"ip": None, "fqdn": os.uname().nodename, "site": site, "latitude": None, "longitude": None}


def _file(row: dict[str, Any], *, knows_site: bool) -> FileReplicas:
    ways = sorted(row["pfns"].items(), key=lambda way: way[1].get("priority") or 0)
    return FileReplicas(
        scope=row["scope"],
        lfn=row["name"],
        replicas=tuple(
            Replica(
                surl=surl,
                rse=about["rse"],
                lan=about.get("domain") == "lan" if knows_site else None,
                tape=about.get("type") == "TAPE",
                priority=about.get("priority"),
            )
            for surl, about in ways
        ),
        size_bytes=row.get("bytes"),
        checksum=_checksum(row),
    )


def _checksum(row: dict[str, Any]) -> Checksum | None:
    for kind in (ChecksumKind.ADLER32, ChecksumKind.MD5):
        if row.get(kind):
            return Checksum(kind, _padded(row[kind]))
    return None


def _padded(value: str) -> str:
    """As we write checksums; some clients have registered adler32 without its leading zeros."""
    return value.lower().rjust(ADLER32_DIGITS, "0")


def _new_file(request: StoreRequest, stored: Transferred) -> tuple[dict[str, Any], Endpoint]:
    endpoint = request.context.endpoint
    if endpoint is None or not request.scope:
        raise TransferError(
            TransferFailure(
                kind=FailureClass.REGISTER,
                says=f"{request.lfn} cannot be registered: its endpoint or its scope is not known",
                remedy=Remedy.MISTAKE,
                surl=request.surl,
            )
        )
    file = {
        "scope": request.scope,
        "name": request.lfn,
        "bytes": stored.size_bytes,
        str(stored.checksum.kind): stored.checksum.value,
        "meta": {"guid": request.guid.replace("-", "")} if request.guid else {},
    }
    if endpoint.paths is not PathRule.RUCIO:  # else Rucio derives the path itself
        file["pfn"] = stored.surl
    return file, endpoint


def _dataset(name: str, scope: str) -> tuple[str, str]:
    """Scope and name of a dataset as PanDA writes it: perhaps `scope:name`, perhaps with a slash at the end."""
    before, colon, after = name.rstrip("/").partition(":")
    return (before, after) if colon else (scope, before)
