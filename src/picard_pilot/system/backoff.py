"""Growing, jittered pauses as values. Nothing sleeps here; whoever waits does so on a clock of its own."""

from collections.abc import Iterator
from typing import Protocol

import msgspec


class Dice(Protocol):
    """Where chance comes from, such as `random.Random(seed)`."""

    def random(self) -> float:
        """At least 0.0, less than 1.0."""


class Backoff(msgspec.Struct, frozen=True, kw_only=True):
    """How pauses grow: `first_s`, then `factor` times longer each time, never more than `longest_s`.

    `jitter` is the part of each pause that chance may take away: without it all pilots of a site that lost
    the server in the same second would come back in the same second.
    """

    first_s: float
    longest_s: float
    factor: float = 2.0
    jitter: float = 0.5

    def __post_init__(self) -> None:
        if not (0 < self.first_s <= self.longest_s and self.factor >= 1 and 0 <= self.jitter < 1):
            raise ValueError(f"pauses cannot grow like this: {self}")

    def pause_s(self, failures: int, dice: Dice) -> float:
        """The pause after that many failures in a row, at least one."""
        full_s = self.longest_s
        # A float overflows after a thousand doublings; long before that the longest pause is reached.
        if failures <= _MAX_DOUBLINGS:
            full_s = min(self.longest_s, self.first_s * self.factor ** (failures - 1))
        return full_s * (1 - self.jitter * dice.random())

    def pauses(self, dice: Dice) -> Iterator[float]:
        """The pauses one after another, without end."""
        failures = 0
        while True:
            failures += 1
            yield self.pause_s(failures, dice)


_MAX_DOUBLINGS = 100
