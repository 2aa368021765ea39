"""Everything the machine can ask for. Each is safe to repeat: after a crash it is simply given again.

Who performs them, and how, is `pilot`.
"""

import msgspec


class Instruction(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag=True):
    """Base of all instructions."""


class Tell(Instruction, frozen=True, kw_only=True):
    """Tell the server where the job is. Never in the way of the job; only the newest needs to arrive."""


class Admit(Instruction, frozen=True, kw_only=True):
    """Make the job's directory and let site and experiment check the job. Ends in Admitted or Refused."""


class Prepare(Instruction, frozen=True, kw_only=True):
    """Let the experiment set the job up. Ends in Prepared or SetupFailed."""


class StageIn(Instruction, frozen=True, kw_only=True):
    """Bring the inputs that are not there yet. InputStaged per file; ends in InputsReady or StageInFailed."""


class Launch(Instruction, frozen=True, kw_only=True):
    """Start the payload unless it was started before. Ends in PayloadStarted or LaunchFailed."""


class Watch(Instruction, frozen=True, kw_only=True):
    """Wait for the payload, also one that an earlier pilot started. Ends in PayloadExited or PayloadLost."""


class StopPayload(Instruction, frozen=True, kw_only=True):
    """End the payload's whole process tree: politely, and after `grace_s` seconds with force.

    The end itself arrives through Watch.
    """

    grace_s: float


class Diagnose(Instruction, frozen=True, kw_only=True):
    """Read what the payload left. Ends in Diagnosed."""


class StageOut(Instruction, frozen=True, kw_only=True):
    """Store the outputs that are not stored yet. OutputStored per file; ends in OutputsStored, OutputsHeld or
    StageOutFailed."""


class AwaitBreak(Instruction, frozen=True, kw_only=True):
    """Wait until `until` (seconds since 1970, UTC) before the outputs are tried again. Ends in BreakOver."""

    until: float


class LastWord(Instruction, frozen=True, kw_only=True):
    """Keep the job in hand until the server has heard where it is. Ends in nothing."""


class StoreLog(Instruction, frozen=True, kw_only=True):
    """Make the log archive and store it. Ends in LogStored or LogFailed."""


class Report(Instruction, frozen=True, kw_only=True):
    """Write the final report to disk and tell it until the server has it. Ends in ReportAccepted."""


class CleanUp(Instruction, frozen=True, kw_only=True):
    """Remove the job's directory. Ends in nothing: the job is over."""


class CancelWork(Instruction, frozen=True, kw_only=True):
    """Abandon the transfer or hook that is under way for this job; its events are no longer wanted."""
