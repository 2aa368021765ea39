"""A pilot with long breaks of a second that every job earns, killed with -9 around the first record of one kind.

`python mortal_in_break.py before|after EVENT run ...`
"""

import os
import signal
import sys
from typing import Any

from picard_pilot.cli.main import main
from picard_pilot.journal.file import Journal
from picard_pilot.lifecycle import holding


def mortal(when: str, kind: str) -> None:
    """Let the journal's `append` be the end of this process."""
    append = Journal.append

    def dying_append(journal: Journal, event: Any, *args: Any) -> Any:
        doomed = type(event).__name__ == kind
        if doomed and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        record = append(journal, event, *args)
        if doomed:
            os.kill(os.getpid(), signal.SIGKILL)
        return record

    Journal.append = dying_append  # type: ignore[method-assign]


if __name__ == "__main__":
    holding.LONG_BREAKS_S = (1.0, 3600.0)
    holding.WORTH = 0.0
    mortal(sys.argv[1], sys.argv[2])
    sys.exit(main(sys.argv[3:]))
