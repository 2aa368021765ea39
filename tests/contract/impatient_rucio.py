"""Rucio's mover with little patience, for tests of a catalogue that does not answer; named by its import path."""

from typing import ClassVar

from picard_pilot.movers.rucio import RucioCatalogue


class Impatient(RucioCatalogue):
    """Waits a second where the real one waits most of a minute."""

    api: ClassVar[int] = 1
    timeout_s: ClassVar[tuple[float, float]] = (1.0, 1.0)
