"""How a pilot's walks go on, as its settings say: one pace for inputs and one for outputs, with one health for both.

What a pace is stands in `data.walk`.
"""

import random
from typing import NamedTuple

import msgspec

from picard_pilot.data.health import OPEN
from picard_pilot.data.health_file import SharedHealth, node_directory
from picard_pilot.data.policy import RetryLimits
from picard_pilot.data.walk import Pace
from picard_pilot.settings.settings import Settings
from picard_pilot.system.clock import Clock


class Paces(NamedTuple):
    """The two directions."""

    stagein: Pace
    stageout: Pace


def paces(settings: Settings, clock: Clock, dice: random.Random, ends_at: float | None) -> Paces:
    """To be made once per pilot. Nothing is begun after `ends_at` (monotonic seconds; None: no end is known)."""
    # Who wants short pauses between tries wants a sick storage asked again soon, too.
    first_s = min(OPEN.first_s, settings.stagein_retry_pause_s, settings.stageout_retry_pause_s)
    pauses = msgspec.structs.replace(OPEN, first_s=first_s)
    health = SharedHealth(node_directory(settings.node_directory), clock, dice, pauses=pauses)

    def pace(longest_pause_s: float) -> Pace:
        limits = RetryLimits(longest_pause_s=longest_pause_s, patience_s=settings.staging_patience_s)
        return Pace(clock=clock, dice=dice, limits=limits, health=health, ends_at=ends_at)

    return Paces(pace(settings.stagein_retry_pause_s), pace(settings.stageout_retry_pause_s))
