"""Movers for tests of many replicas; named to the worker by their import path."""

import os
from pathlib import Path
from typing import ClassVar

from picard_pilot.model.transfer import (
    FetchRequest,
    FileReplicas,
    Replica,
    Replicas,
    ReplicasRequest,
    StoreRequest,
    Transferred,
)
from picard_pilot.movers.base import Progress
from picard_pilot.movers.local import LocalMover


class FourSites(LocalMover):
    """A catalogue that lists every file at R1 to R4, and nowhere else."""

    api: ClassVar[int] = 1
    name: ClassVar[str] = "four sites"
    schemes: ClassVar[tuple[str, ...]] = ()
    is_catalogue: ClassVar[bool] = True

    def replicas(self, request: ReplicasRequest) -> Replicas:
        """One address at each, in the folder of that name."""
        folder = Path(request.context.environment["STORAGES"])
        return Replicas(
            files=tuple(
                FileReplicas(
                    scope=did.scope,
                    lfn=did.lfn,
                    replicas=tuple(
                        Replica(surl=f"file://{folder}/R{place}/{did.lfn}", rse=f"R{place}", priority=place)
                        for place in range(1, 5)
                    ),
                )
                for did in request.dids
            ),
            catalogue=self.name,
        )


class Fragile(LocalMover):
    """Breaks down with its whole process at storage A, and only there."""

    api: ClassVar[int] = 1

    def fetch(self, request: FetchRequest, progress: Progress) -> Transferred:
        """Fetch, unless it is from A."""
        if "/A/" in request.surl:
            os._exit(11)
        return super().fetch(request, progress)

    def store(self, request: StoreRequest, progress: Progress) -> Transferred:
        """Store, unless it is at A."""
        if "/A/" in request.surl:
            os._exit(11)
        return super().store(request, progress)


class Mistaken(LocalMover):
    """Has a bug that shows at storage A only."""

    api: ClassVar[int] = 1

    def fetch(self, request: FetchRequest, progress: Progress) -> Transferred:
        """Fetch, unless it is from A."""
        if "/A/" in request.surl:
            raise ZeroDivisionError("a bug of this mover")
        return super().fetch(request, progress)

    def store(self, request: StoreRequest, progress: Progress) -> Transferred:
        """Store, unless it is at A."""
        if "/A/" in request.surl:
            raise ZeroDivisionError("a bug of this mover")
        return super().store(request, progress)
