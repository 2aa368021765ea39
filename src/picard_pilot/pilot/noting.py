"""What is noted in the pilot's ledger while jobs run, and removed as soon as a payload is over.

What is left is dealt with at the pilot's end, in `pilot.receipt`.
"""

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from picard_pilot.model.bundle import Bundle
from picard_pilot.model.command import ProcessId
from picard_pilot.model.isolation import CannotConfine
from picard_pilot.model.ledger import (
    ControlGroup,
    Directory,
    File,
    MessageQueue,
    Mount,
    Opened,
    ProcessTree,
    Segment,
    Semaphores,
)
from picard_pilot.system import mark, proc
from picard_pilot.system.ledger import Ledger

if TYPE_CHECKING:
    from picard_pilot.isolation.base import IdentitySwitch

log = logging.getLogger("picard.ledger")


def opened_by(pilot: str, host: str, me: ProcessId, now: float) -> Opened:
    """The first line of this pilot's ledger."""
    return Opened(
        pilot=pilot,
        host=host,
        boot_id=proc.boot_id(),
        pid=me.pid,
        start_ticks=me.start_ticks,
        pid_namespace=proc.pid_namespace(),
        at=now,
    )


def note_worker(ledger: Ledger, pid: int) -> None:
    """A transfer worker was started; the programs that it runs have its mark."""
    worker = proc.identify(pid)
    if worker is not None:
        marks = tuple(f"{name}={value}" for name, value in mark.of(worker).items())
        ledger.note(ProcessTree(what="transfer worker", root=worker, marks=marks))


def note_directory(ledger: Ledger, bundle: Bundle, job_id: int) -> None:
    """A job's directory was made, or taken over."""
    try:
        status = Path(bundle.directory).stat()
    except OSError:
        return
    ledger.note(Directory(path=bundle.directory, device=status.st_dev, inode=status.st_ino, job_id=job_id))


def note_payload(
    ledger: Ledger, job_id: int, main: ProcessId, launcher: ProcessId, launch_mark: str, group: str | None
) -> None:
    """A payload was started, by this pilot or an earlier one; with its control group, where it has one."""
    ledger.note(
        ProcessTree(
            what=f"payload of job {job_id}", root=main, launcher=launcher, marks=(launch_mark,), job_id=job_id
        )
    )
    if group is not None:
        ledger.note(ControlGroup(path=group, job_id=job_id))


async def tidy_after_payload(
    ledger: Ledger,
    bundle: Bundle,
    launch_directory: Path,
    job_id: int,
    switch: "IdentitySwitch | None" = None,
) -> None:
    """A payload is over: note what it made elsewhere, and remove what is surely its own. May be called again.

    At once, since shared memory takes the node's memory while the outputs are stored. `switch` leads to another user's.
    """
    from picard_pilot.system import strays  # 4 ms that only a job needs

    users, removed = strays.Users(), 0
    for thing in strays.seen_of(launch_directory, job_id):
        ledger.note(thing)
        if isinstance(thing, Semaphores | MessageQueue) or not thing.sure or not strays.is_there(thing):
            continue
        why = strays.remove(thing, users)
        if why is not None and switch is not None:
            why = await _remove_as(switch, thing)
        if why is None:
            ledger.removed[thing] = "it was removed when the payload was over"
            removed += 1
        else:
            log.warning("job %s: %s, which its payload made, stays: %s", job_id, thing.says, why)
    for path in strays.mounts_below(bundle.directory):
        mount = Mount(path=path, job_id=job_id)
        ledger.note(mount)
        if await strays.unmount(path) is None:
            ledger.removed[mount] = "it was unmounted when the payload was over"
            removed += 1
    if removed:
        log.info("job %s: %d things that its payload left behind are removed", job_id, removed)


async def _remove_as(switch: "IdentitySwitch", thing: Segment | File) -> str | None:
    """Remove shared memory or a file through the switch, as far as it is the other user's; why not, or None."""
    from picard_pilot.system import strays

    try:
        if isinstance(thing, Segment):
            done = await switch.run(("ipcrm", "-m", str(thing.number)))
        else:
            done = await switch.run(("rm", "-f", "--", os.fsdecode(bytes.fromhex(thing.path))))
    except CannotConfine as error:
        return str(error)
    return None if not strays.is_there(thing) else f"it cannot be removed: {done.stderr_tail.strip()}"
