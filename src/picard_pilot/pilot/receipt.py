"""The end of a pilot: all that it and its jobs made is looked for, what is left is removed, and the receipt written.

So is what earlier pilots made that were killed before they could. How things are found and removed is `system.strays`;
what is noted while jobs run, `pilot.noting`.
"""

import logging
import os
from pathlib import Path

import msgspec

from picard_pilot.journal import file as journal_file
from picard_pilot.journal import lease
from picard_pilot.lifecycle.fold import fold
from picard_pilot.lifecycle.table import NoSuchTransition
from picard_pilot.model.ledger import (
    ControlGroup,
    Directory,
    Entry,
    File,
    MessageQueue,
    Mount,
    Opened,
    ProcessTree,
    Receipt,
    Semaphores,
    Thing,
    Traces,
    kind_of,
)
from picard_pilot.payload import jobdir
from picard_pilot.pilot.parts import Parts
from picard_pilot.system import ledger, strays
from picard_pilot.system.disk import is_full_error

log = logging.getLogger("picard.ledger")

ENTRIES = 100
"""So many doubtful things are named: a busy node's /tmp is nobody's receipt."""


class _Kept(msgspec.Struct, frozen=True):
    """Why a job's directory stays, and whether its payload may run on.

    `elsewhere`: another pilot has it; `unknown`: nobody can say what it is, so that somebody has to look.
    """

    why: str
    payload: bool = True
    elsewhere: bool = False
    unknown: bool = False


async def settle(parts: Parts) -> Receipt:
    """Verify that all is gone, remove what is not, and write the receipt. Called once, when nothing runs any more."""
    left = list(ledger.left_in(parts.workdir, lambda opened: _may_judge(opened, parts)))
    checks = [_Check(parts, parts.ledger.opened, dict(parts.ledger.removed))]
    await checks[0].all(parts.ledger.things)
    for each in left:
        check = _Check(parts, each.opened, {})
        await check.all(each.things)
        checks.append(check)
    receipt = _receipt(parts, checks)
    _write(parts, receipt)
    for each, check in zip(left, checks[1:], strict=True):
        each.close(settled=check.settled)
    parts.ledger.close(settled=checks[0].settled)
    _tell(receipt)
    return receipt


def _may_judge(opened: Opened, parts: Parts) -> bool:
    """What is left of a pilot is seen on its own host and in its own process space alone, or when that is rebooted.
    Whether the pilot lives, its ledger's lock has told."""
    me = parts.ledger.opened
    if opened.host != me.host:
        return False
    return opened.boot_id != me.boot_id or opened.pid_namespace == me.pid_namespace


