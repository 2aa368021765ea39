"""What the catalogue says of one error: a row. The rows themselves stand in the files beside this one, by component.

Which row fits a failure is decided where its evidence is found, or by a rule.
"""

from enum import IntEnum, StrEnum
from typing import NamedTuple

from picard_pilot.diagnosis.catalogue.shell import EXITS
from picard_pilot.model.fault import Blame, Retry

PILOT1 = "pilot 1"
"""The number is on the wire since the first pilot."""
PILOT3 = "pilot 3"
"""The number came with a later pilot, and pilot 3.11.5.1 uses it."""
LATER_PILOT3 = "pilot 3 after 3.11.5.1"


class Component(StrEnum):
    """The part of a job's way in which an error arises."""

    PILOT = "pilot"
    JOB = "job description"
    QUEUE = "queue settings"
    CREDENTIALS = "credentials"
    NODE = "node"
    STAGEIN = "stage-in"
    STAGEOUT = "stage-out"
    PAYLOAD = "payload"
    SOFTWARE = "experiment software"
    CONTAINER = "container"
    SLOT = "slot"
    SERVER = "server"
    EVENTS = "event service"


class Category(IntEnum):
    """The monitor's seven kinds of error, under the numbers that it gives them."""

    UNCATEGORISED = 0
    FILES = 1
    RESOURCES = 2
    NETWORK = 3
    KILLED = 4
    SOFTWARE = 5
    INTERNAL = 6

    @property
    def label(self) -> str:
        """The kind in words."""
        return _LABELS[self]


_LABELS: dict[Category, str] = {
    Category.UNCATEGORISED: "uncategorised",
    Category.FILES: "files and storage",
    Category.RESOURCES: "run time and resources",
    Category.NETWORK: "network",
    Category.KILLED: "kill signals",
    Category.SOFTWARE: "software and environment",
    Category.INTERNAL: "internal",
}


class Reader(StrEnum):
    """For whom an explanation is written."""

    USER = "user"
    SHIFT = "shift"
    SITE = "site"


ACTS: dict[Blame, Reader] = {
    Blame.PAYLOAD: Reader.USER,
    Blame.USER_INPUT: Reader.USER,
    Blame.USER: Reader.USER,
    Blame.EXPERIMENT: Reader.SHIFT,
    Blame.NODE: Reader.SITE,
    Blame.STORAGE: Reader.SITE,
    Blame.NETWORK: Reader.SITE,
    Blame.BATCH: Reader.SITE,
    Blame.SERVER: Reader.SHIFT,
    Blame.PILOT: Reader.SHIFT,
}
"""Whose advice is the next step."""


class Code(NamedTuple):
    """One error.

    `user`, `shift` and `site` are advice; empty where that reader has nothing to do, which is never so for the one
    who has to act. `recoverable`: what the payload made is safe on the node, and a later pilot can store it.
    `symptom_of` names errors from which this one follows where both are found; what those follow from counts as well.
    `since` is the pilot that brought the number. `reserved` is why nothing here raises it: the row is kept to explain
    what others report, and so that the number gets no second meaning.
    """

    number: int
    name: str
    component: Component
    category: Category
    blame: Blame
    retry: Retry
    since: str
    summary: str
    causes: tuple[str, ...] = ()
    user: str = ""
    shift: str = ""
    site: str = ""
    symptom_of: tuple[str, ...] = ()
    recoverable: bool = False
    reserved: str | None = None

    @property
    def shell_exit(self) -> int | None:
        """The exit code of a pilot that the error stops, as batch wrapper and Harvester read it; None: 65."""
        return EXITS.get(self.name)

    @property
    def acts(self) -> Reader:
        """Who has to act."""
        return ACTS[self.blame]

    @property
    def next_step(self) -> str:
        """The advice for whoever has to act."""
        return self.advice(self.acts)

    def advice(self, reader: Reader) -> str:
        """What this reader can do; empty where it is nothing."""
        match reader:
            case Reader.USER:
                return self.user
            case Reader.SHIFT:
                return self.shift
            case Reader.SITE:
                return self.site
