"""Doing something about left jobs: ask the server what it knows of them, take them up now, discard them.

What lies there is `tools.left`; a job that is taken up is in the hands of a pilot (`pilot.rescue`).
"""

import asyncio
import logging
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TextIO

from picard_pilot.journal import file as journal_file
from picard_pilot.journal import lease
from picard_pilot.lifecycle.recovery import GIVEN_BACK, OVER_AT_SERVER, Claim, judge
from picard_pilot.model.orders import ServerTrouble, Standing
from picard_pilot.model.version import VERSION
from picard_pilot.panda.client import PandaClient
from picard_pilot.payload import jobdir, launcher
from picard_pilot.payload.launch import Found, Lost, Running, UndeterminedLaunch
from picard_pilot.pilot.main import redactor_for
from picard_pilot.pilot.rescue import Rescued, rescue
from picard_pilot.settings.settings import Settings
from picard_pilot.system.http import HttpClient
from picard_pilot.system.log import open_log
from picard_pilot.tools.client import ClientTrouble, Reason, Target
from picard_pilot.tools.left import Left, is_alive, me

Standings = Mapping[int, Standing]


def ask(target: Target, job_ids: Sequence[int], timeout_s: float, environ: Mapping[str, str]) -> Standings:
    """What the server knows of these jobs, by number; one that it does not know is missing. Raises ClientTrouble."""

    async def asked() -> tuple[Standing, ...] | ServerTrouble:
        http = HttpClient(
            user_agent=f"picard-tools/{VERSION}",
            tls=target.credential.tls(target.ca),
            authorise=target.credential.headers,
            environment=environ,
            threads=1,
        )
        try:
            return await PandaClient(http, target.url, call_deadline_s=timeout_s).status(tuple(job_ids))
        finally:
            http.close()

    answer = asyncio.run(asked()) if job_ids else ()
    if isinstance(answer, ServerTrouble):
        raise ClientTrouble(
            Reason.UNREACHABLE,
            f"The server {target.url} does not say what it knows of the jobs",
            answer.says,
            "Is it the right server, and may this user ask it? `ppilot server status`, --server, --token-file",
        )
    return {standing.job_id: standing for standing in answer}


def verdict(left: Left, standings: Standings) -> tuple[Claim, str]:
    """What a pilot that found the job now would do with it, and why, as the end of a sentence."""
    if left.obstacle is not None or left.case is None:
        return Claim.LEAVE, left.obstacle or "there is no job"
    return judge(left.case, standings.get(left.case.job.job_id))


def take_up(
    settings: Settings, environ: Mapping[str, str], directories: Sequence[Path], stream: TextIO | None
) -> tuple[list[Rescued], int | None]:
    """Bring the jobs in `directories` to their end now, all of the queue that the settings name.

    The pilot's lines go to `stream`, and those about a job into its own directory as well. Returns what became of each
    and the exit code of a signal that ended this early. Raises Trouble.
    """
    with tempfile.TemporaryDirectory(prefix="picard-recover-") as own:
        # The work directory may be that of a living pilot, whose log and heartbeat are not ours to write.
        pilot_log = open_log(
            None,
            stream=stream,
            redactor=redactor_for(settings, environ),
            level=logging.DEBUG if settings.debug else logging.INFO,
        )
        try:
            return asyncio.run(rescue(settings, environ, directories, Path(own), pilot_log))
        finally:
            pilot_log.close()


class Discarded(NamedTuple):
    """What became of a directory that should be discarded, and what went with it or why it is still there."""

    left: Left
    gone: bool
    why: str


def why_discard(left: Left, standings: Standings | None) -> str | None:
    """Why nobody waits for this job any more, as the end of a sentence; None where somebody does, or may.

    `standings` is None where the server was not asked.
    """
    if left.case is None:
        return None
    if left.over:
        return "the server has its report"
    standing = None if standings is None else standings.get(left.case.job.job_id)
    if standing is None:
        return None
    if standing.status in OVER_AT_SERVER or standing.status in GIVEN_BACK:
        return f"it is {standing.status} at the server"
    found = judge(left.case, standing)
    return found.why if found.claim is Claim.DISOWN else None


def what_is_lost(left: Left) -> tuple[str, ...]:
    """What is nowhere else, a phrase each: outputs, the payload that runs, the report."""
    if left.case is None:
        return ("whatever lies there: its journal cannot be read",)
    if left.over:
        return ()
    lost = [f"{output.lfn} ({output.size_bytes} bytes)" for output in left.unstored]
    if left.cpu_s:
        lost.append(f"{left.cpu_s / 3600:.1f} h of CPU time")
    if left.state == "running":
        lost.append("what its payload has computed so far")
    return (*lost, "the job's report and log")


def discard(left: Left) -> Discarded:
    """Remove the job's directory, and end its payload if it runs. Nothing is told to the server.

    Refused where a living pilot has the job. Whether it should be done at all is for the caller to ask.
    """
    private = Path(left.directory, jobdir.PRIVATE)
    owner = me("ppilot-recover")
    try:
        if private.is_dir():
            lease.take(private, owner, time.time(), is_alive)
    except lease.LeaseHeld as held:
        return Discarded(left, False, str(held))
    except OSError as error:
        return Discarded(left, False, f"{error.filename or left.directory}: {error.strerror}")
    why_not = asyncio.run(_end_payload(private / jobdir.LAUNCH_DIRECTORY))
    problems = (
        [why_not] if why_not else jobdir.remove(jobdir.bundle_of(Path(left.directory)), journal_file.NAME)
    )
    if problems:
        _let_go(private, owner)
        return Discarded(left, False, "; ".join(problems))
    lost = what_is_lost(left)
    return Discarded(left, True, "lost: " + ", ".join(lost) if lost else "nothing is lost")


async def _end_payload(directory: Path) -> str | None:
    """End what runs of the payload; why not, if that cannot be done."""
    try:
        if (host := launcher.out_of_sight(directory)) is not None:
            return f"its payload still runs on {host}, where it cannot be ended from here"
        found: Found = await launcher.find(directory)
        if isinstance(found, Running):
            launcher.kill(found.handle, "discarded")
            found = await launcher.wait(found.handle)
        if isinstance(found, Lost):
            await launcher.kill_leftovers(found)
    except (UndeterminedLaunch, OSError) as error:
        return f"what became of its payload cannot be told: {error}"
    return None


def _let_go(private: Path, owner: lease.Owner) -> None:
    try:
        lease.release(private, owner)
    except OSError:
        pass  # this process ends, and with it the lease