class _Check:
    """What was made by one pilot, looked at one by one."""

    def __init__(self, parts: Parts, opened: Opened, removed: dict[Thing, str]) -> None:
        me = parts.ledger.opened
        self._parts = parts
        self.opened = opened
        self._same_boot = opened.boot_id == me.boot_id
        self._is_mine = opened is me
        self._noted = removed
        self._users = strays.Users()
        self._by_mark = strays.marked()
        self._kept: dict[int, _Kept] = {}
        self.gone: dict[str, int] = {}
        self.removed: list[Entry] = []
        self.kept: list[Entry] = []
        self.remains: list[Entry] = []
        self.doubtful: list[Entry] = []

    @property
    def settled(self) -> bool:
        """Whether a later pilot has nothing to do about it."""
        return not self.kept and not self.remains

    async def all(self, things: tuple[Thing, ...]) -> None:
        """Processes first, since they may make more; then what holds a directory; the directories last."""
        directories = [thing for thing in things if isinstance(thing, Directory)]
        for directory in directories:
            if directory.job_id is not None and (kept := self._why_kept(directory)) is not None:
                self._kept[directory.job_id] = kept
        things = tuple(dict.fromkeys((*things, *self._seen(directories))))
        self._trees = [thing for thing in things if isinstance(thing, ProcessTree)]
        for tree in self._trees:
            await self._processes(tree)
        if self._is_mine:
            await self._children()
        for directory in directories:
            await self._mounts(directory)
        for thing in things:
            if isinstance(thing, Traces):
                self._thing(thing)
            elif isinstance(thing, ControlGroup):
                await self._group(thing)
            elif isinstance(thing, Mount) and not strays.is_there(thing):
                self._is_gone(thing)
        for directory in directories:
            self._directory(directory)

    def _seen(self, directories: list[Directory]) -> list[Thing]:
        """What launchers wrote down that nobody has read: of a payload that moved its directory, for instance."""
        found: list[Thing] = []
        for directory in directories:
            path = _find(directory)
            if path is not None and directory.job_id is not None and directory.job_id not in self._kept:
                private = Path(jobdir.bundle_of(path).private)
                found += strays.seen_of(private / jobdir.LAUNCH_DIRECTORY, directory.job_id)
        return found

    def _why_kept(self, directory: Directory) -> _Kept | None:
        """Why the directory stays; None where it should be gone, or is.

        Only what this pilot has brought to its end itself is its to remove. All else belongs to whoever takes it up,
        who may be about it right now.
        """
        parts, path = self._parts, _find(directory)
        if path is None or (self._may_remove(directory) and parts.settings.cleanup):
            return None
        private = Path(jobdir.bundle_of(path).private)
        try:
            records = journal_file.read(private / journal_file.NAME)
            held = lease.holder(private, parts.owner, parts.job_time(), parts.is_alive)
            case = fold((record.event, record.at) for record in records)
        except FileNotFoundError:
            return None if _is_bare(path) else _Kept("it has no journal", unknown=True)
        except (OSError, journal_file.JournalDamaged, NoSuchTransition) as error:
            return _Kept(f"its journal cannot be followed: {error}", unknown=True)
        if held is not None:
            return _Kept(f"pilot {held.owner.pilot} works on it", elsewhere=True)
        if case is None:
            return _Kept("its journal is empty", unknown=True)
        if not case.over:
            return _Kept(f"it waits for a later pilot, in state {case.state}")
        if parts.settings.cleanup:
            return _Kept("its job is over, and the pilot that takes it up removes it", payload=False)
        return _Kept("it was to be kept (--no-cleanup)", payload=False)

    def _may_remove(self, directory: Directory) -> bool:
        return self._is_mine and directory.job_id in self._parts.ledger.over

    async def _processes(self, tree: ProcessTree) -> None:
        kept = None if tree.job_id is None else self._kept.get(tree.job_id)
        alive = strays.living(tree, self._by_mark) if self._same_boot else []
        if alive and kept is not None and kept.payload:
            self._stays(tree, kept)
            return
        if alive:
            log.warning("%s: %d processes of it live on; they are ended", tree.says, len(alive))
            killed, withstand = await strays.end(tree)
            if withstand:
                self.remains.append(_entry(tree, f"{withstand} of its processes cannot be killed"))
                return
            self.removed.append(_entry(tree, f"{killed} processes were killed"))
        self._is_gone(tree)

    async def _mounts(self, directory: Directory) -> None:
        if directory.job_id in self._kept or not self._same_boot:
            return
        for path in strays.mounts_below(directory.path):
            mount = Mount(path=path, job_id=directory.job_id)
            if (why := await strays.unmount(path)) is not None:
                self.remains.append(_entry(mount, why))
                continue
            self.removed.append(_entry(mount, "it was unmounted"))
            self._is_gone(mount)

    async def _children(self) -> None:
        """What else this pilot started: a hook of the experiment, for instance, that did not wait for its program."""
        noted = {tree.root.pid for tree in self._trees} | {
            tree.launcher.pid for tree in self._trees if tree.launcher is not None
        }
        for tree in strays.children():
            if tree.root.pid not in noted:
                await self._processes(tree)

    async def _group(self, group: ControlGroup) -> None:
        kept = None if group.job_id is None else self._kept.get(group.job_id)
        if self._same_boot and strays.is_there(group):
            if kept is not None and kept.payload:
                self._stays(group, kept)
                return
            if (why := await strays.end_group(group)) is not None:
                self.remains.append(_entry(group, why))
                return
            self.removed.append(_entry(group, "it was removed"))
        self._is_gone(group)

    def _thing(self, thing: Traces) -> None:
        """What a payload may have made elsewhere; of another boot only files can be left."""
        there = strays.is_there(thing) and (self._same_boot or isinstance(thing, File))
        if isinstance(thing, Semaphores | MessageQueue) or not thing.sure:
            if there and strays.may_be_ours(thing, self._users) and len(self.doubtful) < ENTRIES:
                self.doubtful.append(
                    _entry(thing, "it appeared beside the payload; nobody knows whose it is")
                )
            return
        if there:
            if (why := strays.remove(thing, self._users)) is not None:
                self.remains.append(_entry(thing, why))
                return
            self.removed.append(_entry(thing, "it was removed"))
        self._is_gone(thing)

    def _directory(self, directory: Directory) -> None:
        if (found := _find(directory)) is None:
            self._is_gone(directory)
            return
        kept = None if directory.job_id is None else self._kept.get(directory.job_id)
        if kept is not None:
            self._stays(directory, kept)
            return
        if self._may_remove(directory):
            problems = jobdir.remove(jobdir.bundle_of(found), last=journal_file.NAME)
        else:
            problems = _remove_bare(found)
        if problems:
            self.remains.append(_entry(directory, "; ".join(problems[:3])))
            return
        self.removed.append(_entry(directory, f"it was removed from {found}"))
        self._is_gone(directory)

    def _stays(self, thing: Thing, kept: _Kept) -> None:
        if kept.unknown:
            self.remains.append(_entry(thing, kept.why))
        elif not kept.elsewhere:
            self.kept.append(_entry(thing, kept.why))

    def _is_gone(self, thing: Thing) -> None:
        kind = kind_of(thing)
        self.gone[kind] = self.gone.get(kind, 0) + 1
        if (what := self._noted.get(thing)) is not None:
            self.removed.append(_entry(thing, what))


