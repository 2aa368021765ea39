"""A bad night between pilot and server: a relay with real TLS that passes calls on, or misbehaves as told."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import urllib3

from grid import Grid
from picard_pilot.testing.certificates import Authority
from picard_pilot.testing.faulty_server import FaultyServer, Reaction, Say, Seen

ACQUIRE = "/acquire_jobs"
UPDATE = "/update_job"
COMMANDS = "/job/get_status"

Trouble = Callable[[Seen], Reaction | None]
"""What a request gets instead of the server's answer; None: it is passed on."""


def no_trouble(_: Seen) -> None:
    """A good night."""


class Night:
    """The relay. `trouble` may be changed at any time; `seen` holds the calls with the answers that came through."""

    def __init__(self, grid: Grid) -> None:
        self.trouble: Trouble = no_trouble
        self._behind = grid.info.url
        self._http = urllib3.PoolManager(ca_certs=grid.info.ca_file, retries=False, maxsize=8)
        authority = Authority(grid.directory)
        self._ca_file = authority.ca_file
        self.server = FaultyServer(self._react, tls=authority.server_context("127.0.0.1"))

    @property
    def flags(self) -> tuple[str, ...]:
        """What makes a pilot use the relay."""
        return ("--server", self.server.url, "--ca", str(self._ca_file))

    def told(self, path: str = UPDATE) -> list[dict[str, object]]:
        """The bodies of the calls whose path ends so, in order, whatever they got."""
        return [json.loads(seen.body) for seen in self.server.seen if seen.target.endswith(path)]

    def final(self) -> list[dict[str, object]]:
        """The final reports that pilots sent."""
        return [body for body in self.told() if body["job_status"] in ("finished", "failed")]

    def pass_on(self, seen: Seen) -> Say:
        """The real server's answer."""
        headers = {
            name: value
            for name, value in seen.headers.items()
            if name in ("authorization", "origin", "content-type", "accept")
        }
        answer = self._http.request(seen.method, self._behind + seen.target, body=seen.body, headers=headers)
        return Say(
            status=answer.status,
            body=answer.data,
            headers=(("Content-Type", answer.headers["content-type"]),),
        )

    def _react(self, seen: Seen) -> Reaction:
        return self.trouble(seen) or self.pass_on(seen)

    def close(self) -> None:
        self.server.close()
        self._http.clear()


@contextmanager
def bad_night(grid: Grid) -> Iterator[Night]:
    """A relay before the grid's server."""
    night = Night(grid)
    try:
        yield night
    finally:
        night.close()
