"""A replica catalogue that hands out presigned addresses, which it reads from a file of the test; a site's plug-in."""

import json
from pathlib import Path
from typing import ClassVar

from picard_pilot.model.transfer import FileReplicas, Replica, Replicas, ReplicasRequest
from picard_pilot.movers.http import HttpMover

PLACE = "SIGNED_REPLICAS"
"""The variable of the queue's environment that names the file: name of a file to pairs of endpoint and address."""


class Signing(HttpMover):
    """Knows where files are, and fetches them by http."""

    api: ClassVar[int] = 1
    name: ClassVar[str] = "signing"
    is_catalogue: ClassVar[bool] = True

    def replicas(self, request: ReplicasRequest) -> Replicas:
        """What the file says."""
        known = json.loads(Path(request.context.environment[PLACE]).read_bytes())
        files = [
            FileReplicas(
                scope=did.scope,
                lfn=did.lfn,
                replicas=tuple(Replica(rse=rse, surl=surl, lan=True) for rse, surl in known[did.lfn]),
            )
            for did in request.dids
            if did.lfn in known
        ]
        return Replicas(files=tuple(files), catalogue=self.name)
