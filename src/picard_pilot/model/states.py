"""The states a job passes through and the words the world knows them by.

Which event leads where is `lifecycle.table`.
"""

from enum import StrEnum


class State(StrEnum):
    """Where a job is, as the lifecycle machine sees it."""

    RECEIVED = "received"
    SETTING_UP = "setting_up"
    STAGING_IN = "staging_in"
    LAUNCHING = "launching"
    RUNNING = "running"
    STOPPING = "stopping"
    DIAGNOSING = "diagnosing"
    STAGING_OUT = "staging_out"
    ARCHIVING = "archiving"
    CLOSING = "closing"
    FINISHED = "finished"
    FAILED = "failed"
    HOLDING = "holding"


class Phase(StrEnum):
    """The brief's words for where a job is: in the log, in status.json and in `job_sub_status`."""

    STARTING = "starting"
    SETUP = "setup"
    STAGEIN = "stagein"
    RUNNING = "running"
    STAGEOUT = "stageout"
    FINISHING = "finishing"
    FINISHED = "finished"
    FAILED = "failed"
    HOLDING = "holding"


PHASE_OF: dict[State, Phase] = {
    State.RECEIVED: Phase.STARTING,
    State.SETTING_UP: Phase.SETUP,
    State.STAGING_IN: Phase.STAGEIN,
    State.LAUNCHING: Phase.RUNNING,
    State.RUNNING: Phase.RUNNING,
    State.STOPPING: Phase.RUNNING,
    State.DIAGNOSING: Phase.STAGEOUT,
    State.STAGING_OUT: Phase.STAGEOUT,
    State.ARCHIVING: Phase.FINISHING,
    State.CLOSING: Phase.FINISHING,
    State.FINISHED: Phase.FINISHED,
    State.FAILED: Phase.FAILED,
    State.HOLDING: Phase.HOLDING,
}

FINAL = frozenset({State.FINISHED, State.FAILED})
"""States that nothing leaves."""

HAS_PAYLOAD = frozenset({State.LAUNCHING, State.RUNNING, State.STOPPING})
"""States in which there is a payload, or one may be starting."""

BEFORE_PAYLOAD = frozenset({State.RECEIVED, State.SETTING_UP, State.STAGING_IN, State.LAUNCHING})
"""States in which the server is still told `starting`: the payload has not begun."""
