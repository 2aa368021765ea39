"""A breaker's chance and time as tests set them."""

import random

from picard_pilot.data.health import FAILURES_TO_OPEN, Health
from picard_pilot.testing.clock import VirtualClock


class Calm(random.Random):
    """Chance that takes nothing away."""

    def random(self) -> float:
        """Always zero."""
        return 0.0


def shut(health: Health, door: str = "A") -> None:
    """Fail often enough."""
    for _ in range(FAILURES_TO_OPEN):
        health.failed(health.ask(door))


def pass_time(clock: VirtualClock, seconds: float) -> None:
    """Let time pass; nobody sleeps on this clock."""
    clock._now += seconds
