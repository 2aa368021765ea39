"""What a running payload has used so far, for heartbeats; unknown is None.

Limits on it are `lifecycle`'s; sampling memory over time is `watch`, when there is one.
"""

from pathlib import Path

from picard_pilot.model.command import ProcessId
from picard_pilot.model.report import UsageSummary
from picard_pilot.model.states import State
from picard_pilot.pilot.work import JobWork
from picard_pilot.system.proc import launcher_usage


def payload_usage(work: JobWork) -> UsageSummary:
    """CPU time and output of a running payload so far; nothing for a job without one."""
    if work.case.state not in (State.RUNNING, State.STOPPING):
        return UsageSummary()
    used = launcher_usage(work.launcher) if isinstance(work.launcher, ProcessId) else None
    return UsageSummary(
        cpu_time_s=None if used is None else round(used.cpu_user_s + used.cpu_system_s),
        stdout_bytes=_size(work.bundle.stdout),
        stderr_bytes=_size(work.bundle.stderr),
    )


def _size(path: str) -> int | None:
    try:
        return Path(path).lstat().st_size
    except OSError:
        return None
