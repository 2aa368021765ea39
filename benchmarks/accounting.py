"""How much of the time for which a batch system charges a slot is in the pilot's own account of it."""

import json
import time

from figures import Figure
from place import served

from picard_pilot.pilot.costs import FILE

SLEEP_S = 5


def slots(times: int) -> list[Figure]:
    """Pilots with three jobs each: what the account leaves out of the wall time that is seen from outside."""
    unaccounted, parts = [], []
    for _ in range(times):
        with served() as here:
            here.submit(3, "/bin/sleep", str(SLEEP_S))
            begun = time.monotonic()
            here.wait(here.start_pilot("--jobs", "3"))
            wall_s = time.monotonic() - begun
            told = json.loads((here.workdir / FILE).read_bytes())
        spent = told["own_core_s"] + sum(sum(job["core_s"].values()) for job in told["jobs"])
        unaccounted.append(100 * (wall_s - told["wall_s"]) / wall_s)
        parts.append(100 * abs(spent - told["wall_s"] * told["cores"]) / wall_s)
    return [
        Figure(f"wall time of a slot of {3 * SLEEP_S} s that is not in its account", unaccounted, "%", "1 %"),
        Figure("  what its parts differ from their sum", parts, "%"),
    ]
