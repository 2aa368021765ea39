"""An error rule: what in a failed payload's facts and logs means which error, with a sample that proves it.

Applying rules is `diagnosis.engine`; the core's own rules are `diagnosis.rules`. The facts are `model.facts`.
"""

from collections.abc import Callable
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Any

import msgspec

from picard_pilot.model.facts import Facts
from picard_pilot.model.fault import Blame, Evidence, Retry


class Where(StrEnum):
    """What a rule looks at. A text or pattern is looked for in logs; structured facts are for functions.

    Any other text is the name, or a pattern as of the shell (`log.*`), of a further log in the job's directory.
    """

    EXIT = "exit"
    """How the payload ended."""
    REPORT = "jobReport.json"
    ERROR_REPORT = "payload_error_report.json"
    KERNEL = "kernel"
    """Out-of-memory kills by the kernel."""
    DISK = "disk"
    WATCH = "watch"
    """Limits that were found broken while it ran."""
    STDOUT = "payload.stdout"
    STDERR = "payload.stderr"
    OUTPUT = "payload.stderr, payload.stdout"
    """Both streams: many payloads write both into one."""
    LOGS = "all logs"
    """Both streams, and every further log that any rule names."""


STRUCTURED = (Where.EXIT, Where.REPORT, Where.ERROR_REPORT, Where.KERNEL, Where.DISK, Where.WATCH)
"""Places without lines: a rule that looks there has a function."""


class Specificity(IntEnum):
    """How much a rule knows; the higher one wins. Any number between them may be used to order two rules.

    Two rules of different errors that hit the same log with the same number are a mistake, and tests find it.
    """

    HINT = 10
    """Something that is often seen beside a failure, and now and then without one."""
    ENDING = 20
    """How the program ended: a crash, an abort, an uncaught exception."""
    FAILURE = 30
    """What it could not do: open a file, load a library, reach a service."""
    CAUSE = 40
    """Why it could not: expired, full, forbidden, gone."""
    CERTAIN = 50
    """Words that a tool says in this case only, as its last."""
    WITNESS = 60
    """Not the payload's word but the kernel's, the launcher's or a watcher's."""


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule found: the evidence, best first, and words for the braces in the rule's `says` and `advice`."""

    evidence: tuple[Evidence, ...]
    words: dict[str, str] = {}


Function = Callable[[Facts], Hit | str | None]
"""A pure function: what it found, as a `Hit` or as the evidence's text alone; None if it does not apply."""

if TYPE_CHECKING:
    When = str | Function
else:
    When = Any  # msgspec knows no functions


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule. `error` is a name of the catalogue; `when` is a text in a line, a pattern for one, or a function.

    `says` is the sentence for people, `advice` what to do next; both may hold `{name}` for a named group of the
    pattern or a word of the function's. `sample` is what the rule must hit before all other rules, `counter_sample`
    looks like it and must not be hit: lines of the log, or `Facts` for a function. The conformance suite checks both.
    """

    error: str
    where: str
    """A `Where`, or the name of a further log."""
    when: When
    says: str
    advice: str
    sample: str | Facts
    counter_sample: str | Facts
    is_pattern: bool = False
    """`when` is a regular expression. It sees one line at a time, and no more than its first 1,000 characters."""
    specificity: int = Specificity.FAILURE
    name: str = ""
    """What the fault is said to be found by, as `memory.bad_alloc`; by default the text or pattern itself."""
    exits: tuple[int, ...] = ()
    """The rule counts only where the payload ended with one of these exit codes; empty: however it ended."""
    in_warnings: bool = False
    """Lines count too that say WARNING, or that it goes on or is tried again."""
    blame: Blame | None = None
    """Who has to act, where that is not what the catalogue says of the error."""
    retry: Retry | None = None
    """Whether another try can help, where that is not what the catalogue says of the error."""

    @property
    def id(self) -> str:
        """Its name, or what stands for one."""
        if self.name:
            return self.name
        return f"rule {self.when}" if isinstance(self.when, str) else f"rule {self.when.__name__}"
