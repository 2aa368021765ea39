"""Confining one job's payload: before its launch, when it is stopped, after its end, when its directory is removed.

How it is confined is written down before the launch, so that a later pilot deals with it in the same way. Which way
a job gets is `pilot.ways`; the ways are `isolation`; starting and finding payloads is `payload.launcher`.
"""

import asyncio
import logging
import os
import shlex
import signal
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec

from picard_pilot.diagnosis.faults import fault
from picard_pilot.model.bundle import Bundle
from picard_pilot.model.command import PayloadExit, ProcessId
from picard_pilot.model.fault import Fault
from picard_pilot.model.isolation import (
    CannotConfine,
    Chosen,
    Confined,
    ConfineRequest,
    Guarantee,
    NotIsolated,
    Rung,
    Wrapped,
)
from picard_pilot.model.ledger import ControlGroup
from picard_pilot.model.policy import Container, CredentialNeeds
from picard_pilot.model.states import Phase
from picard_pilot.payload import launcher
from picard_pilot.payload.launch import LaunchHandle, LaunchSpec
from picard_pilot.pilot import notice
from picard_pilot.pilot.parts import Parts
from picard_pilot.pilot.unseen import to_hide, to_show
from picard_pilot.pilot.waiting import first_of
from picard_pilot.pilot.ways import refused
from picard_pilot.pilot.work import JobWork
from picard_pilot.plugins.loader import PluginError
from picard_pilot.system import cgroup, proc
from picard_pilot.system.files import read_regular, write_durably
from picard_pilot.system.logs import last_lines
from picard_pilot.watch import cgroups

if TYPE_CHECKING:
    from picard_pilot.isolation.base import IdentitySwitch, Isolation

log = logging.getLogger("picard.isolation")

RECORD = "confined.json"
"""In the job's private directory."""
SCRATCH = "isolation"
"""The same: what a way to confine needs for this launch, the payload's own /tmp for instance."""
PILOTS_SHARE_BYTES = 200_000_000
"""What pilot, transfer worker and launcher need of the slot's memory: 40, 35 and 10 MB, and a log archive on its way.
So much less a payload gets, or a quarter less of a small slot: then the kernel ends the payload, and not the slot."""
SMALL_SLOTS_SHARE = 4
STDERR_LINES = 20
"""Of the payload's last words, in which a way to confine may have said that it could not start it."""


AGAIN_S = 1.0
"""Between two signals of force, unless all has ended: a payload may start processes faster than one look sees."""
_KILL_MARKED = """
for each in /proc/[0-9]*; do
    tr '\\0' '\\n' <"$each/environ" 2>/dev/null | grep -qxF -e "$0" && kill -9 "${each#/proc/}"
done
"""
"""Run as the payload's user: ends every process with this variable, which only one job's have."""


class NotConfined(Exception):
    """The payload cannot be confined as it must be; carries the fault. Nothing was started."""

    def __init__(self, found: Fault) -> None:
        super().__init__(found.diag)
        self.fault = found


