"""The real pilot on a node whose clock is so many days ahead as its first argument says (negative: behind)."""

import sys
import time

from picard_pilot.cli.main import main
from picard_pilot.system.clock import RealClock

DAY_S = 86400.0

if __name__ == "__main__":
    ahead_s = float(sys.argv[1]) * DAY_S
    RealClock.now_utc = lambda clock: time.time() + ahead_s  # type: ignore[method-assign]
    sys.exit(main(sys.argv[2:]))
