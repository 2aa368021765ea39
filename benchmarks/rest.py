"""What a pilot uses while its payload sleeps."""

import time
from pathlib import Path

import processes
from figures import Figure
from place import Served, served, wait_for

from picard_pilot.model import events as ev
from picard_pilot.system.shim.tree import children

SETTLED_S = 3.0
"""After the payload's start: the last updates about it are told by then."""

COMMAND_POLL_S = "10"
"""A sixth of the default, so that the questions for commands are in the figure more than fully."""


def idle(seconds: float) -> list[Figure]:
    """CPU of pilot and launcher beside a sleeping payload."""
    with served() as here:
        here.submit(1, "/bin/sleep", "600")
        pilot = here.start_pilot("--jobs", "1", "--command-poll", COMMAND_POLL_S, "--stop-grace", "1")
        payload = wait_for(lambda: _payload(here), "the payload's start")
        watched = {"pilot": pilot.pid, "launcher": _parent(payload)}
        time.sleep(SETTLED_S)
        before, begun = _cpu_s(watched), time.perf_counter()
        time.sleep(seconds)
        used_s, took_s = _cpu_s(watched) - before, time.perf_counter() - begun
        others = _others(pilot.pid, watched["launcher"])
        memory = {name: processes.memory_mb(pid) for name, pid in watched.items()}
        return [
            Figure(
                f"idle pilot and launcher, CPU over {took_s:.0f} s",
                [100 * used_s / took_s],
                "% core",
                "0.1 %",
            ),
            *(Figure(f"  memory of the {name}", [value], "MB") for name, value in memory.items()),
            *(Figure("  memory of a further process", [value], "MB") for value in others),
        ]


def _payload(here: Served) -> int | None:
    for records in here.journals():
        for record in records:
            if isinstance(record.event, ev.PayloadStarted):
                return record.event.pid
    return None


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[1])


def _cpu_s(watched: dict[str, int]) -> float:
    return sum(processes.cpu_s(pid) for pid in watched.values())


def _others(pilot: int, launcher: int) -> list[float]:
    """Memory of the pilot's further processes."""
    return [processes.memory_mb(pid) for pid in children(pilot) if pid != launcher]
