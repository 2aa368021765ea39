"""Where benchmarks run: directories, the embedded server, a storage, a queue, and pilots as processes.

Everything is made for one benchmark and ended with it. What is measured is the other files' business.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import msgspec

from picard_pilot.journal import file as journal_file
from picard_pilot.journal.record import Record
from picard_pilot.server import control
from picard_pilot.server.info import ServerInfo
from picard_pilot.server.settings import ServerSettings
from picard_pilot.testing.server import ServerClient
from picard_pilot.wire import v1

QUEUE = "BENCH"

PILOT_PATIENCE_S = 120.0
"""No pilot of a benchmark takes longer, however busy the machine is."""

T = TypeVar("T")


class Place:
    """A directory with a storage and a queue; pilots that are started here end with it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.store = directory / "store"
        self.workdir = directory / "work"
        self.store.mkdir()
        self.workdir.mkdir()
        self.site_file = directory / "site.toml"
        self.site_file.write_text(
            f'[queue.{QUEUE}]\nstate = "ACTIVE"\nstatus = "online"\n'
            f'[queue.{QUEUE}.endpoints]\npr = ["DISK"]\npw = ["DISK"]\npl = ["DISK"]\n'
            f'[endpoint.DISK]\nprotocols = ["file://{self.store}"]\npaths = "flat"\n'
        )
        self._pilots: list[subprocess.Popen[bytes]] = []

    def pilot(self, *flags: str, url: str, ca: str, token_file: Path) -> subprocess.Popen[bytes]:
        """Start `ppilot run` as it is installed beside this interpreter."""
        command = [str(Path(sys.executable).with_name("ppilot")), "run", "--queue", QUEUE, "--server", url]
        command += ["--ca", ca, "--token-file", str(token_file), "--site-file", str(self.site_file)]
        command += ["--workdir", str(self.workdir), "--queue-patience", "0", *flags]
        with (self.directory / "pilots.out").open("ab") as output:
            started = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment(), cwd="/"
            )
        self._pilots.append(started)
        return started

    def wait(self, pilot: subprocess.Popen[bytes]) -> None:
        """Wait for a pilot that must end well."""
        code = pilot.wait(PILOT_PATIENCE_S)
        if code != 0:
            raise SystemExit(f"a pilot of the benchmark left with {code}:\n{self.words()}")

    def words(self) -> str:
        """The last of what the pilots said."""
        said = self.directory / "pilots.out"
        return said.read_text()[-4000:] if said.exists() else ""

    def journals(self) -> list[list[Record]]:
        """The journals of all jobs in the work directory, in the order in which the jobs were received."""
        paths = self.workdir.glob(f"*/picard/{journal_file.NAME}")
        return sorted((journal_file.read(path) for path in paths), key=lambda records: records[0].at)

    def end(self) -> None:
        """End the pilots that still run: first politely, since a payload outlives a pilot that is killed."""
        for pilot in self._pilots:
            for number, patience_s in ((signal.SIGTERM, 30.0), (signal.SIGKILL, 5.0)):
                if pilot.poll() is None:
                    pilot.send_signal(number)
                    try:
                        pilot.wait(patience_s)
                    except subprocess.TimeoutExpired:
                        continue


class Served(Place):
    """A place with the embedded server as it is shipped: TLS, and a database that waits for the disk."""

    def __init__(self, directory: Path, info: ServerInfo) -> None:
        super().__init__(directory)
        self.info = info
        self.client = ServerClient(info, "production")

    def submit(self, count: int, transformation: str, parameters: str = "") -> None:
        """Give the queue jobs that have a log and nothing else."""
        spec = {"computingSite": QUEUE, "transformation": transformation, "jobPars": parameters}
        spec |= {"prodSourceLabel": "managed", "logFile": "log.$PANDAID.tgz", "scopeLog": "bench"}
        self.client.data(v1.SUBMIT, jobs=msgspec.json.encode([spec] * count).decode())

    def start_pilot(self, *flags: str) -> subprocess.Popen[bytes]:
        """Start a pilot for this server."""
        token_file = control.token_file(Path(self.info.data_dir), "pilot")
        return self.pilot(*flags, url=self.info.url, ca=str(self.info.ca_file), token_file=token_file)


@contextmanager
def place() -> Iterator[Place]:
    """A place without a server, gone afterwards."""
    with TemporaryDirectory(prefix="picard-bench-") as directory:
        made = Place(Path(directory))
        try:
            yield made
        finally:
            made.end()


@contextmanager
def served() -> Iterator[Served]:
    """A place with a server, both gone afterwards."""
    with TemporaryDirectory(prefix="picard-bench-") as directory:
        data_dir = Path(directory, "server")
        info = control.start_detached(ServerSettings(data_dir=str(data_dir)))
        try:
            made = Served(Path(directory), info)
            try:
                yield made
            finally:
                made.client.close()
                made.end()
        finally:
            control.stop(data_dir)


def environment() -> dict[str, str]:
    """Ours without what would steer a pilot, a proxy or the interpreter: an installed one keeps its bytecode."""
    steering = ("PICARD_", "PANDA", "X509_", "BEARER_", "OIDC_", "HARVESTER_", "PYTHON")
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(steering) and not name.lower().endswith("_proxy")
    }


def wait_for(condition: Callable[[], T | None], what: str, patience_s: float = 60.0) -> T:
    """Ask until the answer is something; ends the benchmark if that never comes."""
    deadline = time.monotonic() + patience_s
    while (answer := condition()) is None:
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {patience_s:g} s: {what}")
        time.sleep(0.01)
    return answer
