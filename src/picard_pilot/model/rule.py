"""An error rule: what in a payload's output means which error, with a sample that proves it.

Applying rules is `diagnosis`; the core's own rules are there too.
"""

import re
from enum import StrEnum

import msgspec


class Where(StrEnum):
    """Which of a job's files a rule looks at."""

    STDOUT = "payload.stdout"
    STDERR = "payload.stderr"


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule. `error` is a name of the catalogue; `when` is a text to be found in a line, or a regular expression.

    `says` is the sentence for people, `advice` what to do next. `sample` holds the line, `counter_sample` looks
    like it and does not: the conformance suite checks both.
    """

    error: str
    where: Where
    when: str
    says: str
    advice: str
    sample: str
    counter_sample: str
    is_pattern: bool = False
    """`when` is a regular expression."""

    def found_in(self, line: str) -> bool:
        """Whether the rule's text or pattern is in this line."""
        return re.search(self.when, line) is not None if self.is_pattern else self.when in line
