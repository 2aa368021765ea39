"""What the tests of a payload's own control group do in a guest: a pilot's work on two payloads, told as JSON.

It is run by path, in a guest of `uml`; what must have come of it is said in the tests.
"""

import asyncio
import json
import os
import shlex
import signal
import sys
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).parent / "rooms"))

from pilot_kit import ToldDispatcher, parts_for
from process_kit import until_async

from picard_pilot.journal.memory import MemoryJournal
from picard_pilot.lifecycle.table import step
from picard_pilot.model import events as ev
from picard_pilot.model.job import Job
from picard_pilot.payload import jobdir
from picard_pilot.pilot.hooking import Hooks
from picard_pilot.pilot.parts import Parts
from picard_pilot.pilot.payloads import Payloads
from picard_pilot.pilot.watching import Watching
from picard_pilot.pilot.work import JobWork
from picard_pilot.system import proc
from picard_pilot.system.clock import RealClock
from picard_pilot.testing.clock import VirtualClock

HIDDEN_DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.closerange(0, 100)
        os.execve(sys.executable, [sys.executable, "-I", "-S", "-c", "import time; time.sleep(3600)"], {})
    os._exit(0)
os.wait()
"""
"""Gives up its parents, its output and its environment: only a control group still knows whose it is."""
GREEDY = HIDDEN_DAEMON + "data = bytearray(230 << 20)"
WAITING = HIDDEN_DAEMON + "open('ready', 'w').close(); time.sleep(3600)"


def job_in(parts: Parts, number: int, program: str) -> JobWork:
    """A job that is about to be launched."""
    script = parts.workdir / f"payload-{number}.py"
    script.write_text(program)
    words = f"-I -S {shlex.quote(str(script))}"
    journal = MemoryJournal("p1", parts.clock.now_utc)
    job = Job(job_id=number, attempt_nr=1, transformation=sys.executable, parameters=words)
    received = ev.JobReceived(job=job, queue="Q")
    case, _ = step(None, received, journal.append(received).at)
    work = JobWork(case, jobdir.make(parts.workdir, number, 1), journal)
    work.record(ev.Admitted())
    work.record(ev.Prepared())
    work.watching = Watching(parts, work, lambda *_: None)
    return work


async def launched(payloads: Payloads, work: JobWork) -> str:
    """Launch the payload; its control group."""
    event = await payloads.launch(work)
    assert isinstance(event, ev.PayloadStarted), event
    work.record(event)
    assert work.confined is not None and work.confined.group is not None, work.confined
    return work.confined.group


async def greedy(payloads: Payloads, parts: Parts) -> dict[str, object]:
    """A payload that takes more memory than the slot has, with a daemon beside it."""
    work = job_in(parts, 1, GREEDY)
    group = await launched(payloads, work)
    limit = Path(group, "memory.max").read_text().strip()
    ended = await payloads.watch(work)
    assert isinstance(ended, ev.PayloadExited), ended
    work.record(ended)
    diagnosed = await payloads.diagnose(work)
    assert isinstance(diagnosed, ev.Diagnosed)
    first = diagnosed.faults[0]
    return {
        "signal": ended.exit.signal,
        "limit": int(limit),
        "fault": first.name,
        "evidence": [one.text for one in first.evidence],
        "group": group,
        "left": Path(group).exists(),
        "daemon": daemons(),
    }


async def lost(payloads: Payloads, parts: Parts) -> dict[str, object]:
    """A payload whose launcher is killed with -9."""
    work = job_in(parts, 2, WAITING)
    group = await launched(payloads, work)
    await until_async(Path(work.bundle.directory, "ready").exists, "the payload runs")
    await until_async(lambda: daemons() > 0, "its daemon has become the program that it hides in")
    before = daemons()
    assert work.launcher is not None
    proc.send_signal(work.launcher, signal.SIGKILL)
    ended = await payloads.watch(work)
    return {
        "event": type(ended).__name__,
        "before": before,
        "daemon": daemons(),
        "left": Path(group).exists(),
    }


def daemons() -> int:
    """How many daemons sleep."""
    count = 0
    for pid in proc.all_pids():
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        count += b"import time; time.sleep(3600)" in words
    return count


async def main() -> None:
    """Run both, and tell."""
    workdir = Path("/tmp/work")
    workdir.mkdir()
    clock = VirtualClock()
    parts = parts_for(clock, ToldDispatcher(clock), workdir)
    parts = msgspec.structs.replace(parts, clock=RealClock(), environ=dict(os.environ))
    payloads = Payloads(parts, Hooks(parts, lambda: None))
    told = {"greedy": await greedy(payloads, parts), "lost": await lost(payloads, parts)}
    node = await parts.ways.known()
    print(json.dumps(told | {"rungs": list(node.ladder.rungs), "says": node.says()}))


asyncio.run(main())
