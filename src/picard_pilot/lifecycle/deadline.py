"""One deadline from all ends that are known: which counts, when to warn and to stop payloads, when to be gone. Pure.

All times are seconds on one clock. Reading the ends is `watch.slot`; doing what is decided is `pilot.ends`.
"""

from collections.abc import Sequence

import msgspec

from picard_pilot.model.slot import SlotEnd

ASSUMED_PER_FILE_S = 5.0
"""For one file beside its bytes: naming, verifying and renaming it at a storage at the other end of the world takes
some ten round trips of 0.2 s; twice that, and a start of the transfer worker."""

MEASURED_SHARE = 0.5
"""Of a measured rate: at the end of a batch system's queue, many slots end together and share the storage."""

MOST_SHARE, MOST_ASSUMED_SHARE = 0.5, 0.25
"""Of a slot, the part that outputs may be given at a measured and at an assumed rate: beyond it, what does not leave is
better left on disk for a later pilot than never made."""

ARCHIVE_RATE_BYTES_S = 20_000_000
"""Log archives are compressed by one core: 30 to 60 MB/s of text on nodes of ten years ago."""

SOON_SHARE = 0.1
"""Of a short slot, the part that may be spent on warning, or that is too short for a further job."""


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What the pilot's jobs have on disk that must leave before the end."""

    files: int = 0
    size_bytes: int = 0
    logs: int = 0
    log_bytes: int = 0


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """How fast files leave, and from where that is known."""

    bytes_s: float
    per_file_s: float
    origin: str
    measured: bool


class Reserve(msgspec.Struct, frozen=True, kw_only=True):
    """The time that is kept for what follows a stop, in seconds."""

    stop_s: float
    outputs_s: float
    log_s: float
    report_s: float
    because: str
    most_share: float
    """Of the slot, for outputs."""

    def within(self, slot_s: float) -> "Reserve":
        """The same in a slot of this length, where it must not take too much."""
        most_s = slot_s * self.most_share
        if self.outputs_s <= most_s:
            return self
        because = f"{self.because}; no more than {self.most_share:.0%} of the slot"
        return msgspec.structs.replace(self, outputs_s=most_s, because=because)

    @property
    def total_s(self) -> float:
        """All of it."""
        return self.stop_s + self.outputs_s + self.log_s + self.report_s

    def says(self) -> str:
        """For people: what each part is for."""
        return (
            f"{self.total_s:.0f} s: {self.stop_s:g} to stop, {self.outputs_s:.0f} for outputs, {self.log_s:.0f} for "
            f"the log, {self.report_s:g} for the report ({self.because})"
        )


def reserve_for(load: Load, rate: Rate, *, stop_s: float, report_s: float) -> Reserve:
    """The time that stopping, storing and reporting take. A log is expected even where no job runs yet."""
    logs = max(1, load.logs)
    archiving_s = load.log_bytes / ARCHIVE_RATE_BYTES_S
    mb = load.size_bytes / 1e6
    return Reserve(
        stop_s=stop_s,
        outputs_s=load.files * rate.per_file_s + load.size_bytes / rate.bytes_s,
        log_s=logs * rate.per_file_s + archiving_s + load.log_bytes / rate.bytes_s,
        report_s=report_s,
        because=f"{load.files} outputs of {mb:.1f} MB so far at {rate.bytes_s / 1e6:.3g} MB/s, {rate.origin}",
        most_share=MOST_SHARE if rate.measured else MOST_ASSUMED_SHARE,
    )


class KnownEnd(msgspec.Struct, frozen=True):
    """An end on the clock that is used here, whatever its UTC time."""

    at: float
    end: SlotEnd


class Deadline(msgspec.Struct, frozen=True, kw_only=True):
    """The end that counts and what follows from it."""

    known: KnownEnd
    warns_at: float
    stops_at: float
    gone_by: float
    """When the pilot must have left."""
    outputs_until: float
    """No transfer of an output is begun after this, so that log and report still leave."""
    log_until: float
    no_job_after: float
    """A job that came later could not do anything worth its start."""
    reserve: Reserve

    @property
    def end(self) -> SlotEnd:
        """Who says it."""
        return self.known.end


def deadline(
    ends: Sequence[KnownEnd],
    reserve: Reserve,
    *,
    began_at: float,
    margin_s: float,
    warning_s: float,
    least_job_s: float,
) -> Deadline | None:
    """The end at which payloads have to be stopped first; None where no end is known.

    `margin_s` is how exactly an end is known: the pilot is gone so long before a hard one. `warning_s` and
    `least_job_s` are less in a slot that is short as a whole.
    """
    each = [_one(known, reserve, began_at, margin_s, warning_s, least_job_s) for known in ends]
    return min(each, key=lambda one: one.stops_at, default=None)


def _one(
    known: KnownEnd, reserve: Reserve, began_at: float, margin_s: float, warning_s: float, least_job_s: float
) -> Deadline:
    slot_s = max(0.0, known.at - began_at)
    soon_s, reserve = slot_s * SOON_SHARE, reserve.within(slot_s)
    if known.end.hard:
        gone_by = known.at - margin_s
        stops_at = gone_by - reserve.total_s
        log_until = gone_by - reserve.report_s
        outputs_until = log_until - reserve.log_s
        no_job_after = stops_at - min(least_job_s, soon_s)
    else:
        # Nobody else ends the slot then: what was stopped may leave after it.
        stops_at = outputs_until = log_until = known.at
        gone_by = known.at + max(reserve.stop_s + reserve.report_s, min(reserve.total_s, soon_s))
        no_job_after = known.at - min(reserve.report_s, soon_s)
    return Deadline(
        known=known,
        warns_at=stops_at - min(warning_s, soon_s),
        stops_at=stops_at,
        gone_by=gone_by,
        outputs_until=outputs_until,
        log_until=log_until,
        no_job_after=no_job_after,
        reserve=reserve,
    )


def counts_late(*, now: float, laid_down_at: float, ends_at: float) -> bool:
    """Whether the end of a credential in a file counts: somebody is expected to renew it in time, and nobody did.

    Late is the last tenth of the time from the file's last change to its end: ten hours of a proxy of four days, two
    minutes of a token of twenty.
    """
    return ends_at - now <= max(0.0, ends_at - laid_down_at) * SOON_SHARE


def gone_first(ends: Sequence[KnownEnd], margin_s: float) -> float | None:
    """The first moment at which somebody else ends the slot, less the margin; None where nobody is known to."""
    return min((known.at - margin_s for known in ends if known.end.hard), default=None)
