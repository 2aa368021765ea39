"""What is noted in the pilot's ledger while jobs run, and removed as soon as a payload is over.

What is left is dealt with at the pilot's end, in `pilot.receipt`.
"""

import logging
from pathlib import Path

from picard_pilot.model.bundle import Bundle
from picard_pilot.model.command import ProcessId
from picard_pilot.model.ledger import ControlGroup, Directory, Mount, Opened, ProcessTree
from picard_pilot.system import mark, proc
from picard_pilot.system.ledger import Ledger

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


async def tidy_after_payload(ledger: Ledger, bundle: Bundle, launch_directory: Path, job_id: int) -> None:
    """A payload is over: note what it made elsewhere, and remove what is surely its own. May be called again.

    At once, since shared memory takes the node's memory while the outputs are stored.
    """
    from picard_pilot.system import strays  # 4 ms that only a job needs

    users, removed = strays.Users(), 0
    for thing in strays.seen_of(launch_directory, job_id):
        ledger.note(thing)
        if not thing.sure or not strays.is_there(thing):
            continue
        if (why := strays.remove(thing, users)) is None:
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
