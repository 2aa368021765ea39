"""What the server is told of a job whose outputs wait on disk: one sentence, written by the pilot and read by pages.

When a job waits and for how long is `lifecycle.holding`.
"""

import re
from typing import NamedTuple

LATER_PILOT = "the next pilot there"
"""Who tries again where the pilot that says so will not."""


class Waiting(NamedTuple):
    """Where outputs wait (host and directory), until when (UTC, to the minute), who tries again, and why they wait."""

    where: str
    until: str
    who: str
    why: str

    def text(self) -> str:
        """The sentence."""
        return f"outputs are safe in {self.where} until {self.until}, {self.who} tries again: {self.why}"


_SENTENCE = re.compile(
    r"outputs are safe in (?P<where>.+?) until (?P<until>\d{4}-\d\d-\d\d \d\d:\d\d UTC),"
    r" (?P<who>.+?) tries again: ?(?P<why>.*)",
    re.DOTALL,
)


def waiting_in(text: str) -> Waiting | None:
    """What the sentence tells; None where `text` is another one. Its end may have been cut on the way."""
    found = _SENTENCE.match(text)
    return None if found is None else Waiting(**found.groupdict())
