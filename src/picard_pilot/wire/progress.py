"""The progress of a stage as pairs of `job_metrics`, written by the pilot and read by the monitor.

A real server keeps these pairs as they are; none of them is a key that it reads.
"""

import re
from collections.abc import Mapping
from urllib.parse import quote, unquote

from picard_pilot.model.progress import StageProgress

FILES, BYTES, RATE, LEFT = "stageFiles", "stageBytes", "stageRate", "stageLeft"
TROUBLE = "stageTrouble"
"""The last failure, percent-coded. Not when the next try comes: a server keeps an update for longer than that holds."""

_TROUBLE_LENGTH = 200
"""Of its coded form."""
_PLAIN = "/:;,.()[]'\"!?=+*@#$&-_~"
"""What needs no code beside letters and digits, so that people can read it on any server."""

PILOT_HAS = frozenset({"starting", "running"})
MOVING_PHASES = frozenset({"stagein", "stageout", "finishing"})
"""While a pilot has a job, and while it moves files: only then is progress a thing of the present."""

_MOST = 10**18
"""No number of a stage is larger; one that says so is no number."""


def pairs_of(progress: StageProgress) -> dict[str, str]:
    """`stageFiles=3/10 stageBytes=1200000000/4000000000 stageRate=95000000 stageLeft=30`, in bytes and seconds.

    What is not known is left out; some 90 of the 500 characters that a server keeps.
    """
    total = "" if progress.bytes_total is None else f"/{progress.bytes_total}"
    pairs = {
        FILES: f"{progress.files_done}/{progress.files_total}",
        BYTES: f"{progress.bytes_done}{total}",
    }
    if progress.rate_bytes_s is not None:
        pairs[RATE] = f"{progress.rate_bytes_s:.0f}"
    if progress.left_s is not None:
        pairs[LEFT] = f"{progress.left_s:.0f}"
    if progress.trouble is not None:
        pairs[TROUBLE] = quote(progress.trouble, safe=_PLAIN)[
            :_TROUBLE_LENGTH
        ]  # last: it is what a server may cut
    return pairs


def pairs_in(metrics: str) -> dict[str, str]:
    """The pairs of a `job_metrics` text; what is none is passed over."""
    words = (word.partition("=") for word in metrics.split())
    return {key: value for key, equals, value in words if equals}


def progress_in(pairs: Mapping[str, str]) -> StageProgress | None:
    """The progress that the pairs tell; None where they tell none that makes sense."""
    files_done, files_total = _fraction(pairs.get(FILES, ""))
    bytes_done, bytes_total = _fraction(pairs.get(BYTES, ""))
    if files_done is None or files_total is None or bytes_done is None:
        return None
    return StageProgress(
        files_done=files_done,
        files_total=files_total,
        bytes_done=bytes_done,
        bytes_total=bytes_total,
        rate_bytes_s=_number(pairs.get(RATE, "")),
        left_s=_number(pairs.get(LEFT, "")),
        trouble=_words(pairs.get(TROUBLE, "")),
    )


def progress_of(status: str, phase: str | None, metrics: str) -> StageProgress | None:
    """How far the job's present stage is, from its last update, which repeats it for as long as the stage goes on;
    None where nothing is being moved."""
    if status not in PILOT_HAS or phase not in MOVING_PHASES:
        return None
    return progress_in(pairs_in(metrics))


def without_progress(metrics: str) -> str:
    """The `job_metrics` text without the pairs of a stage."""
    return " ".join(
        word for word in metrics.split() if word.partition("=")[0] not in (FILES, BYTES, RATE, LEFT, TROUBLE)
    )


def _fraction(text: str) -> tuple[int | None, int | None]:
    done, _, total = text.partition("/")
    return _number(done), _number(total)


def _words(text: str) -> str | None:
    """What was cut in the middle of a code loses its end."""
    whole = re.sub(r"(%[0-9A-F]?)$", "", text)
    return unquote(whole, errors="ignore") or None


def _number(text: str) -> int | None:
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(_MOST)):
        return None
    return int(text)
