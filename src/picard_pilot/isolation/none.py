"""No confinement: the payload is started as it is. It promises nothing, and serves no queue that requires anything."""

from picard_pilot.isolation.base import Isolation
from picard_pilot.model.isolation import CannotConfine, ConfineRequest, Probed, Wrapped


class NoIsolation(Isolation):
    """The payload as a child of its launcher, as the pilot's user."""

    name = "none"

    async def probe(self) -> Probed:
        """Always there."""
        return self.found("the payload runs as the pilot's user and sees what the pilot sees")

    def wrap(self, request: ConfineRequest) -> Wrapped:
        """The command itself."""
        if request.image is not None:
            raise CannotConfine(f"the image {request.image} cannot be run without a container")
        return Wrapped(argv=request.argv, environment=request.environment)
