"""What a payload has used so far, for heartbeats; unknown is None.

Limits on it are `lifecycle`'s; sampling it over time is `pilot.watching`.
"""

from pathlib import Path

import msgspec

from picard_pilot.model.command import ProcessId
from picard_pilot.model.report import UsageSummary
from picard_pilot.model.states import State
from picard_pilot.pilot.work import JobWork
from picard_pilot.system.proc import launcher_usage


def payload_usage(work: JobWork) -> UsageSummary:
    """What a payload has used so far: CPU time and output of this moment, the rest as it was last seen."""
    seen = UsageSummary() if work.watching is None else work.watching.usage()
    if work.case.state not in (State.RUNNING, State.STOPPING):
        return seen
    used = launcher_usage(work.launcher) if isinstance(work.launcher, ProcessId) else None
    return msgspec.structs.replace(
        seen,
        cpu_time_s=None if used is None else round(used.cpu_user_s + used.cpu_system_s),
        stdout_bytes=_size(work.bundle.stdout),
        stderr_bytes=_size(work.bundle.stderr),
    )


def _size(path: str) -> int | None:
    try:
        return Path(path).lstat().st_size
    except OSError:
        return None
