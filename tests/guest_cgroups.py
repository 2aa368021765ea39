"""What the tests of control groups do in a guest: one pilot's work on its groups, told as JSON.

It is run by path, in a guest of `uml`; what must have come of it is said in the tests.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

from picard_pilot.payload import launcher
from picard_pilot.payload.launch import Exited, LaunchSpec
from picard_pilot.system import cgroup

MEMORY_BYTES = 60 << 20
GREEDY = "data = bytearray(200 << 20)"
DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.closerange(0, 100)
        os.execve(sys.executable, [sys.executable, "-I", "-S", "-c", "import time; time.sleep(3600)"], {})
    os._exit(0)
os.wait()
"""


async def payload(program: str, group: Path, place: Path) -> dict[str, object]:
    """Run a payload in the group, through the launcher that outlives the pilot."""
    place.mkdir()
    spec = LaunchSpec(
        directory=str(place / "launch"),
        argv=(sys.executable, "-I", "-S", "-c", program),
        cwd=str(place),
        env={"PATH": "/usr/bin:/bin"},
        stdout=str(place / "payload.stdout"),
        stderr=str(place / "payload.stderr"),
        cgroup=str(group),
    )
    ended = await launcher.wait(await launcher.launch(spec))
    assert isinstance(ended, Exited), ended
    return {
        "exit_code": ended.exit.exit_code,
        "signal": ended.exit.signal,
        "empty": cgroup.is_empty(group),
        "said": (place / "payload.stderr").read_text(),
    }


async def main() -> None:
    """Find a place, make a group, run a greedy payload and one that leaves a daemon, remove the group."""
    found = cgroup.find_place()
    told: dict[str, object] = {"place": str(found[0]), "uid": os.getuid()}
    if isinstance(found, cgroup.Place):
        told["own"] = str(found.own)
        group = cgroup.make(found, "picard-1")
        told["controllers"] = group.controllers
        told["kills"] = group.kills
        told["limits"] = cgroup.limit(group, memory_bytes=MEMORY_BYTES, processes=50)
        told["greedy"] = await payload(DAEMON + GREEDY, group.path, Path("/tmp/greedy"))
        told["peak"] = int((group.path / "memory.peak").read_text())
        told["events"] = (group.path / "memory.events").read_text()
        told["daemon"] = await payload(DAEMON, group.path, Path("/tmp/daemon"))
        told["removed"] = cgroup.remove(group.path)
        told["pilot"] = Path("/proc/self/cgroup").read_text().strip()
    print(json.dumps(told))


asyncio.run(main())
