"""The only place that builds a pilot's parts: from settings and environment to the objects that do the work.

What the parts do together is `pilot.supervisor`.
"""

import logging
import os
import platform
import socket
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

from picard_pilot.data.worker import TransferWorker
from picard_pilot.diagnosis.faults import fault
from picard_pilot.journal.lease import Owner
from picard_pilot.lifecycle.report import Sender
from picard_pilot.model.bundle import Node
from picard_pilot.model.command import ProcessId
from picard_pilot.model.fault import Fault
from picard_pilot.model.site import Site
from picard_pilot.model.version import VERSION
from picard_pilot.panda.client import PandaClient
from picard_pilot.panda.credentials import Credential, discover
from picard_pilot.pilot import noting
from picard_pilot.pilot.access import StorageCredentials
from picard_pilot.pilot.expiry import Expiries, holders
from picard_pilot.pilot.parts import OnAttempt, Parts, nobody_listens
from picard_pilot.pilot.server_time import ServerTime
from picard_pilot.pilot.ways import Ways
from picard_pilot.plugins import loader
from picard_pilot.settings.address import server_address
from picard_pilot.settings.environment import (
    batch,
    credential_environment,
    scratch_directory,
    storage_authorities,
    storage_environment,
)
from picard_pilot.settings.settings import Settings
from picard_pilot.site.doubts import doubts
from picard_pilot.site.load import load_site, require_usable, source_for
from picard_pilot.system import disk, proc
from picard_pilot.system.clock import Clock, RealClock
from picard_pilot.system.grid_places import authorities
from picard_pilot.system.http import HttpClient
from picard_pilot.system.ledger import Ledger
from picard_pilot.system.log import Log

log = logging.getLogger("picard.wiring")

CLOSE_WAIT_S = 0.2
"""For each thread of the HTTP client that is still busy when the pilot leaves: one that is inside the TLS library
while the process ends would bring it down with SIGSEGV, and its exit code with it."""


class CannotStart(Exception):
    """The pilot cannot start; carries the fault that says why."""

    def __init__(self, found: Fault) -> None:
        """`found` has the error number from which the exit code follows."""
        super().__init__(f"{found.diag}\n  {found.next_step}")
        self.fault = found


def find_workdir(settings: Settings, environ: Mapping[str, str]) -> Path:
    """The directory to work in, made if need be. Raises CannotStart."""
    named = settings.workdir or scratch_directory(environ) or "."
    workdir = Path(named).absolute()
    try:
        str(workdir).encode()  # what is no text fits into no record of a job
        workdir.mkdir(parents=True, exist_ok=True)
        if not os.access(workdir, os.W_OK | os.X_OK):
            raise PermissionError(f"{workdir} cannot be written by this user")
    except (OSError, UnicodeEncodeError) as error:
        found = fault("MKDIR", f"there is no work directory: {error}", rule="pilot.wiring")
        raise CannotStart(found) from error
    if (why := disk.why_no_locks(workdir)) is not None:
        says = f"{workdir} has no file locks ({why}), by which a payload's launcher is known to live"
        advice = "mount it with them (Lustre: -o flock), or name another directory with --workdir"
        raise CannotStart(fault("MKDIR", f"{says}: {advice}", rule="pilot.wiring"))
    return workdir


