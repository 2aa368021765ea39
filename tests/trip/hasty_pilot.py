"""A pilot whose pauses after trouble are a hundred times shorter, so that a test can make it a lot of trouble."""

import sys

from picard_pilot.cli.main import main
from picard_pilot.panda import outbox
from picard_pilot.pilot import acquire, teller
from picard_pilot.system.backoff import Backoff

HASTY = Backoff(first_s=0.02, longest_s=0.1)

if __name__ == "__main__":
    acquire.PAUSES = teller.PAUSES = HASTY
    outbox.Outbox.__init__.__kwdefaults__["pauses"] = HASTY
    sys.exit(main(sys.argv[1:]))
