"""Each source of a slot's end, made to say that a told slot ends after an hour."""

import base64
import json
import os
from collections.abc import Callable
from typing import Any

import pytest
from slot_kit import BEGAN, ToldSlot

from picard_pilot.model.command import CommandResult, EndedBy
from picard_pilot.model.site import QueueLimits
from picard_pilot.pilot.expiry import Expiries, Held
from picard_pilot.system.bearer import Token

HOUR_S = 3600.0
GB = 1_000_000_000


def token_text(ends_at: float) -> str:
    """A token that says when it ends, signed by nobody."""
    parts = ({"alg": "none"}, {"exp": ends_at}, {})
    return ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts
    )


def said(text: str) -> Callable[..., Any]:
    """Instead of `system.run.run`: a batch system's command that says this once, and has no answer later."""
    asked: list[tuple[str, ...]] = []

    async def run(argv: tuple[str, ...], **_: Any) -> CommandResult:
        asked.append(argv)
        if len(asked) > 1:
            return CommandResult(ended_by=EndedBy.ITSELF, exit_code=1, stderr_tail="no controller")
        return CommandResult(ended_by=EndedBy.ITSELF, exit_code=0, stdout_tail=text)

    return run


def answers(slot: ToldSlot, monkeypatch: pytest.MonkeyPatch, text: str, **environ: str) -> None:
    slot.environ.update(environ)
    monkeypatch.setattr("picard_pilot.system.run.run", said(text))


def advertisement(slot: ToldSlot, variable: str, text: str) -> None:
    path = slot.directory / variable
    path.write_text(text)
    slot.environ[variable] = str(path)


def features(slot: ToldSlot, variable: str, **keys: str) -> None:
    folder = slot.directory / variable
    folder.mkdir(exist_ok=True)
    for key, text in keys.items():
        (folder / key).write_text(text + "\n")
    slot.environ[variable] = str(folder)


def features_by_url(slot: ToldSlot, monkeypatch: pytest.MonkeyPatch, **keys: str) -> None:
    async def fetch(_sources: object, address: str) -> str | None:
        folder, _, key = address.rpartition("/")
        assert folder == "http://features.example/job"
        return keys.get(key)

    slot.environ["JOBFEATURES"] = "http://features.example/job/"
    monkeypatch.setattr("picard_pilot.pilot.slot_sources.Sources.fetch", fetch)


def cpu_limit(slot: ToldSlot, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two cores that are busy all the time."""
    features(slot, "JOBFEATURES", cpu_limit_secs=f"{2 * HOUR_S:.0f}", allocated_cpu="2")
    spent_s = "picard_pilot.pilot.slot.Slot._spent_s"
    monkeypatch.setattr(spent_s, lambda _slot: 2 * slot.clock.monotonic())


def token_in_a_file(slot: ToldSlot) -> None:
    """It was laid down two hours before its end, and nobody renews it."""
    path = slot.directory / "token"
    path.write_text(token_text(END))
    os.utime(path, (END - 2 * HOUR_S, END - 2 * HOUR_S))
    token = Token("a file", path=path)
    slot.expiries = Expiries(lambda: (Held("the token for the server", token),), renewed=True)


def token_as_text(slot: ToldSlot) -> None:
    token = Token("BEARER_TOKEN", text=token_text(END))
    slot.expiries = Expiries(lambda: (Held("the token for storages", token),), renewed=True)


def drained(slot: ToldSlot) -> None:
    """The administrator comes after twenty minutes."""
    path = slot.directory / "drain"
    slot.settings["drain_file"] = str(path)
    slot.happens[1200.0] = lambda _: path.write_text(f"{END:.0f}\n")


def shutdown_announced(slot: ToldSlot) -> None:
    features(slot, "MACHINEFEATURES")
    keys = slot.directory / "MACHINEFEATURES"
    slot.happens[600.0] = lambda _: (keys / "shutdowntime").write_text(f"{END:.0f}")


END = BEGAN + HOUR_S
"""Of each slot here."""

SOURCES: dict[str, tuple[str, Callable[[ToldSlot, pytest.MonkeyPatch], object]]] = {
    "Slurm's environment": (
        "SLURM_JOB_END_TIME",
        lambda slot, _: slot.environ.update(SLURM_JOB_ID="7", SLURM_JOB_END_TIME=f"{END:.0f}"),
    ),
    "squeue": ("squeue", lambda slot, patch: answers(slot, patch, "1:00:00\n", SLURM_JOB_ID="7")),
    "HTCondor's limit on the execution": (
        "AllowedExecuteDuration",
        lambda slot, _: advertisement(
            slot,
            "_CONDOR_JOB_AD",
            f"AllowedExecuteDuration = 3000\nJobCurrentStartExecutingDate = {BEGAN + 600:.0f}\n",
        ),
    ),
    "a computing element's limit": (
        "maxWallTime",
        lambda slot, _: advertisement(slot, "_CONDOR_JOB_AD", "maxWallTime = 60\n"),
    ),
    "a glidein's end": (
        "GLIDEIN_ToDie",
        lambda slot, _: advertisement(slot, "_CONDOR_MACHINE_AD", f"GLIDEIN_ToDie = {END:.0f}\n"),
    ),
    "PBS' environment": (
        "PBS_WALLTIME",
        lambda slot, _: slot.environ.update(PBS_JOBID="7.server", PBS_WALLTIME="3600"),
    ),
    "qstat": (
        "Resource_List.walltime",
        lambda slot, patch: answers(
            slot,
            patch,
            "Job Id: 7\n    Resource_List.walltime = 02:00:00\n    resources_used.walltime = 01:00:00\n",
            PBS_JOBID="7.server",
        ),
    ),
    "bjobs": (
        "LSF's run limit",
        lambda slot, patch: answers(slot, patch, "90.0/host;1800 second(s)\n", LSB_JOBID="7"),
    ),
    "Grid Engine's qstat": (
        "Grid Engine's h_rt",
        lambda slot, patch: answers(
            slot,
            patch,
            "hard resource_list:         h_rt=3600\n",
            JOB_ID="7",
            SGE_TASK_ID="undefined",
        ),
    ),
    "a limit on CPU time in the job's features": (
        "cpu_limit_secs",
        lambda slot, patch: cpu_limit(slot, patch),
    ),
    "the job's features": (
        "shutdowntime_job",
        lambda slot, _: features(slot, "JOBFEATURES", shutdowntime_job=f"{END:.0f}"),
    ),
    "a limit in the job's features": (
        "wall_limit_secs",
        lambda slot, _: features(
            slot, "JOBFEATURES", wall_limit_secs="7200", jobstart_secs=f"{BEGAN - 3600:.0f}"
        ),
    ),
    "features behind a URL": (
        "shutdowntime_job",
        lambda slot, patch: features_by_url(slot, patch, shutdowntime_job=f"{END:.0f}"),
    ),
    "a shutdown that is announced while the job runs": (
        "shutdowntime",
        lambda slot, _: shutdown_announced(slot),
    ),
    "the queue's maxtime": (
        "maxtime of queue Q",
        lambda slot, _: slot.queue.update(limits=QueueLimits(maxtime_s=3600)),
    ),
    "a token given as text": ("the token for storages", lambda slot, _: token_as_text(slot)),
    "a token in a file that nobody renews": (
        "the token for the server",
        lambda slot, _: token_in_a_file(slot),
    ),
    "the site's drain file": ("drain file", lambda slot, _: drained(slot)),
}
