"""The process entry of a pilot: log, parts, loop, exit code. Here everything unexpected ends, and is said.

What a pilot does is `pilot.supervisor`; its options are `settings`.
"""

import asyncio
import gc
import io
import logging
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

from picard_pilot.experiments.environment import is_secret
from picard_pilot.model.orders import ServerTrouble
from picard_pilot.model.trouble import Trouble
from picard_pilot.model.version import VERSION
from picard_pilot.pilot import above, recovery, wiring
from picard_pilot.pilot.exits import Exit, of_error
from picard_pilot.pilot.parts import Parts
from picard_pilot.pilot.scratch import describe, look_at
from picard_pilot.pilot.supervisor import Supervisor
from picard_pilot.settings.settings import Settings
from picard_pilot.site.errors import SiteError
from picard_pilot.system.log import Log, open_log
from picard_pilot.system.redact import Redactor

log = logging.getLogger("picard.pilot")

WORKER_STATUS_S = 1.0
"""How long the server may take to note a change of the worker: a pilot's exit follows its last report within 2 s."""


def run_pilot(settings: Settings, environ: Mapping[str, str]) -> int:
    """Run one pilot to its end; returns the exit code of `pilot.exits`, never 1 or 2."""
    redactor = redactor_for(settings, environ)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # No line is lost for a letter that a terminal lacks.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        workdir = wiring.find_workdir(settings, environ)
        pilot_log = open_log(
            workdir / "pilotlog.txt",
            stream=sys.stdout,
            redactor=redactor,
            level=logging.DEBUG if settings.debug else logging.INFO,
        )
    except (wiring.CannotStart, OSError) as error:
        sys.stderr.write(f"ppilot run: {error}\n")
        return Exit.NO_WORKDIR
    try:
        return asyncio.run(_run(settings, environ, workdir, pilot_log))
    except SiteError as error:
        log.critical("%s", error)
        return of_error(error.name)
    except Trouble as error:
        log.critical("%s", error)
        return Exit.GENERAL
    except Exception:
        log.critical("the pilot met an error that it does not know; its jobs wait on disk", exc_info=True)
        return Exit.EXCEPTION
    finally:
        pilot_log.close()


async def _run(settings: Settings, environ: Mapping[str, str], workdir: Path, pilot_log: Log) -> int:
    async with AsyncExitStack() as stack:
        scratch = look_at(workdir, environ)
        parts = await wiring.build(
            settings, environ, workdir, pilot_log, stack, left_is_lost=scratch.lost_because
        )
        # All code is loaded: it is never garbage, and from here on only what comes on top is looked through.
        gc.freeze()
        gc.enable()
        log.info(
            "Picard %s, pilot %s: queue %s, experiment %s, work directory %s",
            VERSION, parts.owner.pilot, parts.site.queue.name, parts.experiment.name, workdir,
        )  # fmt: skip
        log.info("%s", describe(scratch, workdir, recover=settings.recover))
        if unheard := above.warning(environ):
            log.warning("%s", unheard)
        left = recovery.take_up(parts) if settings.recover else []
        await _tell_worker(parts, "started")
        supervisor = Supervisor(parts)
        code = await supervisor.run(left)
        await _tell_worker(parts, "finished")
    from picard_pilot.pilot.receipt import settle  # 5 ms that no start should wait for

    # The transfer worker has ended as well: nothing of this pilot should be left.
    await settle(parts)
    supervisor.costs.close()
    log.info("exit code %s", code)
    return code


async def _tell_worker(parts: Parts, status: str) -> None:
    """Harvester wants to know; nothing is sent without its ids, and nothing waits for it for long."""
    if parts.settings.harvester_id is None or parts.settings.worker_id is None:
        return
    try:
        async with asyncio.timeout(WORKER_STATUS_S):
            answer = await parts.dispatcher.worker_status(status)
    except TimeoutError:
        log.warning("the server did not note in time that the worker %s", status)
        return
    if isinstance(answer, ServerTrouble):
        log.warning("the server did not note that the worker %s: %s", status, answer.says)


def redactor_for(settings: Settings, environ: Mapping[str, str]) -> Redactor:
    """Knows the values of all variables that are secret by name or look, and of those that were named."""
    redactor = Redactor()
    for name, value in environ.items():
        if name in settings.redact or (is_secret(name, value) and not name.endswith(_PLACES)):
            redactor.register(value)
    return redactor


_PLACES = ("_FILE", "_DIR", "_ORIGIN", "_PROXY", "_CERT", "_URL", "_SERVER", "XDG_RUNTIME_DIR", "_VO")
"""Variables that say where a secret is and hold none: hiding such paths would make the log useless."""
