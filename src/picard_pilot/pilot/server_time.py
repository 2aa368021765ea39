"""What time it is for jobs: the node's clock, or the server's where the node's is wrong.

The server counts its windows by its own clock, and later pilots may be on other nodes: times in a job's journal have to
mean the same to all of them. What the pilot measures for itself is by `system.clock`.
"""

import logging

from picard_pilot.system.clock import Clock

log = logging.getLogger("picard.clock")

TOLERANCE_S = 60.0
"""Clocks that differ by less are as good as one: the server's date has whole seconds and comes after a network's delay,
and what is left of a window for the report is five times as long."""


class ServerTime:
    """UTC seconds for one pilot's jobs; by the node's clock until the server was heard."""

    def __init__(self, clock: Clock) -> None:
        """`clock` is the node's."""
        self._clock = clock
        self._apart_s: float | None = None
        self._warned = False

    def heard(self, server_utc: float) -> None:
        """The server has just answered, at this time by its own clock."""
        self._apart_s = server_utc - self._clock.monotonic()
        ahead_s = self._clock.now_utc() - server_utc
        if abs(ahead_s) > TOLERANCE_S and not self._warned:
            self._warned = True
            way = "ahead of" if ahead_s > 0 else "behind"
            log.warning(
                "this node's clock is %.0f s %s the server's; times of jobs go by the server's",
                abs(ahead_s),
                way,
            )

    def now(self) -> float:
        """UTC seconds. May be set back, as any wall clock: journals and waits see to that themselves."""
        node_utc = self._clock.now_utc()
        if self._apart_s is None:
            return node_utc
        server_utc = self._clock.monotonic() + self._apart_s
        return server_utc if abs(server_utc - node_utc) > TOLERANCE_S else node_utc
