"""Speed of the embedded server: heartbeats, and whole cycles of acquire, running and final update.

Prints figures and judges nothing. One process generates the load over kept-alive TLS connections, on the cores
that it shares with the server; the database waits for the disk as in earnest.
"""

from __future__ import annotations

import argparse
import collections
import itertools
import json
import os
import selectors
import socket
import ssl
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from picard_pilot.server import control
from picard_pilot.server.info import ServerInfo
from picard_pilot.server.settings import ServerSettings
from picard_pilot.testing.server import ServerClient
from picard_pilot.wire import v1

CONNECTIONS = 16
"""As many pilots as talk at the same moment; each call waits for the one before it on its connection."""

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Line:
    """One kept-alive TLS connection with at most one call under way."""

    def __init__(self, server: ServerInfo, context: ssl.SSLContext) -> None:
        plain = socket.create_connection((server.host, server.port))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = context.wrap_socket(plain, server_hostname=server.host)
        self.socket.setblocking(False)
        self.sent_at = 0.0
        self.then: Callable[[bytes], bytes | None] | None = None
        self._received = b""

    def send(self, request: bytes, due: float) -> None:
        """Send a call; its latency counts from when it was due."""
        self.sent_at = due
        self.socket.send(request)

    def receive(self) -> bytes | None:
        """The body of the answer once it is complete."""
        try:
            self._received += self.socket.recv(65536)
        except ssl.SSLWantReadError:
            return None
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator:
            return None
        length = int(head.split(b"content-length: ", 1)[1].split(b"\r\n", 1)[0])
        if len(body) < length:
            return None
        self._received = b""
        return body


class Load:
    """Calls over some lines: as many as there can be, or so many a second."""

    def __init__(self, server: ServerInfo, connections: int) -> None:
        context = ssl.create_default_context(cafile=server.ca_file)
        self._selector = selectors.DefaultSelector()
        self._lines = [Line(server, context) for _ in range(connections)]
        for line in self._lines:
            self._selector.register(line.socket, selectors.EVENT_READ, line)

    def close(self) -> None:
        """Close the lines."""
        self._selector.close()
        for line in self._lines:
            line.socket.close()

    def run(self, steps: Iterator[Step], seconds: float, rate: float | None) -> tuple[int, list[float]]:
        """Run steps (each a call and what follows it); how many ended, and the latency of each call in ms."""
        free = collections.deque(self._lines)
        begun = time.perf_counter()
        end = begun + seconds
        due = begun
        latencies: list[float] = []
        done = busy = 0
        while True:
            now = time.perf_counter()
            while free and now < end and (rate is None or due <= now):
                request, then = next(steps)
                line = free.popleft()
                line.then = then
                line.send(request, now if rate is None else due)
                busy += 1
                due += 0.0 if rate is None else 1 / rate
            if not busy and now >= end:
                return done, latencies
            wait = None if rate is None or not free else max(0.0, min(due, end) - now)
            for key, _ in self._selector.select(wait):
                line = key.data
                body = line.receive()
                if body is None:
                    continue
                now = time.perf_counter()
                latencies.append((now - line.sent_at) * 1000)
                following = line.then(body)
                if following is not None:
                    line.send(following, now)
                    continue
                done += 1
                busy -= 1
                free.append(line)


Step = tuple[bytes, Callable[[bytes], bytes | None]]