async def build(
    settings: Settings,
    environ: Mapping[str, str],
    workdir: Path,
    pilot_log: Log,
    stack: AsyncExitStack,
    *,
    left_is_lost: str | None = None,
) -> Parts:
    """All parts of a pilot; what has to be closed at the end is put on `stack`.

    `left_is_lost` says why no later pilot would find what this one leaves, if that is so.

    Raises Trouble (SiteError, PluginError, SettingsTrouble) when one of them cannot be had.
    """
    site = _site(settings)
    experiment = loader.load("experiment", site.queue.experiment or settings.experiment)()
    clock = RealClock()
    credential = _credential(settings, environ, clock.now_utc(), pilot_log)
    ways = Ways(settings.isolation, environ, settings.required_guarantees)
    ways.require_known()
    me = proc.myself()
    host = socket.gethostname()
    node = _node(workdir, host, environ)
    http = HttpClient(
        user_agent=f"picard-pilot/{VERSION} (Python {platform.python_version()})",
        tls=credential.tls(settings.ca),
        authorise=credential.headers,
        environment=environ,
    )
    stack.callback(http.close, CLOSE_WAIT_S)
    http.warm_up()
    owner = _owner(me, host)
    server_time = ServerTime(clock)
    ledger = Ledger(noting.opened_by(owner.pilot, host, me, clock.now_utc()), workdir)
    access = _storage_access(settings, environ, clock, pilot_log)
    worker = await stack.enter_async_context(
        TransferWorker(
            log_path=workdir / "transferlog.txt",
            access=access,
            on_process=lambda pid: noting.note_worker(ledger, pid),
        )
    )
    return Parts(
        settings=settings,
        environ=environ,
        began_at=clock.monotonic() - proc.age_s(owner.start_ticks),
        workdir=workdir,
        owner=owner,
        node=node,
        site=site,
        sender=_sender(settings, environ, site, node),
        experiment=experiment,
        dispatcher=PandaClient(
            http,
            server_address(settings),
            harvester_id=settings.harvester_id,
            worker_id=settings.worker_id,
            node=host,
            on_date=server_time.heard,
        ),
        worker=worker,
        expiries=Expiries(lambda: holders(credential, access, site), renewed=settings.credentials_renewed),
        on_attempt=await _traces(settings, environ, site, clock, stack),
        clock=clock,
        log=pilot_log,
        seed=me.pid ^ me.start_ticks,
        is_alive=lambda pid, ticks: proc.is_running(ProcessId(pid=pid, start_ticks=ticks)),
        ways=ways,
        left_is_lost=left_is_lost,
        ledger=ledger,
        server_time=server_time,
    )


def _owner(me: ProcessId, host: str) -> Owner:
    """As whom this pilot holds leases."""
    return Owner(
        pilot=f"{host}-{me.pid}-{int(time.time())}",
        host=host,
        boot_id=proc.boot_id(),
        pid=me.pid,
        start_ticks=me.start_ticks,
        pid_namespace=proc.pid_namespace(),
    )


def _site(settings: Settings) -> Site:
    """The queue's facts. Raises SiteError."""
    sources = [source_for(Path(name)) for name in (*settings.storage_files, *settings.site_files)]
    site = load_site(settings.queue or "", sources)
    require_usable(site)
    for note in (*site.notes, *doubts(site)):
        log.warning("%s", note)
    return site


def _credential(settings: Settings, environ: Mapping[str, str], now: float, pilot_log: Log) -> Credential:
    credential = discover(
        credential_environment(environ, settings), euid=os.geteuid(), now=now, secret=pilot_log.hide
    )
    log.info("%s", credential.describe())
    for warning in credential.warnings:
        log.warning("%s", warning)
    return credential


def _storage_access(
    settings: Settings, environ: Mapping[str, str], clock: Clock, pilot_log: Log
) -> StorageCredentials:
    access = StorageCredentials(
        storage_environment(environ, settings),
        euid=os.geteuid(),
        ca=storage_authorities(environ, settings),
        secret=pilot_log.hide,
        now_utc=clock.now_utc,
    )
    log.info("%s", access.describe())
    return access


async def _traces(
    settings: Settings, environ: Mapping[str, str], site: Site, clock: Clock, stack: AsyncExitStack
) -> OnAttempt:
    """Who hears of each attempt of a transfer: the queue's trace service, or nobody."""
    if site.queue.trace_url is None:
        return nobody_listens
    from picard_pilot.data.traces import TraceSender

    ca_file, ca_dir = authorities(storage_authorities(environ, settings))
    sender = await stack.enter_async_context(
        TraceSender(site.queue.trace_url, ca_file=ca_file, ca_dir=ca_dir, environment=environ)
    )
    return lambda job, file, attempt: sender.attempted(job, site.queue, file, attempt, clock.now_utc())


def _node(workdir: Path, host: str, environ: Mapping[str, str]) -> Node:
    slot = batch(environ)
    return Node(
        host=host,
        cores=len(os.sched_getaffinity(0)),
        memory_mb=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        free_disk_mb=disk.free_bytes(workdir) >> 20,
        batch_system=slot.system,
        batch_id=slot.job_id,
    )


def _sender(settings: Settings, environ: Mapping[str, str], site: Site, node: Node) -> Sender:
    slot = environ.get("_CONDOR_SLOT")
    return Sender(
        site_name=site.queue.panda_resource,
        node=f"{slot}@{node.host}" if slot else node.host,
        pilot_id="|".join([environ.get("GTAG", "unknown"), node.batch_system or "local", "PR", VERSION]),
        batch_id=node.batch_id,
        scheduler_id=environ.get("PANDA_JSID") or settings.harvester_id,
    )