class Confining:
    """What one pilot does about the confinement of its jobs' payloads."""

    def __init__(self, parts: Parts) -> None:
        """`parts` has the ways."""
        self._parts = parts
        self._kill_at: dict[int, float] = {}
        """When the grace of another user's payload is over, by job, on the monotonic clock."""
        self._asking: dict[int, asyncio.Task[None]] = {}
        """The one SIGTERM for another user's payload, under way or done, by job."""

    # Before the launch

    async def choose(
        self, container: Container | None, failed: Mapping[str, str] = MappingProxyType({})
    ) -> Chosen:
        """The way for a job with this container; not one of `failed`, which have said why. Raises NotConfined."""
        queue = self._parts.site.queue
        found = await self._parts.ways.choose(queue, container.image if container else None, failed)
        if isinstance(found, NotIsolated):
            why = refused(found, self._parts.ways.required(queue), queue)
            log.error("%s; next: %s", why.diag, why.next_step)
            raise NotConfined(why)
        return found

    async def confine(
        self, work: JobWork, spec: LaunchSpec, container: Container | None, needs: CredentialNeeds
    ) -> LaunchSpec:
        """The launch of the payload as it has to be confined, its control group made. Raises NotConfined, OSError.

        Where one way cannot confine this very job, the next that gives all that is required is taken.
        """
        await self._remove_group(work)  # of a pilot that died just before it launched
        await self._parts.ways.known()  # which also says where groups can be made
        group = self._group_for(work)
        failed: dict[str, str] = {}
        while True:
            chosen = await self.choose(container, failed)
            try:
                confined, wrapped, guarantees = await self._by(chosen, work, spec, container, needs, group)
                break
            except CannotConfine as why:
                failed[chosen.provider] = f"the payload cannot be confined: {why}"
                log.warning("job %s: by %s %s", work.job_id, chosen.provider, failed[chosen.provider])
        if group is not None:
            confined = self._make_group(work, confined, group)
        log.info("job %s: its payload is confined by %s", work.job_id, chosen.says)
        return msgspec.structs.replace(
            spec,
            argv=wrapped.argv,
            env=wrapped.environment,
            own_process_space=Guarantee.OWN_PROCESS_SPACE in guarantees,
            other_user=wrapped.user,
            cgroup=confined.group,
        )

    async def _by(
        self,
        chosen: Chosen,
        work: JobWork,
        spec: LaunchSpec,
        container: Container | None,
        needs: CredentialNeeds,
        group: Path | None,
    ) -> tuple[Confined, Wrapped, frozenset[Guarantee]]:
        """Confine by this way, which is written down before. Raises CannotConfine, NotConfined, OSError."""
        way, guarantees = await self._ready(chosen)
        confined = Confined(
            way=self._parts.ways.place_of(chosen.provider),
            says=chosen.says,
            switches_identity=way.switches_identity,
            group=None if group is None else str(group),
        )
        _write(work.bundle, confined)
        work.confined = confined
        request = self._request(work, spec, container, needs, confines=bool(guarantees))
        return confined, _wrapped(way, request), guarantees

    async def _ready(self, chosen: Chosen) -> tuple["Isolation", frozenset[Guarantee]]:
        """The chosen way, with what it gives. One that switches identity is tried anew: its proxy or rule may be
        another by now. Raises CannotConfine."""
        ways = self._parts.ways
        way = ways.load(ways.place_of(chosen.provider))
        node = await ways.known()
        probed = next(each for each in node.probed if each.name == chosen.provider)
        if way.switches_identity:
            probed = await way.probe()
            if not ways.required(self._parts.site.queue) <= probed.guarantees:
                raise CannotConfine(f"{chosen.provider} does not work any more: {probed.says}")
        return way, probed.guarantees

    def _request(
        self,
        work: JobWork,
        spec: LaunchSpec,
        container: Container | None,
        needs: CredentialNeeds,
        *,
        confines: bool,
    ) -> ConfineRequest:
        bundle, parts = work.bundle, self._parts
        scratch = Path(bundle.private, SCRATCH)
        scratch.mkdir(mode=0o700, exist_ok=True)
        environment = dict(spec.env)
        hidden = to_hide(parts, bundle)
        if confines and environment.get("HOME") == parts.environ.get("HOME") in hidden:
            environment["HOME"] = bundle.directory  # the pilot's is out of sight
        options: tuple[str, ...] = ()
        if container is not None:
            try:
                options = (*shlex.split(parts.site.queue.container_options or ""), *container.options)
            except ValueError as error:
                raise NotConfined(_cannot(f"the queue's container_options are no words: {error}")) from None
        return ConfineRequest(
            argv=spec.argv,
            cwd=spec.cwd,
            environment=environment,
            job_directory=bundle.directory,
            scratch=str(scratch),
            read_only=to_show(parts, work, needs),
            hidden=hidden,
            image=container.image if container else None,
            image_options=options,
        )

    # Its control group

    def _group_for(self, work: JobWork) -> Path | None:
        """Where the payload's group will be: a name that no other launch on this node has."""
        node = self._parts.ways.found
        if node is None or isinstance(node.place, cgroup.NoPlace) or Rung.CGROUP not in node.ladder.rungs:
            return None
        return node.place.path / f"picard-{work.job_id}-{os.urandom(6).hex()}"

    def _make_group(self, work: JobWork, confined: Confined, path: Path) -> Confined:
        """Make it and limit its memory to a little less than the slot's; without it where that fails."""
        node = self._parts.ways.found
        assert node is not None and isinstance(node.place, cgroup.Place)
        try:
            group = cgroup.make(node.place, path.name)
        except OSError as error:
            log.warning("job %s: no control group of its own: %s", work.job_id, error)
            work.confined = msgspec.structs.replace(confined, group=None)
            return work.confined
        account = cgroups.read(node.place.path)
        if account is not None and account.limit_bytes is not None:
            slot_bytes = account.limit_bytes
            limit_bytes = slot_bytes - min(PILOTS_SHARE_BYTES, slot_bytes // SMALL_SLOTS_SHARE)
            done = cgroup.limit(group, memory_bytes=limit_bytes)
            log.info("job %s: limited in %s: %s", work.job_id, path, ", ".join(done) or "nothing")
        return confined

    async def _remove_group(self, work: JobWork) -> None:
        """Remove the payload's group once all in it have ended, as they must; its last account is taken before."""
        from picard_pilot.system import strays  # 4 ms that only a payload's end needs

        confined = self.of(work)
        if confined is None or confined.group is None:
            return
        group = Path(confined.group)
        if work.watching is not None:
            work.watching.group_ends(group)
        if (why := await strays.end_group(ControlGroup(path=str(group)))) is not None:
            log.warning("job %s: the control group %s cannot be removed: %s", work.job_id, group, why)

    # While it runs, and after

    def of(self, work: JobWork) -> Confined | None:
        """How the job's payload is confined, by whichever pilot; None where none was launched."""
        if work.confined is None:
            work.confined = _read(work.bundle)
        return work.confined

    def started(self, work: JobWork) -> None:
        """The payload runs, whoever started it: from here on its own group is looked at."""
        confined = self.of(work)
        if confined is not None and confined.group is not None and work.watching is not None:
            work.watching.payload_is_in(Path(confined.group))

    async def stop(self, work: JobWork, handle: LaunchHandle, grace_s: float) -> None:
        """Signal another user's payload, which its launcher leaves to us: politely, after the grace with force.

        Returns when the launcher has ended, at once where nothing is another user's. As with the launcher, a second
        call can only shorten the grace, and asks nobody again.
        """
        switch = self.switch_of(work)
        if switch is None:
            return
        known = proc.descendants(handle.launcher.pid) if proc.is_running(handle.launcher) else []
        clock = self._parts.clock
        kill_at = clock.monotonic() + grace_s
        if (before := self._kill_at.get(work.job_id)) is None:
            self._kill_at[work.job_id] = kill_at
            self._asking[work.job_id] = asyncio.create_task(self._signal(work, switch, known, signal.SIGTERM))
        else:
            kill_at = self._kill_at[work.job_id] = min(before, kill_at)
        await asyncio.shield(self._asking[work.job_id])  # which a second stop must not take back
        await first_of(launcher.wait(handle), clock.sleep(max(0.0, kill_at - clock.monotonic())))
        while proc.is_running(handle.launcher):
            known = list({*known, *proc.descendants(handle.launcher.pid)})
            await self._signal(work, switch, known, signal.SIGKILL)
            await first_of(launcher.wait(handle), clock.sleep(AGAIN_S))
        await self._signal(work, switch, known, signal.SIGKILL)

    async def _signal(
        self, work: JobWork, switch: "IdentitySwitch", processes: list[ProcessId], number: signal.Signals
    ) -> None:
        try:
            done = await switch.signal(processes, number)
        except CannotConfine as error:
            log.error("job %s: its payload cannot be signalled: %s", work.job_id, error)
            return
        if done is not None and not done.ok:
            log.debug("job %s: %s: %s", work.job_id, number.name, done.stderr_tail.strip())

    def kill_group(self, work: JobWork) -> None:
        """Of a payload that is lost: kill all that is in its group, which nobody else is in."""
        confined = self.of(work)
        if confined is not None and confined.group is not None and cgroup.kill(Path(confined.group)):
            log.warning("job %s: all in its control group %s is killed", work.job_id, confined.group)

    async def ended(self, work: JobWork, *, leftovers: bool) -> None:
        """The payload is over: its group goes, another user's processes are ended where there may be any, and what
        that user closed is opened."""
        await self._remove_group(work)
        if (asked := self._asking.pop(work.job_id, None)) is not None:
            await asked
        switch = self.switch_of(work)
        if switch is None:
            return
        try:
            if leftovers:
                mark = f"{notice.VARIABLE}={notice.path_of(work.bundle)}"
                await switch.run(("/bin/sh", "-c", _KILL_MARKED, mark))
            await switch.chmod("u+rwX,g+rwX", work.bundle.directory)
        except CannotConfine as error:
            log.error("job %s: what its payload closed stays closed: %s", work.job_id, error)

    def faults(self, work: JobWork, ended: PayloadExit) -> tuple[Fault, ...]:
        """Why the payload was not even started in its confinement, if that is how it ended."""
        way, redactor = self._way(work), self._parts.log.redactor
        if way is None or ended.exit_code is None:
            return ()
        why = way.fault(ended.exit_code, "\n".join(last_lines(work.bundle.stderr, STDERR_LINES, redactor)))
        if why is None:
            return ()
        found = fault(why.error, why.says, rule=f"isolation.{way.name}", phase=Phase.RUNNING)
        return (msgspec.structs.replace(found, next_step=why.next_step),)

    def signal_of(self, work: JobWork, ended: PayloadExit) -> int | None:
        """The signal that an exit code may stand for, where a way to confine shows it so."""
        way = None if ended.exit_code is None else self._way(work)
        return None if way is None or ended.exit_code is None else way.signal_of(ended.exit_code)

    async def remove(self, work: JobWork) -> None:
        """Remove what another user left in the job's directory, before the directory itself is removed."""
        switch = self.switch_of(work)
        if switch is None:
            return
        try:
            await switch.remove(work.bundle.directory)
        except CannotConfine as error:
            log.warning("job %s: what its payload left may stay: %s", work.job_id, error)

    def _way(self, work: JobWork) -> "Isolation | None":
        confined = self.of(work)
        if confined is None:
            return None
        try:
            return self._parts.ways.load(confined.way)
        except PluginError as error:
            log.error("job %s: its payload was confined by %s: %s", work.job_id, confined.way, error)
            return None

    def switch_of(self, work: JobWork) -> "IdentitySwitch | None":
        """The way to another user's files and processes; None where the payload is the pilot's own user's."""
        confined = self.of(work)
        if confined is None or not confined.switches_identity:
            return None
        from picard_pilot.isolation.base import IdentitySwitch

        way = self._way(work)
        return way if isinstance(way, IdentitySwitch) else None


def _wrapped(way: "Isolation", request: ConfineRequest) -> Wrapped:
    """This is the plug-in border. Raises CannotConfine."""
    try:
        return way.wrap(request)
    except CannotConfine:
        raise
    except OSError as error:
        raise CannotConfine(str(error)) from error
    except Exception as error:
        why = f"{way.name} failed: {type(error).__name__}: {error}".splitlines()[0]
        raise CannotConfine(why) from error


def _cannot(why: str) -> Fault:
    return fault(
        "SETUPFAILURE", f"the payload cannot be confined: {why}", rule="isolation.wrap", phase=Phase.RUNNING
    )


def _write(bundle: Bundle, confined: Confined) -> None:
    write_durably(Path(bundle.private, RECORD), msgspec.json.encode(confined) + b"\n")


def _read(bundle: Bundle) -> Confined | None:
    try:
        return msgspec.json.decode(read_regular(Path(bundle.private, RECORD)), type=Confined)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        log.error("how the payload in %s is confined cannot be read: %s", bundle.directory, error)
        return None
