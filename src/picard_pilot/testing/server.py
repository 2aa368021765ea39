"""An embedded server for tests: in a thread of the test with a clock that can be turned, or as a process of its own.

Real TLS on a free loopback port either way; faults are `faulty_server`'s.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import urllib3

from picard_pilot.server import control, info, submission
from picard_pilot.server.adder import judge_waiting
from picard_pilot.server.app import App
from picard_pilot.server.info import ServerInfo
from picard_pilot.server.run import listening, serve_on
from picard_pilot.server.settings import ServerSettings
from picard_pilot.server.store import Transaction, utc_ms
from picard_pilot.wire import jobspec, v1
from picard_pilot.wire.encode import prepare, query
from picard_pilot.wire.envelope import Answer, Failure, judge
from picard_pilot.wire.fields import Call

START_TIMEOUT_S = 30.0
"""A start takes half a second; a loaded node is forgiven a lot."""

CALL_TIMEOUT_S = 30.0

Result = TypeVar("Result")


class TurnableClock:
    """Milliseconds since 1970 UTC, the real time plus what it was turned on."""

    def __init__(self) -> None:
        self._turned_on_ms = 0

    def __call__(self) -> int:
        """The time."""
        return utc_ms() + self._turned_on_ms

    def turn_on(self, seconds: float) -> None:
        """Let that much time have passed."""
        self._turned_on_ms += int(seconds * 1000)


class ServerClient:
    """A caller of one role over one kept-alive connection; for tests, so nothing is repeated."""

    def __init__(self, server: ServerInfo, role: str, *, vo: str = "picard") -> None:
        self.url = server.url
        token = control.token(Path(server.data_dir), role)
        self.credentials = {"Authorization": f"Bearer {token}", "Origin": f"{vo}.{role}"}
        self._pool = urllib3.PoolManager(
            ca_certs=server.ca_file, timeout=urllib3.Timeout(CALL_TIMEOUT_S), retries=False
        )

    def __enter__(self) -> ServerClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._pool.clear()

    def raw(
        self, verb: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        """One request exactly as given; HTTP status and body."""
        answer = self._pool.request(verb, self.url + path, body=body, headers=dict(headers or {}))
        return answer.status, answer.data

    def send(self, call: Call, parameters: Mapping[str, object]) -> tuple[int, bytes]:
        """One call with these parameters as they are, right or wrong."""
        path = v1.PREFIX + call.path
        if call.verb == "GET":
            headers = {**self.credentials, "Accept": "application/json"}
            pairs = query(call, parameters)
            answer = self._pool.request("GET", self.url + path, fields=pairs, headers=headers)
            return answer.status, answer.data
        headers = {**self.credentials, "Content-Type": "application/json"}
        return self.raw("POST", path, msgspec.json.encode(parameters), headers)

    def envelope(self, call: Call, **parameters: object) -> dict[str, Any]:
        """The envelope of the answer to parameters as they are; asserts HTTP 200."""
        status, body = self.send(call, parameters)
        assert status == 200, body
        envelope = msgspec.json.decode(body)
        assert isinstance(envelope, dict)
        return envelope

    def call(self, call: Call, **parameters: object) -> Answer | Failure:
        """One call as the pilot's client makes it: prepared, and its answer judged."""
        status, body = self.send(call, prepare(call, parameters))
        return judge(status, body, call)

    def data(self, call: Call, **parameters: object) -> Any:
        """The data of a call that must succeed."""
        answer = self.call(call, **parameters)
        assert isinstance(answer, Answer), answer
        return answer.data

    def submit(self, **spec: object) -> int:
        """Submit one job (queue Q and /bin/true unless given); its id."""
        filled = {"computingSite": "Q", "transformation": "/bin/true", **spec}
        jobs = msgspec.json.encode([filled]).decode()
        return int(self.data(v1.SUBMIT, jobs=jobs)[0][0])

    def acquire(self, **parameters: object) -> dict[str, Any]:
        """The dictionary of one job of queue Q, which must be there."""
        data = self.data(v1.ACQUIRE_JOBS, **{"site_name": "Q", "node": "node1", **parameters})
        job = data["jobs"][0]
        assert isinstance(job, dict)
        return job

    def status(self, job_id: int) -> str:
        """The job's status on the server."""
        return str(self.data(v1.GET_JOB_STATUS, job_ids=[job_id])[0]["status"])

    def ui(self, path: str, verb: str = "GET") -> tuple[int, Any]:
        """One of our own calls; HTTP status and document."""
        status, body = self.raw(verb, f"/ui/v1/{path}", headers=self.credentials)
        return status, msgspec.json.decode(body)

    def job(self, job_id: int) -> dict[str, Any]:
        """One job in full (`server.views.JobDetail` as JSON), which must exist."""
        status, document = self.ui(f"jobs/{job_id}")
        assert status == 200, document
        detail = document["data"]
        assert isinstance(detail, dict)
        return detail


