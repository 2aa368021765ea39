"""What it costs to diagnose a failed payload, whatever it wrote; a payload that ended well; the whole corpus."""

import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import processes
from figures import Figure

from picard_pilot.model.command import PayloadExit
from picard_pilot.payload.jobdir import bundle_of
from picard_pilot.pilot.diagnosing import Left, explain
from picard_pilot.system.redact import Redactor

LOG_BYTES = 2 << 30
MEMORY = Path("/dev/shm")
"""Where the large log lies if there is room for it: in memory, as a log that was just written is."""
LINE = b"2026-11-02 10:00:00,000 Reco.Tracking INFO event %09d: 1234 hits, 56 tracks, key=value token of a chain\n"
END = b"terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc\n"
BLOCK_LINES = 10_000
TESTS = Path(__file__).parent.parent / "tests"


def large_log(times: int) -> list[Figure]:
    """A payload with a log of 2 GB failed: time, and memory of a process that does nothing else."""
    with TemporaryDirectory(dir=_room()) as folder:
        _write(Path(folder, "payload.stdout"))
        took = []
        for _ in range(times):
            begun = time.perf_counter()
            found = _explain(folder, 134)
            took.append((time.perf_counter() - begun) * 1000)
        assert found and found[0].name == "BADALLOC", found
        alone = subprocess.run(
            [sys.executable, __file__, folder], check=True, capture_output=True, text=True
        ).stdout
    first_ms, memory_mb = map(float, alone.split())
    return [
        Figure("a log of 2 GB in the page cache", took, "ms", "2000"),
        Figure("  the first in a process, with loading the rules", [first_ms], "ms", "2000"),
        Figure("  memory of a process that does only this", [memory_mb], "MB", "50"),
    ]


def good_end(times: int) -> list[Figure]:
    """A payload with exit code 0: nothing is read, whatever it wrote."""
    with TemporaryDirectory() as folder:
        Path(folder, "payload.stderr").write_bytes(END * 1000)
        took = []
        for _ in range(times):
            begun = time.perf_counter()
            _explain(folder, 0)
            took.append((time.perf_counter() - begun) * 1000)
    return [Figure("a payload that ended well", took, "ms", "5")]


def corpus(times: int) -> list[Figure]:
    """All failed payloads of tests/samples/logs, each tried by all rules of the core."""
    sys.path.insert(0, str(TESTS))
    from corpus import cases
    from picard_pilot.diagnosis.engine import diagnose
    from picard_pilot.diagnosis.rulebook import CORE_RULES

    all_cases = cases()
    took = []
    for _ in range(times):
        begun = time.perf_counter()
        for case in all_cases:
            diagnose(CORE_RULES, case.facts).faults()
        took.append((time.perf_counter() - begun) * 1000)
    return [
        Figure(f"the corpus of {len(all_cases)} failed payloads, {len(CORE_RULES)} rules", took, "ms", "1000")
    ]


def _room() -> Path | None:
    status = os.statvfs(MEMORY)
    return MEMORY if status.f_bavail * status.f_frsize > 2 * LOG_BYTES else None


def _write(path: Path) -> None:
    block = b"".join(LINE % number for number in range(BLOCK_LINES))
    with path.open("wb") as stream:
        for _ in range(LOG_BYTES // len(block) + 1):
            stream.write(block)
        stream.write(END)


def _explain(folder: str, exit_code: int) -> tuple[object, ...]:
    ended = PayloadExit(started_at=1.0, ended_at=2.0, wall_s=1.0, exit_code=exit_code)
    return explain(Left(ended, bundle_of(Path(folder))), (), Redactor())


def _alone(folder: str) -> None:
    """What a process of its own measures: milliseconds, and its memory at most in MB."""
    begun = time.perf_counter()
    _explain(folder, 134)
    took_ms = (time.perf_counter() - begun) * 1000
    print(took_ms, processes.memory_mb(os.getpid(), "VmHWM"))


if __name__ == "__main__":
    _alone(sys.argv[1])
