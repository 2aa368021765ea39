"""A scripted PanDA server with an HTTP client for it, for tests of what speaks to one."""

import json
from collections.abc import Callable
from typing import Any

from picard_pilot.system.http import HttpClient
from picard_pilot.testing.faulty_server import FaultyServer, Reaction, Seen

Script = Callable[[Seen], Reaction] | list[Reaction]


class Scripted:
    """The server remembers what it was sent."""

    def __init__(self, script: Script, **client: Any) -> None:
        self.server = FaultyServer(script)
        self.http = HttpClient(user_agent="picard-test", **client)

    def bodies(self) -> list[dict[str, Any]]:
        """What the calls carried, in their order."""
        return [json.loads(seen.body) for seen in self.server.seen]

    def close(self) -> None:
        """End both, the client first."""
        self.http.close(wait_s=5.0)
        self.server.close()