class LocalServer:
    """A server in a thread of this process. Its clock can be turned and its store reached."""

    def __init__(self, settings: ServerSettings, clock: TurnableClock) -> None:
        self.clock = clock
        self._settings = settings
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._app: App | None = None
        self._info: ServerInfo | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: Callable[[], None] | None = None
        self._thread = threading.Thread(target=self._run, name="local-server")

    @property
    def info(self) -> ServerInfo:
        """Where it is."""
        assert self._info is not None
        return self._info

    @property
    def app(self) -> App:
        """The application, to be touched on its loop only."""
        assert self._app is not None
        return self._app

    def client(self, role: str = "pilot") -> ServerClient:
        """A caller of that role."""
        return ServerClient(self.info, role)

    def on_loop(self, work: Callable[[App], Coroutine[Any, Any, Result]]) -> Result:
        """Run a coroutine on the server's loop and return its result."""
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(work(self.app), self._loop).result(CALL_TIMEOUT_S)

    def write(self, work: Callable[[Transaction], Result]) -> Result:
        """Change the store."""
        return self.on_loop(lambda app: app.store.write(work))

    def judge(self) -> None:
        """Have the adder's work done now."""
        self.write(judge_waiting)

    def watch(self) -> int:
        """Have the watcher look now; how many jobs it ended."""
        return self.on_loop(lambda app: app.watcher.look())

    def submit_unchecked(self, dictionary: Mapping[str, object], *, queue: str = "Q") -> int:
        """Put a job into the store whose dictionary no check has seen, for the pilot's own checks; its id."""
        return self.write(lambda transaction: insert_unchecked(transaction, dictionary, queue))

    def start(self) -> None:
        """Return once it answers calls."""
        self._thread.start()
        if not self._started.wait(START_TIMEOUT_S) or self._failure is not None:
            self.stop()
            raise RuntimeError("the server did not start") from self._failure

    def stop(self) -> None:
        """Stop it and wait for its end."""
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop)
        self._thread.join(START_TIMEOUT_S)
        assert not self._thread.is_alive(), "the server's thread did not end"

    def _run(self) -> None:
        try:
            with info.alone(Path(self._settings.data_dir)), listening(self._settings) as listener:
                asyncio.run(
                    serve_on(
                        self._settings,
                        listener,
                        on_start=self._keep,
                        on_ready=self._ready,
                        clock=self.clock,
                    )
                )
        except (OSError, RuntimeError, ValueError, BaseExceptionGroup) as error:
            self._failure = error
            self._started.set()

    def _keep(self, app: App, stop: Callable[[], None]) -> None:
        self._app, self._stop, self._loop = app, stop, asyncio.get_running_loop()

    def _ready(self, announced: ServerInfo) -> None:
        self._info = announced
        self._started.set()


@contextmanager
def local_server(data_dir: Path, **settings: Any) -> Iterator[LocalServer]:
    """A server in a thread, stopped at the end. `settings` are those of `ServerSettings`."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    server = LocalServer(ServerSettings(data_dir=str(data_dir), **settings), TurnableClock())
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def server_process(data_dir: Path, **settings: Any) -> Iterator[ServerInfo]:
    """A server as a process of its own, as `ppilot server start` starts it; stopped at the end."""
    started = control.start_detached(ServerSettings(data_dir=str(data_dir), **settings))
    try:
        yield started
    finally:
        control.stop(data_dir)


def wait_for(condition: Callable[[], Result], *, timeout_s: float = CALL_TIMEOUT_S) -> Result:
    """Ask again until the answer is true, and return it; fails the test after the timeout."""
    deadline = time.monotonic() + timeout_s
    pause = threading.Event()
    while not (answer := condition()):
        assert time.monotonic() < deadline, "what was waited for did not happen"
        pause.wait(0.01)
    return answer


def insert_unchecked(transaction: Transaction, dictionary: Mapping[str, object], queue: str = "Q") -> int:
    """Insert a job and replace its dictionary by one that no check has seen; its id."""
    spec = {
        "computingSite": queue,
        "transformation": "/bin/true",
        "prodUserID": "tester",
        "prodSourceLabel": "managed",
    }
    submitted = submission.submit(transaction, [jobspec.accept(spec)])
    job_id = submitted[0].job_id
    row = (msgspec.json.encode(dictionary), job_id)
    transaction.execute("UPDATE job_specs SET dictionary = ? WHERE job_id = ?", row)
    return job_id