class Requests:
    """The calls as bytes, made with as little work as possible."""

    def __init__(self, server: ServerInfo, headers: dict[str, str]) -> None:
        self._host = f"{server.host}:{server.port}"
        self._headers = "".join(f"{name}: {value}\r\n" for name, value in headers.items())

    def post(self, path: str, body: bytes) -> bytes:
        """One POST request."""
        head = (
            f"POST {v1.PREFIX}{path} HTTP/1.1\r\nHost: {self._host}\r\n{self._headers}"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    def heartbeats(self, job_ids: list[int]) -> Iterator[Step]:
        """Heartbeats of many running jobs, as full as a pilot's."""
        number = itertools.count()
        for job_id in itertools.cycle(job_ids):
            update = {
                **{"job_id": job_id, "attempt_nr": 1, "job_status": "running", "job_sub_status": "running"},
                **{"node": "slot1@node0001.example.org", "pilot_id": "benchmark|PR|1.0", "core_count": 1},
                **{"cpu_consumption_time": next(number), "max_rss": 1_000_000, "avg_rss": 900_000},
                **{"tot_rchar": 10**9, "rate_rchar": 10**6, "job_metrics": "nEvents=100"},
            }
            yield self.post("pilot/update_job", json.dumps(update).encode()), _accepted

    def cycles(self) -> Iterator[Step]:
        """Acquire, running, final update with an output report."""
        acquire = self.post("pilot/acquire_jobs", b'{"site_name": "Q", "node": "node0001"}')
        while True:
            yield acquire, Cycle(self).next_call


class Cycle:
    """One job's way from its dictionary to its final report."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests
        self._job: dict[str, object] | None = None
        self._reported = False

    def next_call(self, body: bytes) -> bytes | None:
        """The call that follows this answer; None at the end."""
        if self._job is None:
            self._job = json.loads(body)["data"]["jobs"][0]
            return self._update({"job_status": "running", "job_sub_status": "running"})
        _accepted(body)
        if self._reported:
            return None
        self._reported = True
        report = {
            name: {"guid": "x", "fsize": 1, "adler32": "00000001", "surl": f"file:///store/{name}"}
            for name in str(self._job["outFiles"]).split(",")
        }
        return self._update({"job_status": "finished", "job_output_report": json.dumps(report)})

    def _update(self, values: dict[str, object]) -> bytes:
        assert self._job is not None
        own = {"job_id": self._job["PandaID"], "attempt_nr": self._job["attemptNr"], "node": "node0001"}
        return self._requests.post("pilot/update_job", json.dumps({**own, **values}).encode())


def _accepted(body: bytes) -> None:
    if b'"StatusCode":0' not in body:
        raise SystemExit(f"the server refused a call of the benchmark: {body[:200]!r}")


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def _line(what: str, count: int, seconds: float, latencies: list[float], cpu_s: float, of: str) -> None:
    p50 = statistics.median(latencies)
    p99 = statistics.quantiles(latencies, n=100)[98]
    print(
        f"{what:<42}{count / seconds:8.0f} {of}/s   p50 {p50:6.2f} ms   p99 {p99:6.2f} ms   "
        f"server {100 * cpu_s / seconds:3.0f} % of a core"
    )


def _measure(
    server: ServerInfo,
    load: Load,
    steps: Iterator[Step],
    seconds: float,
    rate: float | None,
    what: str,
    of: str,
) -> float:
    cpu_before, begun = _cpu_s(server.process.pid), time.perf_counter()
    count, latencies = load.run(steps, seconds, rate)
    took = time.perf_counter() - begun
    _line(what, count, took, latencies, _cpu_s(server.process.pid) - cpu_before, of)
    return count / took


def _submit(client: ServerClient, count: int) -> list[int]:
    spec = {
        **{"computingSite": "Q", "transformation": "/bin/true", "scopeOut": "user", "scopeLog": "user"},
        **{"outFiles": "out.$PANDAID.root,log.$PANDAID.tgz", "logFile": "log.$PANDAID.tgz"},
    }
    job_ids: list[int] = []
    while len(job_ids) < count:
        jobs = json.dumps([spec] * min(1000, count - len(job_ids)))
        job_ids += [entry[0] for entry in client.data(v1.SUBMIT, jobs=jobs)]
    return job_ids


def main() -> None:
    """Start a server in a fresh directory, measure, stop it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--seconds", type=float, default=10.0, help="of each measurement (default %(default)s)"
    )
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="picard-bench-") as directory:
        server = control.start_detached(ServerSettings(data_dir=directory))
        try:
            _all(server, options.seconds, options.connections)
        finally:
            control.stop(Path(directory))


def _all(server: ServerInfo, seconds: float, connections: int) -> None:
    print(f"embedded server, TLS, {connections} connections, {os.cpu_count()} cores shared with the load")
    with ServerClient(server, "pilot") as client:
        requests = Requests(server, client.credentials)
        running = _submit(client, 1000)
        client.data(v1.ACQUIRE_JOBS, site_name="Q", n_jobs=len(running))
        load = Load(server, connections)
        beats = requests.heartbeats(running)
        _measure(server, load, beats, seconds, None, "heartbeats, as many as there can be", "calls")
        _measure(server, load, beats, seconds, 500.0, "heartbeats, half the goal (500/s)", "calls")
        _submit(client, int(1500 * seconds))
        cycles = requests.cycles()
        _measure(server, load, cycles, seconds, None, "cycles of three, as many as there can be", "cycles")
        _measure(server, load, cycles, seconds, 50.0, "cycles of three, half the goal (50/s)", "cycles")
        load.close()


if __name__ == "__main__":
    main()
