"""What a final report tells of the error that decided, beside its number and sentence, so that servers can count.

How it travels is `wire.error_notes`; the fault it is taken from is `model.fault`.
"""

import msgspec

from picard_pilot.model.fault import Evidence

NEXT = "  next: "
"""Before what to do about an error, in the extract of a failed job's logs: below a line that begins with its number."""


class ToldError(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The error of a failed job. What does not apply is None."""

    blame: str | None = None
    finer: str | None = None
    """Of a failed transfer: phase and class."""
    endpoint: str | None = None
    fingerprint: str | None = None
    """Of an error that no rule explains."""
    likeness: str | None = None
    """What the fingerprint stands for: what all failures share that have it."""
    evidence: tuple[Evidence, ...] = ()
    """Of such a failure: its own lines."""