def _find(directory: Directory) -> Path | None:
    """Where the directory is: a payload may have moved it within the work directory. None: nowhere to be found."""
    path = Path(directory.path)
    try:
        if _is(path, directory):
            return path
        with os.scandir(path.parent) as entries:
            candidates = [Path(entry.path) for entry in entries if entry.inode() == directory.inode]
    except OSError:
        return None  # the work directory itself is gone
    return next((candidate for candidate in candidates if _is(candidate, directory)), None)


def _is(path: Path, directory: Directory) -> bool:
    try:
        status = path.lstat()
    except OSError:
        return False
    return (status.st_dev, status.st_ino) == (directory.device, directory.inode) and path.is_dir()


def _is_bare(path: Path) -> bool:
    """Whether a removal was interrupted at its very end: nothing is left but what the journal was in."""
    try:
        names = [*path.iterdir(), *Path(jobdir.bundle_of(path).private).glob("*")]
    except OSError:
        return False  # it is not a directory, or gone by now
    return [each.name for each in names] in ([], [jobdir.PRIVATE])


def _remove_bare(path: Path) -> list[str]:
    """Remove what `_is_bare`; another pilot may do so at the same time."""
    for each in (Path(jobdir.bundle_of(path).private), path):
        try:
            each.rmdir()
        except FileNotFoundError:
            continue
        except OSError as error:
            return [f"{each}: {error.strerror}"]
    return []


def _entry(thing: Thing, why: str) -> Entry:
    return Entry(kind=kind_of(thing), says=thing.says, job_id=thing.job_id, why=why)


def _receipt(parts: Parts, checks: list[_Check]) -> Receipt:
    gone: dict[str, int] = {}
    for check in checks:
        for kind, number in check.gone.items():
            gone[kind] = gone.get(kind, 0) + number
    return Receipt(
        pilot=parts.owner.pilot,
        covers=tuple(check.opened.pilot for check in checks[1:]),
        host=parts.owner.host,
        at=parts.clock.now_utc(),
        gone=gone,
        removed=tuple(entry for check in checks for entry in check.removed),
        kept=tuple(entry for check in checks for entry in check.kept),
        remains=tuple(entry for check in checks for entry in check.remains),
        doubtful=tuple(dict.fromkeys(entry for check in checks for entry in check.doubtful)),
    )


def _write(parts: Parts, receipt: Receipt) -> None:
    try:
        ledger.write_receipt(parts.workdir, receipt)
    except OSError as error:
        level = logging.WARNING if is_full_error(error) else logging.ERROR
        log.log(level, "the receipt cannot be written: %s", error)


def _tell(receipt: Receipt) -> None:
    log.log(logging.INFO if receipt.clean else logging.WARNING, "%s", receipt.says)
    for word, entries in (("remains", receipt.remains), ("kept", receipt.kept)):
        for entry in entries:
            job = "" if entry.job_id is None else f"job {entry.job_id}: "
            level = logging.WARNING if word == "remains" else logging.INFO
            log.log(level, "%s%s %s: %s", job, entry.says, word, entry.why)
