"""Words shared by everything that moves jobs: statuses, labels, who moved it. No rule is applied here."""

from __future__ import annotations

ACTIVATED = "activated"
SENT = "sent"
STARTING = "starting"
RUNNING = "running"
HOLDING = "holding"
TRANSFERRING = "transferring"
FINISHED = "finished"
FAILED = "failed"
CANCELLED = "cancelled"
CLOSED = "closed"

FINAL = frozenset({FINISHED, FAILED, CANCELLED, CLOSED})
"""Nothing leaves these."""

DEBUG_CAN_BE_SET = frozenset({ACTIVATED, SENT, STARTING, RUNNING})
"""Debug mode can be switched until the payload has ended."""

BY_USER = "user"
BY_DISPATCHER = "dispatcher"
BY_PILOT = "pilot"
BY_ADDER = "adder"
BY_WATCHER = "watcher"

PRODUCTION_LABELS = ("managed", "test", "prod_test", "install")
USER_LABELS = ("user", "panda", "install")


def labels_for(requested: str | None) -> tuple[str, ...]:
    """The labels of the jobs that a request for this label may get."""
    if requested in (None, "", "managed"):
        return PRODUCTION_LABELS
    if requested == "user":
        return USER_LABELS
    if requested == "unified":
        return tuple(dict.fromkeys((*PRODUCTION_LABELS, *USER_LABELS)))
    assert requested is not None
    return (requested,)


def holding_mark(status: str, at: str) -> str:
    """The note of a job that its pilot itself put to holding or transferring: more will come."""
    return f"set to {status} by the pilot at {at}"
