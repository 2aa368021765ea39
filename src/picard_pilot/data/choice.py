"""Copy an input to scratch, or let the payload read it where it is: one rule for all jobs, each time with its reason.

Pure. Which places there are is `data.sources`; opening and copying, and falling back from one to the other, is
`data.stagein`.
"""

import re
from enum import StrEnum
from typing import NamedTuple

from picard_pilot.data.paths import on_tape
from picard_pilot.model.files import FileSpec
from picard_pilot.model.job import InputAccess, Job
from picard_pilot.model.policy import InputPolicy
from picard_pilot.model.site import Queue
from picard_pilot.model.transfer import Source, SourceKind

LOCAL_TOKEN = "local"
"""The token of a data block (`prodDBlockToken`) whose files must be copied."""

_ARCHIVE = re.compile(r"\.(tar|tgz|tbz2?|txz|zip|gz|bz2|xz|zst|lib)(\.|$)", re.IGNORECASE)
_RAW = re.compile(r"(^|\.)raw\.", re.IGNORECASE)
"""Raw detector data is no ROOT file; the field knows it by this part of its names."""

_SECRET = re.compile(
    r"[?&][^=&]*(signature|credential|authz|token|secret|key|sig)[^=&]*=|://[^/@]*:[^/@]*@", re.IGNORECASE
)
"""A signed address, or one with a token or password in it."""

NEAR_SCHEMES = frozenset({"file", "root", "roots", "dcache", "dcap", "gsidcap", "https", "davs"})
"""What a payload's input library can open on the site's own network."""

FAR_SCHEMES = frozenset({"root", "roots", "https", "davs"})
"""What can be read well over long distances."""

NEAR = frozenset({SourceKind.SITE, SourceKind.LAN})
"""Places for which `direct_access_lan` counts; for all others `direct_access_wan` does."""


class Told(StrEnum):
    """When a reason helps those who read of a try. Where there is no room for a copy it always does."""

    ALWAYS = "always"
    WORKED = "worked"
    """Not beside a failure that it has nothing to do with."""
    NEVER = "never"
    """Nobody would have expected anything else."""


class Choice(NamedTuple):
    """Read where it is (`direct`), or copy; and why, in a sentence that goes on after the file's name."""

    direct: bool
    reason: str
    told: Told = Told.WORKED


def choose(
    file: FileSpec, source: Source, job: Job, queue: Queue, free_bytes: int | None, policy: InputPolicy
) -> Choice:
    """Decide for one file from one source. `free_bytes` is the room on scratch that is left for it; None is unknown.

    First what can never be read directly, then what the queue does not permit, then the job's own wish, then the
    room, then the size. The kind of job (user or production) does not matter.
    """
    hindrance = _hindrance(file, source, policy) or _not_permitted(source, queue)
    wish = _wish(job)
    if hindrance is not None:
        asked = wish is not None and wish[0] is InputAccess.DIRECT
        usual = not asked and not _switch(source, queue)[1]
        return Choice(False, f"copied: {hindrance}", Told.NEVER if usual else Told.WORKED)
    if wish is not None:
        mode, said = wish
        return Choice(mode is InputAccess.DIRECT, f"{_done(mode)}: the job asks for it ({said})")
    if file.size_bytes is None:
        return Choice(False, "copied: its size is not known")
    if free_bytes is not None and file.size_bytes > free_bytes:
        return Choice(
            True,
            f"read directly: its {file.size_bytes} bytes do not fit into the {free_bytes} left on scratch",
        )
    limit_bytes = queue.direct_access_threshold_bytes
    if file.size_bytes > limit_bytes:
        return Choice(
            True, f"read directly: {file.size_bytes} bytes are more than the queue's {limit_bytes} for a copy"
        )
    return Choice(
        False, f"copied: {file.size_bytes} bytes are not more than the queue's {limit_bytes} for a copy"
    )


def may_be_direct(file: FileSpec, source: Source, job: Job, queue: Queue, policy: InputPolicy) -> bool:
    """Whether a file that cannot be copied may be read from this source instead: nothing forbids it, and the job has
    not asked for a copy."""
    if _hindrance(file, source, policy) or _not_permitted(source, queue):
        return False
    wish = _wish(job)
    return wish is None or wish[0] is InputAccess.DIRECT


def payload_address(surl: str) -> str:
    """The address as a payload's input library knows it (TURL): WebDAV's scheme is only ours."""
    scheme, separator, rest = surl.partition("://")
    return f"https://{rest}" if separator and scheme.lower() == "davs" else surl


def _hindrance(file: FileSpec, source: Source, policy: InputPolicy) -> str | None:
    """Why this file, from this source, can never be read directly."""
    if _ARCHIVE.search(file.lfn):
        return "archives and libraries are unpacked, not read"
    if _RAW.search(file.lfn):
        return "raw data is no ROOT file"
    if file.token is not None and file.token.lower() == LOCAL_TOKEN:
        return "its data block asks for it (prodDBlockToken=local)"
    if not policy.allow_direct:
        return "the experiment reads its inputs from files only"
    if source.kind is SourceKind.NODE:
        return "it lies on the node anyway"
    if on_tape(source.endpoint):
        return f"{source.endpoint.name} is a tape endpoint, which must not be read piecemeal"
    return None


def _not_permitted(source: Source, queue: Queue) -> str | None:
    """Why the queue does not let payloads read from this source."""
    if _SECRET.search(source.surl):
        return "its address holds a signature or token, which is for the pilot alone"
    if not source.surl.isprintable() or " " in source.surl:
        return "its address has blanks or control characters, which no list of addresses can hold"
    scheme = source.surl.partition("://")[0].lower()
    key, is_on = _switch(source, queue)
    if not is_on:
        return f"{key} is off in queue {queue.name}"
    near = source.kind in NEAR
    if scheme not in (NEAR_SCHEMES if near else FAR_SCHEMES):
        return f"payloads cannot read {scheme}:// " + ("" if near else "over long distances ") + "well"
    return None


def _switch(source: Source, queue: Queue) -> tuple[str, bool]:
    """What of the queue permits reading from this source, and whether it does."""
    if source.kind in NEAR:
        return "direct_access_lan", bool(queue.direct_access_lan)
    return "direct_access_wan", bool(queue.direct_access_wan)


def _wish(job: Job) -> tuple[InputAccess, str] | None:
    """How the job wants its inputs, and where it says so; its parameters are closer to it than its transfer type."""
    if job.input_access is not None:
        return job.input_access, "in its parameters"
    if (job.transfer_type or "").lower() == InputAccess.DIRECT:
        return InputAccess.DIRECT, "transferType=direct"
    return None


def _done(mode: InputAccess) -> str:
    return "read directly" if mode is InputAccess.DIRECT else "copied"
