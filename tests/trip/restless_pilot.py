"""The real pilot with long breaks of seconds that every job earns, so that a test can watch it come back."""

import sys

from picard_pilot.cli.main import main
from picard_pilot.lifecycle import holding

if __name__ == "__main__":
    holding.LONG_BREAKS_S = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
    holding.WORTH = 0.0
    sys.exit(main(sys.argv[1:]))
