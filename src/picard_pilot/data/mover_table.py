"""Finding the mover for an address, inside the transfer worker. Nothing here moves a byte.

The tables are `movers`; loading by name is `plugins.loader`.
"""

import importlib
import threading
from collections.abc import Callable
from typing import Protocol

from picard_pilot.model.transfer import (
    ANY_SCHEME,
    FailureClass,
    FetchRequest,
    FileFacts,
    Opened,
    OpenRequest,
    Remedy,
    Removed,
    RemoveRequest,
    Replicas,
    ReplicasRequest,
    Side,
    StatRequest,
    StoreRequest,
    TransferError,
    TransferFailure,
    Transferred,
)
from picard_pilot.plugins.loader import PluginError, find, load

TABLE_MODULE = "picard_pilot.movers"


class Mover(Protocol):
    """What the worker calls; `movers.base.SiteMover` says what each call means."""

    name: str
    schemes: tuple[str, ...]
    is_catalogue: bool

    def missing(self) -> str | None: ...
    def fetch(self, request: FetchRequest, progress: Callable[[int], None]) -> Transferred: ...
    def store(self, request: StoreRequest, progress: Callable[[int], None]) -> Transferred: ...
    def register(self, request: StoreRequest, stored: Transferred) -> None: ...
    def stat(self, request: StatRequest) -> FileFacts: ...
    def remove(self, request: RemoveRequest) -> Removed: ...
    def open_check(self, request: OpenRequest) -> Opened: ...
    def replicas(self, request: ReplicasRequest) -> Replicas: ...


class Movers:
    """The movers of this process, each imported and made when an address first needs it."""

    def __init__(self) -> None:
        table = importlib.import_module(TABLE_MODULE)
        self._speakers: dict[str, tuple[str, ...]] = table.SPEAKERS
        self._of_the_table = frozenset(table.KNOWN)
        self._movers_of_bytes = frozenset(name for names in self._speakers.values() for name in names)
        self._made: dict[str, Mover] = {}
        self._unknown: set[str] = set()
        self._making = threading.Lock()

    def for_address(self, surl: str, preferred: tuple[str, ...]) -> Mover:
        """The first preferred mover that speaks the address' scheme, else the best of the table.

        A preferred one of the table that this node cannot have is passed over: what it speaks, others may speak too,
        and a catalogue moves nothing. Raises TransferError (`specification`) where there is none, or where its
        software, or that of a preferred mover of somebody else's, does not load.
        """
        scheme = surl.partition("://")[0].lower()
        trouble: TransferError | None = None
        with self._making:
            for name in filter(self._is_known, preferred):
                try:
                    mover = self._named(name)
                except TransferError as error:
                    if name not in self._of_the_table:
                        trouble = trouble or error
                    continue
                if scheme in mover.schemes or ANY_SCHEME in mover.schemes:
                    return mover
            if trouble is not None:
                raise trouble
            speakers = self._speakers.get(scheme, ())
            if not speakers:
                raise _cannot(f"no mover of this pilot speaks {scheme}:// ({surl})", "NOSTORAGEPROTOCOL")
            return self._first_usable(speakers)

    def _first_usable(self, speakers: tuple[str, ...]) -> Mover:
        """The first that loads, or stands in for one that does not; else what is wrong with the first."""
        for place, name in enumerate(speakers):
            try:
                mover = self._named(name)
            except TransferError:
                continue
            if place == 0 or mover.missing() is None:
                return mover
        return self._named(speakers[0])

    def catalogue(self, preferred: tuple[str, ...]) -> Mover | None:
        """The first preferred mover that is a catalogue; None where the queue names none.

        Raises TransferError (`specification`) where its software does not load.
        """
        with self._making:
            for name in filter(self._is_known, preferred):
                try:
                    mover = self._named(name)
                except TransferError:
                    if name in self._movers_of_bytes:
                        continue
                    raise
                if mover.is_catalogue:
                    return mover
        return None

    def _is_known(self, name: str) -> bool:
        """A queue's list may hold movers of other pilots: those are passed over."""
        if name not in self._made and name not in self._unknown:
            try:
                find("mover", name)
            except PluginError:
                self._unknown.add(name)
        return name not in self._unknown

    def _named(self, name: str) -> Mover:
        if name not in self._made:
            try:
                self._made[name] = load("mover", name)()
            except PluginError as error:
                raise _cannot(f"{error.what}: {error.evidence}", "MIDDLEWAREIMPORTFAILURE") from error
        return self._made[name]


def _cannot(says: str, fault: str) -> TransferError:
    return TransferError(
        TransferFailure(
            kind=FailureClass.SPECIFICATION, says=says, side=Side.NODE, remedy=Remedy.MISTAKE, fault=fault
        )
    )
