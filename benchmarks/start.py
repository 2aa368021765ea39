"""How soon a pilot asks for its first job, with how much memory, and how soon a whole pilot is over."""

import http.server
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import processes
from figures import Figure
from place import Place, environment, place, served

from picard_pilot.testing.certificates import Authority

NO_JOBS = b'{"success": false, "message": "No jobs in PanDA", "data": {"StatusCode": 20}}'


class Asked(NamedTuple):
    """The moment at which a pilot's question arrived, and what the pilot had used by then."""

    at: float
    cpu_s: float
    peak_mb: float


class QuestionServer:
    """A TLS server that knows one answer, no job, and notes when it was asked."""

    def __init__(self, directory: Path) -> None:
        authority = Authority(directory)
        self.ca_file = str(authority.ca_file)
        self.asked: Asked | None = None
        self._pid = 0
        self._context = authority.server_context("127.0.0.1")
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                owner.note()
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(NO_JOBS)))
                self.end_headers()
                self.wfile.write(NO_JOBS)

            def log_message(self, format: str, *args: object) -> None:
                """Nothing is said."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.socket = self._context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def expect(self, pid: int) -> None:
        """The next question is this pilot's."""
        self._pid, self.asked = pid, None

    def note(self) -> None:
        """The pilot has asked."""
        at = time.perf_counter()
        if self.asked is None:
            self.asked = Asked(at, processes.cpu_s(self._pid), processes.memory_mb(self._pid, "VmHWM"))

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextmanager
def _question_server(directory: Path) -> Iterator[QuestionServer]:
    server = QuestionServer(directory)
    try:
        yield server
    finally:
        server.close()


def ready_to_ask(times: int) -> list[Figure]:
    """From the start of the process to the arrival of its first question, TLS handshake included.

    Beside each start, the bare interpreter's: on a slower or busier machine both take longer, their ratio stays.
    """
    bare, asked = [], []
    with place() as here, _question_server(here.directory) as server:
        _ask_once(here, server)  # the first one may have to write bytecode
        for _ in range(times):
            bare.append(_bare_interpreter())
            asked.append(_ask_once(here, server))
    ratios = [pilot.cpu_ms / python.cpu_ms for pilot, python in zip(asked, bare, strict=True)]
    return [
        Figure("bare interpreter: start and exit", [one.wall_ms for one in bare], "ms", "(reference: 10 ms)"),
        Figure("  CPU time", [one.cpu_ms for one in bare], "ms", "(reference)"),
        Figure("  peak memory", [one.peak_mb for one in bare], "MB", "(reference)"),
        Figure("pilot: its first question has arrived", [one.wall_ms for one in asked], "ms", "180 ms"),
        Figure("  CPU time until then", [one.cpu_ms for one in asked], "ms"),
        Figure("  the same in bare interpreters", ratios, "", "18"),
        Figure("  peak memory until then", [one.peak_mb for one in asked], "MB", "38 MB"),
    ]


class _Start(NamedTuple):
    """One start of a process."""

    wall_ms: float
    cpu_ms: float
    peak_mb: float


def _bare_interpreter() -> _Start:
    show_peak = "print([line.split()[1] for line in open('/proc/self/status') if 'VmHWM' in line][0])"
    before_s, begun = processes.children_cpu_s(), time.perf_counter()
    said = subprocess.run([sys.executable, "-c", show_peak], env=environment(), stdout=subprocess.PIPE)
    wall_s = time.perf_counter() - begun
    cpu_s = processes.children_cpu_s() - before_s
    return _Start(wall_s * 1000, cpu_s * 1000, int(said.stdout) * 1.024 / 1000)


def _ask_once(here: Place, server: QuestionServer) -> _Start:
    token_file = here.directory / "token"
    token_file.write_text("a-token-that-nobody-judges")
    begun = time.perf_counter()
    pilot = here.pilot(url=server.url, ca=server.ca_file, token_file=token_file)
    server.expect(pilot.pid)
    pilot.wait(60)
    if server.asked is None:
        raise SystemExit(f"a pilot of the benchmark did not ask:\n{here.words()}")
    return _Start((server.asked.at - begun) * 1000, server.asked.cpu_s * 1000, server.asked.peak_mb)


def whole_pilot(times: int) -> list[Figure]:
    """A pilot with one no-op job, from its start to its exit."""
    wall_s = []
    with served() as here:
        here.submit(times + 1, "/bin/true")
        for _ in range(times + 1):
            begun = time.perf_counter()
            here.wait(here.start_pilot("--jobs", "1"))
            wall_s.append(time.perf_counter() - begun)
    return [Figure("pilot with one no-op job (--jobs 1), start to exit", wall_s[1:], "s", "1 s")]
