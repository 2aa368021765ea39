"""CPU time and memory of processes, finer than the clock ticks of ps and top. Linux' /proc only."""

import resource
from pathlib import Path


def cpu_s(pid: int) -> float:
    """CPU time of all present threads of a process."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def memory_mb(pid: int, field: str = "VmRSS") -> float:
    """Resident memory now (`VmRSS`) or at its highest (`VmHWM`), in MB of 1000 kB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1.024 / 1000
    raise ValueError(f"/proc/{pid}/status has no {field}")


def children_cpu_s() -> float:
    """CPU time of all children that have ended and been waited for, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
