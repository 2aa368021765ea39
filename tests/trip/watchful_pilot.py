"""A real pilot that looks at the end of its slot ten times a second, and waits for its batch system's answer."""

import sys

from picard_pilot.cli.main import main
from picard_pilot.pilot import slot

slot.LOOK_S = slot.LOOK_WHEN_LATE_S = 0.1
slot.HOLD_FIRST_QUESTION_S = 60.0

sys.exit(main())
