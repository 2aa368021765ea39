"""Whole jobs whose payloads are confined: ways, queues, and payloads for them."""

import secrets
from pathlib import Path
from typing import Any

import pytest

from confining import INSTALL, apptainer, lacks_bubblewrap, lacks_landlock, lacks_namespaces, skeleton
from grid import Grid
from picard_pilot.system import proc
from second_user import lacks_second_user

PYTHON = "/usr/bin/python3"
"""What runs the payloads: ours may lie where a confined payload, or another user, cannot see it."""

LACKS = {
    "none": lambda: None,
    "landlock": lacks_landlock,
    "bubblewrap": lacks_bubblewrap,
    "apptainer": lambda: lacks_namespaces() if apptainer() else f"there is no apptainer here; {INSTALL}",
    "sudo": lacks_second_user,
}
"""By way: why it cannot be used here."""
WAYS = ("none", "landlock", "bubblewrap", "apptainer")
OUTPUT = {"outFiles": "out.$PANDAID.txt", "scopeOut": "test"}

WORK_ON = """
import os, signal, sys, time
asked = []
def told(*_):
    asked.append(1)
    if len(asked) > 1:
        return
    # A second signal, if there were one, would be here within milliseconds.
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        time.sleep(0.05)
    out(f'told {len(asked)}')
    os._exit(5)
def out(text):
    with open('out.' + os.environ['PANDAID'] + '.txt', 'w') as file:
        file.write(text)
signal.signal(signal.SIGTERM, told)
print('begun', flush=True)
while not os.path.exists('go'):
    time.sleep(0.02)
out('all of it')
"""
"""Works until a file appears in its directory; where it is asked to stop, it writes that down and exits with 5."""

SPY = """
import json, os, sys
half, *paths = sys.argv[1:]
marker = (half[::-1]).encode()
found = []
def look(name, read):
    try:
        if marker in read():
            found.append(name)
    except OSError:
        pass
look('own environment', lambda: repr(dict(os.environ)).encode())
for pid in filter(str.isdigit, os.listdir('/proc')):
    if pid == str(os.getpid()):
        continue
    for name in ('environ', 'cmdline'):
        look(f'/proc/PID/{name}', lambda: open(f'/proc/{pid}/{name}', 'rb').read())
    for path in paths:
        look('through /proc/PID/root', lambda: open(f'/proc/{pid}/root{path}', 'rb').read())
for path in paths:
    look(path, lambda: open(path, 'rb').read())
    try:
        found.extend(f'{path}/{name}' for name in os.listdir(path))
    except OSError:
        pass
with open('out.' + os.environ['PANDAID'] + '.txt', 'w') as file:
    json.dump(sorted(set(found)), file)
"""
"""Looks for the pilot's secret, whose letters it is given in reverse, and lists the folders that it is told."""


def needs(way: str) -> pytest.MarkDecorator:
    """Skip with the reason where this way cannot be used here."""
    reason = LACKS[way]()
    return pytest.mark.skipif(reason is not None, reason=reason or "")


def each_way(*ways: str) -> pytest.MarkDecorator:
    """One test per way."""
    return pytest.mark.parametrize("way", [pytest.param(way, marks=needs(way)) for way in ways])


class Confining:
    """A grid whose queue confines payloads, and its pilots."""

    def __init__(self, grid: Grid) -> None:
        """Nothing is required yet."""
        self.grid = grid
        self.secret = secrets.token_hex(16)
        self.proxy = grid.directory / "credentials" / "proxy"
        self.proxy.parent.mkdir(mode=0o700)
        self.proxy.write_text(self.secret)
        self.proxy.chmod(0o600)

    def queue(self, *lines: str) -> None:
        """Add keys to the queue's description."""
        text = self.grid.site_file.read_text()
        self.grid.site_file.write_text(
            text.replace('status = "online"', "\n".join(('status = "online"', *lines)))
        )

    def submit(self, code: str, *words: str, **spec: object) -> int:
        """A job that runs this Python, which comes as an input, and has one output."""
        checksum = self.grid.put("payload.py", code.encode())
        inputs = {
            "inFiles": "payload.py", "fsize": str(len(code.encode())), "checksum": checksum, "scopeIn": "test",
            "ddmEndPointIn": "DISK", "GUID": "G1",
        }  # fmt: skip
        return self.grid.submit(PYTHON, " ".join(("-I", "payload.py", *words)), **inputs, **OUTPUT, **spec)

    def image(self, way: str) -> dict[str, object]:
        """What a job adds to its description for a way that runs images alone."""
        if way != "apptainer":
            return {}
        if "container_options" not in self.grid.site_file.read_text():
            self.queue('container_options = "--bind /usr:/usr:ro"')
        return {"container_name": str(skeleton(self.grid.directory))}

    def pilot(self, way: str, *flags: str, **environ: str) -> Any:
        """A pilot that may use this way alone, with a proxy and a secret in its environment."""
        if way == "apptainer":
            way = f"apptainer:{apptainer()}"
        secret = {"X509_USER_PROXY": str(self.proxy), "SITE_SECRET": self.secret}
        return self.grid.pilot("--jobs", "1", "--isolation", way, *flags, **secret, **environ)

    def spy(self, *paths: Path, **spec: object) -> int:
        """A job that looks for the secret at these places, and in all processes."""
        return self.submit(SPY, self.secret[::-1], *map(str, paths), **spec)

    def output(self, job_id: int) -> str:
        """The job's output as it is stored."""
        return (self.grid.store / f"out.{job_id}.txt").read_text()

    def go(self, job_id: int) -> None:
        """Let a payload of `WORK_ON` end."""
        (self.grid.job_dir(job_id) / "go").touch()


def launcher_of(grid: Grid, job_id: int) -> proc.ProcessId:
    """The process that holds the job's running payload."""
    event = next(one["event"] for one in grid.journal(job_id) if one["event"]["event"] == "PayloadStarted")
    parent = Path(f"/proc/{event['pid']}/stat").read_text().rpartition(")")[2].split()[1]
    found = proc.identify(int(parent))
    assert found is not None
    return found
