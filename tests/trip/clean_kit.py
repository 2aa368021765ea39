"""Payloads that leave things behind, and a look at the node from outside: that is what the tests of a clean node trust,
and not what the pilot says."""

import contextlib
import json
import os
import signal
from pathlib import Path
from typing import Any

from grid import Grid
from picard_pilot.system import proc
from picard_pilot.system.shim.kernel import call
from picard_pilot.system.strays import IPC_RMID

OUTPUT = {"outFiles": "out.$PANDAID.txt", "scopeOut": "t"}

HEAD = """
import ctypes, os, signal, subprocess, sys, time
MARK = {mark!r}
DIARY = {diary!r}
def tell(text):
    with open(DIARY, 'a') as diary:
        diary.write(str(text) + '\\n')
def started(count):
    end = time.monotonic() + 60
    while not os.path.exists(DIARY) or open(DIARY).read().count('started') < count:
        assert time.monotonic() < end
        time.sleep(0.01)
def seen(make, path):
    # For the test alone, which asks what becomes of a file that its maker was seen with: it is made until it was.
    end = time.monotonic() + 60
    while True:
        kept, again = make(path), time.monotonic() + 2
        sign = '"inode": %d,' % os.stat(path).st_ino
        while time.monotonic() < again:
            if any(path.encode().hex() in line and sign in line for line in open('picard/launch/seen')):
                return kept
            time.sleep(0.01)
        assert time.monotonic() < end
        os.unlink(path)
def opened(path):
    return open(path, 'w')
def mapped(path):
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    os.ftruncate(fd, 4096)
    ctypes.CDLL(None).mmap(None, 4096, 3, 1, fd, 0)
    os.close(fd)
SLEEPER = [sys.executable, '-I', '-S', '-c',
    "import sys, time; open(sys.argv[2], 'a').write('started\\\\n'); time.sleep(600)", MARK, DIARY]
"""
TAIL = "open('out.' + os.environ['PANDAID'] + '.txt', 'w').write('saved')\n"
"""The beginning and the end of a payload; between them stands what it leaves behind."""


def payload(grid: Grid, mark: str, code: str, tail: str = TAIL) -> int:
    """Submit a job that does this."""
    head = HEAD.format(mark=mark, diary=str(grid.directory / "diary"))
    return grid.submit_python(head + code + tail, **OUTPUT)


def diary(grid: Grid, word: str) -> list[str]:
    """What payloads noted under this word."""
    path = grid.directory / "diary"
    lines = path.read_text().splitlines() if path.exists() else []
    return [line.partition(" ")[2] for line in lines if line.startswith(word)]


def assert_nothing_is_left(grid: Grid, workdir: Path, mark: str) -> None:
    """The look from"""
    assert processes(mark) == []
    assert processes(str(workdir)) == []
    assert mounts(mark) == []
    assert mounts(str(workdir)) == []
    assert files(mark) == []
    assert sockets(mark) == []
    assert [number for number in diary(grid, "segment") if has_segment(int(number))] == []
    assert [path for path in diary(grid, "temporary") if os.path.lexists(path)] == []
    assert list(workdir.glob("PanDA_Pilot-*")) == []


def receipts(workdir: Path) -> list[dict[str, Any]]:
    """The receipts in a work directory, oldest first."""
    paths = sorted(
        (workdir / "picard-ledger").glob("*.receipt.json"), key=lambda path: path.stat().st_mtime_ns
    )
    return [json.loads(path.read_bytes()) for path in paths]


def ledgers(workdir: Path) -> list[Path]:
    """The ledgers that are not settled."""
    return sorted((workdir / "picard-ledger").glob("*.jsonl"))


def named(entries: list[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    """Those entries of a receipt that speak of `text`."""
    return [entry for entry in entries if text in entry["says"]]


def processes(mark: str) -> list[int]:
    """Living processes with the mark anywhere: on the command line, in the environment or as their name."""
    found = []
    for path in Path("/proc").iterdir():
        if not path.name.isdigit() or int(path.name) == os.getpid() or proc.identify(int(path.name)) is None:
            continue
        with contextlib.suppress(OSError):
            if any(mark.encode() in (path / file).read_bytes() for file in ("cmdline", "environ", "comm")):
                found.append(int(path.name))
    return found


def mounts(mark: str) -> list[str]:
    """Mounts with the mark in their path, in any process' view of the node."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/mountinfo"):
        with contextlib.suppress(OSError):
            found |= {line for line in path.read_text().splitlines() if mark in line}
    return sorted(found)


def files(mark: str) -> list[str]:
    """Files with the mark in their name, where programs put what has no better place."""
    places = ("/dev/shm", "/tmp", "/var/tmp")
    return sorted(str(path) for place in places for path in Path(place).iterdir() if mark in path.name)


def sockets(mark: str) -> list[str]:
    """Unix sockets with the mark in their name, also abstract ones."""
    return [line for line in Path("/proc/net/unix").read_text().splitlines() if mark in line]


def has_segment(number: int) -> bool:
    """Whether the shared memory segment is there."""
    rows = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
    return str(number) in {row.split()[1] for row in rows}


def end(mark: str, diary: Path) -> None:
    """Be tidy after a failure; of the shared memory that which stands in the payloads' diary."""
    for pid in processes(mark):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for name in files(mark):
        with contextlib.suppress(OSError):
            Path(name).unlink()
    lines = diary.read_text().splitlines() if diary.exists() else []
    for line in lines:
        if line.startswith("segment ") and has_segment(int(line.split()[1])):
            call("shmctl", int(line.split()[1]), IPC_RMID, 0)
