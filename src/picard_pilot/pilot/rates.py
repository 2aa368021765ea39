"""How fast this pilot's files moved so far: what the time kept at the end of the slot is computed with.

How that is done is `lifecycle.deadline`.
"""

from picard_pilot.lifecycle.deadline import ASSUMED_PER_FILE_S, MEASURED_SHARE, Rate

WORTH_MEASURING_BYTES = 1_000_000
"""The time of a smaller file tells of round trips, not of bytes."""


class Rates:
    """Sums over all files that were moved, outputs and inputs apart: a storage may read faster than it writes."""

    def __init__(self) -> None:
        self._bytes = {True: 0, False: 0}
        self._seconds = {True: 0.0, False: 0.0}
        self._slowest_small_s = 0.0

    def moved(self, size_bytes: int, seconds: float, *, stored: bool) -> None:
        """A file came (`stored` False) or left. Files that move side by side count as if they moved in turn, so that
        the rate is a cautious one."""
        if size_bytes < WORTH_MEASURING_BYTES:
            self._slowest_small_s = max(self._slowest_small_s, seconds)
            return
        self._bytes[stored] += size_bytes
        self._seconds[stored] += seconds

    def rate(self, assumed_bytes_s: float) -> Rate:
        """The rate to count on: half of what outputs were measured to have, else inputs, else the assumed one."""
        per_file_s = max(ASSUMED_PER_FILE_S, self._slowest_small_s)
        for stored, name in ((True, "outputs"), (False, "inputs")):
            if self._bytes[stored] and self._seconds[stored] > 0:
                measured = self._bytes[stored] / self._seconds[stored]
                origin = f"half of what {name} were measured to have"
                return Rate(
                    bytes_s=measured * MEASURED_SHARE, per_file_s=per_file_s, origin=origin, measured=True
                )
        return Rate(bytes_s=assumed_bytes_s, per_file_s=per_file_s, origin="the assumed rate", measured=False)
