"""What is told of the ways of a stage's files: each try, where to or from, how, and why.

How it travels is `wire.transfer_notes`; the whole story is in the journal and the log.
"""

import msgspec

from picard_pilot.model.states import Phase


class FileNote(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One try to move a file: `how` is the way it went, or the class of its failure."""

    lfn: str
    endpoint: str
    how: str
    ok: bool
    why: str
    """Why this place, or what went wrong there."""
    size_bytes: int | None = None
    seconds: float | None = None


class StageNote(msgspec.Struct, frozen=True, kw_only=True):
    """All tries of one stage, in their order."""

    phase: Phase
    files: tuple[FileNote, ...]
