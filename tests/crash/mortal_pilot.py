"""A pilot that is killed with -9 around the n-th record of its journal. Run as a program by the crash tests.

`python mortal_pilot.py before|after N run ...`: die just before the n-th record is written (all that led to it has
been done, and is not known), or just after it is on the disk (nothing that follows from it has been done).
"""

import os
import signal
import sys
from typing import Any

from picard_pilot.cli.main import main
from picard_pilot.journal.file import Journal

count = 0


def mortal(when: str, last: int) -> None:
    """Let the journal's `append` be the end of this process."""
    append = Journal.append

    def dying_append(journal: Journal, *args: Any) -> Any:
        global count
        count += 1
        if when == "before" and count == last:
            os.kill(os.getpid(), signal.SIGKILL)
        record = append(journal, *args)
        if when == "after" and count == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return record

    Journal.append = dying_append  # type: ignore[method-assign]


if __name__ == "__main__":
    mortal(sys.argv[1], int(sys.argv[2]))
    sys.exit(main(sys.argv[3:]))
