"""How a payload ended as pairs of `job_metrics`, which with the exit status tell a signal from an exit code of 128 + n.

A server that knows nothing of them keeps and shows them as they are.
"""

from collections.abc import Mapping

from picard_pilot.model.ending import SIGNAL_BASE, Ender, Ending

BY, SIGNAL = "payloadEndedBy", "payloadSignal"
KEYS = frozenset({BY, SIGNAL})
NOBODY_KNOWS = "unknown"

_SIGNALS = 64
"""Linux has no higher number."""


def pairs_of(ending: Ending) -> dict[str, str]:
    """`payloadEndedBy=kernel payloadSignal=9`; some 40 of the 500 characters that a server keeps."""
    pairs = {BY: ending.by.value if ending.by is not None else NOBODY_KNOWS}
    if ending.signal is not None:
        pairs[SIGNAL] = str(ending.signal)
    return pairs


def ending_in(pairs: Mapping[str, str], exit_status: int | None) -> Ending | None:
    """What the pairs and the report's exit status (None: it was zero) tell; None where they tell nothing."""
    word = pairs.get(BY)
    if word is None:
        return None
    status = exit_status or 0
    # The number counts only where it fits the exit status: pairs are texts that anybody may have written.
    is_signal = pairs.get(SIGNAL) == str(status - SIGNAL_BASE) and 0 < status - SIGNAL_BASE <= _SIGNALS
    return Ending(
        exit_code=None if is_signal else status,
        signal=status - SIGNAL_BASE if is_signal else None,
        by=Ender(word) if word in [*Ender] else None,
    )


def without_ending(metrics: str) -> str:
    """The `job_metrics` text without these pairs."""
    return " ".join(word for word in metrics.split() if word.partition("=")[0] not in KEYS)
