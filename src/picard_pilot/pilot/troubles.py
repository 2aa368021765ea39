"""What goes wrong in a stage while it goes on: a line in the log for each new failure, and the last one for progress.

The verdict when a stage is over is `data`'s.
"""

import logging
from collections.abc import Callable

from picard_pilot.data.walk import Attempt
from picard_pilot.model.files import FileSpec
from picard_pilot.model.transfer import Source, TransferFailure

log = logging.getLogger("picard.staging")

WORDS_LENGTH = 120
"""Characters of a failure's sentence in a line of progress; the log has it whole."""


class Troubles:
    """The failed tries of one stage under way. A file's last failure counts until the file is through."""

    def __init__(self, job_id: int, monotonic: Callable[[], float], clean: Callable[[str], str]) -> None:
        """`clean` takes the secrets out of a text."""
        self._job_id = job_id
        self._monotonic = monotonic
        self._clean = clean
        self._seen: set[tuple[str, str, str]] = set()
        self.logged: set[str] = set()
        """The lines that stand in the log already."""
        self._last: dict[str, str] = {}
        """By LFN, the latest at the end."""
        self._again_at: dict[str, float] = {}

    def failed(self, file: FileSpec, attempt: Attempt, failure: TransferFailure) -> None:
        """A try came to nothing. The same by the same door again is no news."""
        endpoint, scheme = attempt.entry.endpoint.name, attempt.entry.surl.partition("://")[0]
        way = f"{file.lfn} {'from' if isinstance(attempt.entry, Source) else 'to'}"
        self._last.pop(file.lfn, None)
        words = self._clean(" ".join(failure.says.split()))  # before it is cut: half a secret is not found
        if len(words) > WORDS_LENGTH:
            words = f"{words[:WORDS_LENGTH]} …"
        self._last[file.lfn] = f"{way} {endpoint}: {failure.kind}: {words}"
        self._again_at.pop(file.lfn, None)
        what = file.lfn, f"{endpoint} {scheme}", str(failure.kind)
        if what not in self._seen:
            self._seen.add(what)
            line = f"{way} {attempt.says()}"
            self.logged.add(line)
            log.info("job %s: %s", self._job_id, line)

    def waits(self, file: FileSpec, wait_s: float) -> None:
        """Nothing is tried for this file for so long."""
        self._again_at[file.lfn] = self._monotonic() + wait_s

    def over(self, file: FileSpec) -> None:
        """The file is through."""
        self._last.pop(file.lfn, None)
        self._again_at.pop(file.lfn, None)

    def last(self) -> tuple[str | None, float | None]:
        """The last failure of a file that is not through, and in how many seconds the file is tried again; None: it
        is being tried, or was given up."""
        if not self._last:
            return None, None
        lfn = next(reversed(self._last))
        again_at = self._again_at.get(lfn)
        wait_s = None if again_at is None else again_at - self._monotonic()
        return self._last[lfn], wait_s if wait_s is not None and wait_s > 0 else None
