"""A whole small grid for a test: the embedded server as a process of its own, a storage, queues, and real pilots."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import urllib3

from picard_pilot.server import control
from picard_pilot.server.info import ServerInfo
from picard_pilot.server.settings import ServerSettings
from picard_pilot.system import proc

ROOT = Path(__file__).resolve().parent.parent

PATIENCE_S = 60.0
"""How long a condition may take to come true on a busy machine before the test fails."""

SITE = """
[queue.Q]
panda_resource = "Q"
state = "ACTIVE"
status = "online"
endpoints = {{ pr = ["DISK"], pw = ["DISK"], pl = ["DISK"] }}

[endpoint.DISK]
paths = "flat"
protocols = [{{ prefix = {prefix} }}]
"""
"""A site file of one queue; `prefix` is its only storage, in quotes."""


class Grid:
    """Server, storage and queue of one test."""

    def __init__(self, directory: Path, info: ServerInfo, queue: str = "TEST") -> None:
        self.directory = directory
        self.info = info
        self.store = directory / "store"
        self.store.mkdir(exist_ok=True)
        self.site_file = directory / "site.toml"
        self.queue = queue
        self.site_file.write_text(
            f"""
            [queue.{self.queue}]
            state = "ACTIVE"
            status = "online"
            [queue.{self.queue}.endpoints]
            pr = ["DISK"]
            pw = ["DISK"]
            pl = ["DISK"]
            [endpoint.DISK]
            protocols = ["file://{self.store}"]
            paths = "flat"
            """
        )
        self.python: tuple[str, ...] = (sys.executable,)
        """What runs pilots."""
        self.ca_file = str(info.ca_file)
        self.token_file = control.token_file(Path(info.data_dir), "pilot")
        self._http = urllib3.PoolManager(ca_certs=info.ca_file, retries=False)
        self._token = control.token(Path(info.data_dir), "production").strip()
        self.pilots: list[subprocess.Popen[bytes]] = []

    # The server

    def call(self, verb: str, path: str, **body: object) -> Any:
        """One call with the production role; the decoded answer."""
        answer = self._http.request(
            verb,
            self.info.url + path,
            body=json.dumps(body).encode() if verb == "POST" else None,
            headers={
                "Content-Type": "application/json",
                "Authorization": f"Bearer {self._token}",
                "Origin": "picard.production",
            },
        )
        assert answer.status == 200, (answer.status, answer.data)
        return json.loads(answer.data)

    def submit(self, transformation: str, parameters: str = "", **spec: object) -> int:
        """Submit one job with a log; returns its PandaID."""
        whole = {
            "computingSite": self.queue,
            "transformation": transformation,
            "jobPars": parameters,
            "prodSourceLabel": "managed",
            "jobName": "test",
            "logFile": "log.$PANDAID.tgz",
            "scopeLog": "test",
            **spec,
        }
        answer = self.call("POST", "/api/v1/job/submit", jobs=json.dumps([whole]))
        assert answer["success"], answer
        return int(answer["data"][0][0])

    def submit_python(self, code: str, **spec: object) -> int:
        """Submit a job whose payload is a piece of Python, kept as a script beside the storage."""
        script = self.directory / f"payload-{zlib.crc32(code.encode()):08x}.py"
        script.write_text(code)
        return self.submit(shlex.quote(sys.executable), f"-S -E {shlex.quote(str(script))}", **spec)

    def kill(self, job_id: int) -> None:
        """Ask the server to kill the job."""
        assert self.call("POST", "/api/v1/job/kill", job_ids=[job_id])["success"]

    def command(self, job_id: int, text: str) -> None:
        """Leave a command for the job's pilot."""
        assert self.call("POST", "/api/v1/job/set_command", job_id=job_id, command=text)["success"]

    def job(self, job_id: int) -> dict[str, Any]:
        """One job in full, as our own tools see it."""
        answer = self.call("GET", f"/ui/v1/jobs/{job_id}")
        assert isinstance(answer["data"], dict)
        return answer["data"]

    def status(self, job_id: int) -> str:
        """The job's status on the server."""
        return str(self.job(job_id)["row"]["status"])

    def errors(self, job_id: int) -> dict[str, tuple[int, str]]:
        """Error number and text by component."""
        return {
            one["component"]: (one["code"], one["diag"] or "") for one in self.job(job_id)["row"]["errors"]
        }

    def wait_status(self, job_id: int, *wanted: str) -> str:
        """Wait until the job has one of these statuses on the server."""
        return wait_for(
            lambda: self.status(job_id) in wanted and self.status(job_id), f"job {job_id}: {wanted}"
        )

    # The storage

    def put(self, name: str, content: bytes) -> str:
        """A file on the storage; returns its checksum as catalogues write it."""
        (self.store / name).write_bytes(content)
        return f"ad:{zlib.adler32(content):08x}"

    # Pilots

    def pilot(
        self,
        *flags: str,
        workdir: Path | None = None,
        program: tuple[str, ...] = ("-m", "picard_pilot.cli.main"),
        **environ: str,
    ) -> subprocess.Popen[bytes]:
        """Start a pilot as a process of its own; `program` is what Python runs, by default the real one."""
        workdir = workdir or self.workdir
        workdir.mkdir(exist_ok=True)
        command = [
            *(*self.python, *program, "run", "--queue", self.queue),
            *("--server", self.info.url, "--site-file", str(self.site_file), "--workdir", str(workdir)),
            *("--ca", self.ca_file, "--queue-patience", "0", "--command-poll", "0.2"),
            *("--token-file", str(self.token_file)),
            *("--node-directory", str(self.directory / "node")),
            *flags,
        ]
        output = (self.directory / f"pilot-{len(self.pilots)}.out").open("wb")
        with output:
            started = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**clean_environment(), **environ},
                cwd=ROOT,
                start_new_session=True,
            )
        self.pilots.append(started)
        return started

    @property
    def workdir(self) -> Path:
        """The work directory that pilots share unless told otherwise."""
        return self.directory / "work"

    def job_dir(self, job_id: int) -> Path:
        """The job's directory in the shared work directory."""
        return self.workdir / f"PanDA_Pilot-{job_id}"

    def journal(self, job_id: int) -> list[dict[str, Any]]:
        """The records of the job's journal that are whole now; none if there is no journal."""
        path = self.job_dir(job_id) / "picard" / "journal.jsonl"
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
        return [json.loads(line) for line in lines]

    def events(self, job_id: int) -> list[str]:
        """The kinds of events in the job's journal."""
        return [record["event"]["event"] for record in self.journal(job_id)]

    def wait_event(self, job_id: int, kind: str) -> None:
        """Wait until the job's journal holds an event of this kind."""
        wait_for(lambda: kind in self.events(job_id), f"job {job_id}: {kind}; it has {self.events(job_id)}")

    def output(self) -> str:
        """What all pilots have said so far."""
        return "\n".join(path.read_text() for path in sorted(self.directory.glob("pilot-*.out")))

    def close(self) -> None:
        """End what was started: pilots, and payloads that outlive them."""
        for pilot in self.pilots:
            if pilot.poll() is None:
                pilot.kill()
            pilot.wait()
        for started in self.directory.glob("*/PanDA_Pilot-*/picard/journal.jsonl"):
            for line in started.read_bytes().split(b"\n")[:-1]:
                event = json.loads(line)["event"]
                if event["event"] == "PayloadStarted":
                    found = proc.ProcessId(pid=event["pid"], start_ticks=event["start_ticks"])
                    proc.send_signal(found, signal.SIGKILL)


BATCH = ("SLURM_", "PBS_", "LSB_", "SGE_", "_CONDOR_", "MACHINEFEATURES", "JOBFEATURES")
"""What batch systems tell their jobs, of which the tests themselves may be one."""


def clean_environment() -> dict[str, str]:
    """The environment without anything that would steer a pilot or a proxy."""
    steering = ("PICARD_", "PANDA", "X509_", "BEARER_", "OIDC_", *BATCH)
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(steering) and not name.lower().endswith("_proxy")
    }


def wait_for(condition: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> Any:
    """Wait until `condition` is true and return its value; fails with `what` after `patience_s`."""
    deadline = time.monotonic() + patience_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {patience_s:g} s: {what}"
        time.sleep(0.02)  # processes and files of others have no event to wait for


@contextmanager
def running_server(data_dir: Path, **settings: Any) -> Iterator[ServerInfo]:
    """The embedded server as a process of its own, on a free port."""
    info = control.start_detached(ServerSettings(data_dir=str(data_dir), durable=False, **settings))
    try:
        yield info
    finally:
        control.stop(data_dir)
