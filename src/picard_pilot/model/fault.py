"""A fault: a verdict that comes with its evidence.

The numbers and texts stand in `diagnosis.catalogue`; what the payload itself did is `model.command.PayloadExit`
and is never overwritten by a fault.
"""

from enum import StrEnum

import msgspec

_TELLING = 4
"""Characters that a sentence and its evidence share by more than chance."""


class Blame(StrEnum):
    """Who has to act on a fault."""

    PAYLOAD = "payload"
    USER_INPUT = "user input"
    EXPERIMENT = "experiment software"
    NODE = "node"
    STORAGE = "storage"
    NETWORK = "network"
    BATCH = "batch"
    SERVER = "server"
    PILOT = "pilot"
    USER = "user"
    """Someone asked for it: a kill."""


class Retry(StrEnum):
    """Whether trying again can help, and where."""

    NEVER = "never"
    HERE = "here"
    ELSEWHERE = "elsewhere"


class Evidence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a verdict rests on: a text, and where it was found (file, byte offset or line) where that applies."""

    text: str
    file: str | None = None
    line: int | None = None
    offset: int | None = None
    """Of the line's first byte in the file; a log's line number costs reading all that stands before it."""


class Fault(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that went wrong: PanDA's number and name, who found it, and what to do next.

    `says` is one sentence for people, with the name of the file or field in it. `rule` names what found it.
    """

    code: int
    name: str
    says: str
    rule: str
    blame: Blame
    retry: Retry
    next_step: str
    phase: str | None = None
    evidence: tuple[Evidence, ...] = ()
    symptom_of: tuple[str, ...] = ()
    """Names of errors that this one follows from, where one of them is there too."""
    finer: str | None = None
    """Of a failed transfer: phase and class, as `stagein/contact`; the number tells less than that."""
    endpoint: str | None = None
    """The storage endpoint that failed."""
    fingerprint: str | None = None
    """Of an error that no rule explains: the same for all failures that look the same."""
    likeness: str | None = None
    """What the fingerprint stands for: the telling lines without what differs from job to job."""

    @property
    def diag(self) -> str:
        """One line for the server and the log: the sentence, then the first piece of evidence if it says more.

        What the sentence ends with is not said twice: `ended by KeyError` and `KeyError: 5` are `ended by KeyError: 5`.
        """
        text = self.evidence[0].text if self.evidence else ""
        if not text or text in self.says:
            return self.says
        words = self.says.split(" ")
        for at in range(len(words)):
            end = " ".join(words[at:])
            if len(end) >= _TELLING and text.startswith(end) and not text[len(end) :][:1].isalnum():
                return " ".join((*words[:at], text))
        return f"{self.says}: {text}"
