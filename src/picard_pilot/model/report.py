"""What the pilot tells the server about a job: an update on the way, and the final report.

Wire names and limits are `wire`; how a report is delivered is `panda`.
"""

from enum import StrEnum

import msgspec

from picard_pilot.model.cost import Cost
from picard_pilot.model.ending import Ending
from picard_pilot.model.file_note import StageNote
from picard_pilot.model.files import StoredFile
from picard_pilot.model.progress import StageProgress
from picard_pilot.model.states import Phase
from picard_pilot.model.told_error import ToldError
from picard_pilot.model.usage import ToldLimit, UsageNow


class JobStatus(StrEnum):
    """The words that the server's `job_status` knows."""

    STARTING = "starting"
    RUNNING = "running"
    HOLDING = "holding"
    FINISHED = "finished"
    FAILED = "failed"


class UsageSummary(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Resources a payload has used so far; unknown is None. Memory is that of the whole tree: RSS counts a page once
    for each process that shares it, PSS once. `rate_` is per second of the payload's wall time."""

    cpu_time_s: int | None = None
    max_rss_kb: int | None = None
    max_vmem_kb: int | None = None
    max_swap_kb: int | None = None
    max_pss_kb: int | None = None
    avg_rss_kb: int | None = None
    avg_vmem_kb: int | None = None
    avg_swap_kb: int | None = None
    avg_pss_kb: int | None = None
    total_rchar: int | None = None
    total_wchar: int | None = None
    total_read_bytes: int | None = None
    total_write_bytes: int | None = None
    rate_rchar: int | None = None
    rate_wchar: int | None = None
    rate_read_bytes: int | None = None
    rate_write_bytes: int | None = None
    stdout_bytes: int | None = None
    stderr_bytes: int | None = None


class Update(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message about one job. With `status` finished or failed it is the final report.

    Times are seconds since 1970, UTC. What is None is not sent. `outputs` holds each stored output and the log
    with the place where it really is; `timing_s` are whole seconds in the order of the server's `pilot_timing`
    (getjob, stagein, payload, stageout, initial setup, setup).
    """

    job_id: int
    attempt_nr: int
    status: JobStatus
    phase: Phase
    phase_since: float | None = None
    site_name: str | None = None
    node: str | None = None
    scheduler_id: str | None = None
    pilot_id: str | None = None
    batch_id: str | None = None
    start_time: float | None = None
    end_time: float | None = None
    core_count: int | None = None
    usage: UsageSummary = UsageSummary()
    now: UsageNow | None = None
    """The last look at the running payload."""
    n_events: int | None = None
    n_input_files: int | None = None
    timing_s: tuple[int, ...] | None = None
    pilot_error_code: int | None = None
    pilot_error_diag: str | None = None
    exe_error_code: int | None = None
    exe_error_diag: str | None = None
    trans_exit_code: int | None = None
    """The payload's own exit code, or 128 + n if signal n ended it."""
    ending: Ending | None = None
    """Of the final report: which of the two it was, and who ended the payload."""
    progress: StageProgress | None = None
    """While files are moved: how far it is."""
    note: StageNote | None = None
    """Once after a stage that moved files: where each came from or went. An update has it or a `pilot_log`."""
    limits: tuple[ToldLimit, ...] = ()
    """Once, as soon as the payload's limits are known."""
    metrics: dict[str, str] = {}
    """`job_metrics`: short key=value pairs."""
    error: ToldError | None = None
    """Of a failed job's final report: what there is to tell of its cause beside number and sentence."""
    cost: Cost | None = None
    """Of the final report: what the job has taken, from all pilots that had it."""
    metadata: str | None = None
    pilot_log: str | None = None
    outputs: tuple[StoredFile, ...] = ()

    @property
    def final(self) -> bool:
        """True for the report that ends the job."""
        return self.status in (JobStatus.FINISHED, JobStatus.FAILED)
