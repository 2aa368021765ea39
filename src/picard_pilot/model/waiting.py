"""What the server is told of a job whose outputs wait on disk: one sentence, written by the pilot and read by pages.

When a job waits and for how long is `lifecycle.holding`.
"""

import re
from typing import NamedTuple

LATER_PILOT = "the next pilot there"
"""Who tries again where the pilot that says so will not."""


OUTPUTS, JOB = "outputs are safe", "the job waits"
"""What waits: what the payload made, or a job whose pilot had to put it down somewhere else on its way."""


class Waiting(NamedTuple):
    """Where it waits (host and directory), until when (UTC, to the minute), who tries again, why, and what."""

    where: str
    until: str
    who: str
    why: str
    what: str = OUTPUTS

    def text(self) -> str:
        """The sentence."""
        return f"{self.what} in {self.where} until {self.until}, {self.who} tries again: {self.why}"


_SENTENCE = re.compile(
    rf"(?P<what>{OUTPUTS}|{JOB}) in (?P<where>.+?) until (?P<until>[-0-9]{{10}} [0-9:]{{5}} UTC),"
    r" (?P<who>.+?) tries again: ?(?P<why>.*)",
    re.DOTALL,
)


def waiting_in(text: str) -> Waiting | None:
    """What the sentence tells; None where `text` is another one. Its end may have been cut on the way."""
    found = _SENTENCE.match(text)
    return None if found is None else Waiting(**found.groupdict())
