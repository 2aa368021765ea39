"""A server's store filled with jobs for tests of the pages, and the pages served over a real socket."""

from __future__ import annotations

import asyncio
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from starlette.applications import Starlette

from picard_pilot.server import errors
from picard_pilot.server.auth import SESSION_COOKIE
from picard_pilot.server.pages.routes import routes
from picard_pilot.server.store import Store, Transaction, open_store

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from browser_kit import Watch

#: A moment for all stories to begin, in milliseconds: 2026-11-22 12:00:00 UTC.
NOON_MS = 1_795_348_800_000


class OpenDoor:
    """One login token, one session."""

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(16)
        self.session = secrets.token_urlsafe(16)
        self._unused = {self.token}

    def sign_in(self, token: str) -> str | None:
        """The session, once."""
        if token not in self._unused:
            return None
        self._unused.remove(token)
        return self.session

    def knows(self, session: str) -> bool:
        """Whether it is the one session."""
        return secrets.compare_digest(session, self.session)

    def cookie(self) -> dict[str, str]:
        """As a client sends it."""
        return {SESSION_COOKIE: self.session}


class Clock:
    """A clock that the story moves."""

    def __init__(self, now_ms: int = NOON_MS) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms


def add_job(write: Transaction, *, name: str, queue: str = "PICARD_DEMO", files: tuple[dict[str, object], ...] = (),
            parent: int | None = None, attempt_nr: int = 1, max_attempt: int = 1) -> int:  # fmt: skip
    """A job as it is right after its submission; its number."""
    row = {
        "parent_id": parent, "attempt_nr": attempt_nr, "max_attempt": max_attempt, "definition_id": 1, "name": name,
        "queue": queue, "label": "user", "owner": "Beverly", "priority": 1000, "transformation": "/bin/sh",
        "cores": 1, "status": "activated",
        "created_at": write.now, "changed_at": write.now, "updated_at": write.now,
    }  # fmt: skip
    job_id = write.execute(
        f"INSERT INTO jobs ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", tuple(row.values())
    ).lastrowid
    assert job_id is not None
    first = "(SELECT first_id FROM jobs WHERE job_id = ?)" if parent else "?"
    write.execute(f"UPDATE jobs SET first_id = {first} WHERE job_id = ?", (parent or job_id, job_id))
    write.execute("INSERT INTO job_specs VALUES (?, ?)", (job_id, b'{"jobPars": "-c \'exit 7\'"}'))
    for position, file in enumerate(files):
        full = {"job_id": job_id, "position": position, "status": "unknown", **file}
        write.execute(
            f"INSERT INTO files ({', '.join(full)}) VALUES ({', '.join('?' * len(full))})",
            tuple(full.values()),
        )
    write.log(job_id, "activated", who="user")
    return job_id


def move_job(
    write: Transaction, job_id: int, status: str, phase: str | None = None, **columns: object
) -> None:
    """The next step of a job's story; `columns` are columns of its row."""
    known = {
        "status": status,
        "sub_status": phase,
        "changed_at": write.now,
        "updated_at": write.now,
        **columns,
    }
    if status == "sent":
        known["sent_at"] = write.now
    if status in ("finished", "failed", "cancelled", "closed"):
        known["ended_at"] = write.now
    sets = ", ".join(f"{name} = ?" for name in known)
    write.execute(f"UPDATE jobs SET {sets} WHERE job_id = ?", (*known.values(), job_id))
    write.log(job_id, status, who="pilot", sub_status=phase, host=str(columns.get("host", "")) or None)
    if status == "failed":
        errors.keep(write, job_id)


TRIP = (
    ("sent", None, 400),
    ("starting", "starting", 60),
    ("starting", "setup", 120),
    ("starting", "stagein", 180),
    ("running", "running", 320),
    ("running", "stageout", 2300),
    ("running", "finishing", 420),
    ("holding", "finished", 150),
)
"""A good job's trip: state, phase, and milliseconds after the step before."""


class Story:
    """Jobs that live in a store, told step by step."""

    def __init__(self, store: Store, clock: Clock | None) -> None:
        self.store, self._clock = store, clock

    def after(self, ms: int) -> None:
        """Time passes, where the story has its own clock."""
        if self._clock is not None:
            self._clock.now_ms += ms

    async def add(self, name: str, **columns: object) -> int:
        """Submit a job."""
        return await self.store.write(lambda write: add_job(write, name=name, **columns))  # type: ignore[arg-type]

    async def move(self, job_id: int, status: str, phase: str | None = None, **columns: object) -> None:
        """One step."""
        await self.store.write(lambda write: move_job(write, job_id, status, phase, **columns))

    async def travel(self, job_id: int, *, until: str | None = None, **columns: object) -> None:
        """The good trip, up to and with the phase `until`."""
        for status, phase, ms in TRIP:
            self.after(ms)
            await self.move(job_id, status, phase, host="node7.example.org", pilot_id="pilot-a", **columns)
            if phase == until and until is not None:
                return

    async def stored(self, job_id: int, **columns: object) -> None:
        """All files of the job are where they should be."""
        sets = ", ".join(f"{name} = ?" for name in columns)
        await self.store.write(
            lambda write: write.execute(
                f"UPDATE files SET {sets} WHERE job_id = ?", (*columns.values(), job_id)
            )
        )


class Served:
    """The pages on a port of 127.0.0.1, and the story behind them; `do` runs a step in the server's loop."""

    def __init__(self, port: int, door: OpenDoor, story: Story, loop: asyncio.AbstractEventLoop) -> None:
        self.url, self.door, self.story, self._loop = f"http://127.0.0.1:{port}", door, story, loop

    def do(self, step: object) -> object:
        """Run one step of the story and wait for it."""
        return asyncio.run_coroutine_threadsafe(step, self._loop).result(30)  # type: ignore[arg-type,var-annotated]


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()


@contextmanager
def served(
    folder: Path, *, port: int = 0, clock: Clock | None = None, door: OpenDoor | None = None
) -> Iterator[Served]:
    """Serve the pages of a store in `folder` from a thread of its own until the block ends."""
    listener = socket.create_server(("127.0.0.1", port))
    door = door or OpenDoor()
    holder: dict[str, object] = {}

    async def run() -> None:
        store = open_store(folder / "pages.db", durable=False, **({"clock": clock} if clock else {}))
        app = Starlette(routes=routes(store, door))
        config = uvicorn.Config(app, log_level="critical", lifespan="off", timeout_graceful_shutdown=2)
        server = _Server(config)
        holder.update(store=store, server=server, loop=asyncio.get_running_loop())
        ready.set()
        try:
            await server.serve(sockets=[listener])
        finally:
            store.close()

    ready = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(run()), name="pages")
    thread.start()
    assert ready.wait(30)
    server, store, loop = holder["server"], holder["store"], holder["loop"]
    assert isinstance(server, _Server) and isinstance(store, Store)
    assert isinstance(loop, asyncio.AbstractEventLoop)
    assert server.up.wait(30)
    try:
        yield Served(listener.getsockname()[1], door, Story(store, clock), loop)
    finally:
        loop.call_soon_threadsafe(store.feed.close)
        server.should_exit = True
        thread.join(30)
        listener.close()


async def showcase(story: Story) -> None:
    """Jobs in every interesting state, as a newcomer meets them."""
    outputs = (
        {
            "role": "input",
            "lfn": "Zmumu.root",
            "size_bytes": 178971,
            "checksum": "ad:0a1b2c3d",
            "status": "ready",
        },
        {"role": "output", "lfn": "dimuon.root", "endpoint": "DEMO_DISK"},
        {"role": "output", "lfn": "dimuon.png", "endpoint": "DEMO_DISK"},
        {"role": "log", "lfn": "job1.log.tgz", "endpoint": "DEMO_DISK"},
    )
    good = await story.add("dimuon: the Z boson", files=outputs)
    await story.travel(good)
    story.after(300)
    await story.stored(good, status="ready", checksum="ad:7f3e11c0", size_bytes=12907,
                       surl="file:///storage/demo/dimuon.root")  # fmt: skip
    await story.move(good, "finished", "finished", host="node7.example.org", pilot_id="pilot-a", n_events=500)
    bad = await story.add("exit7", files=(outputs[3],), max_attempt=2)
    await story.travel(bad, until="finishing")
    story.after(500)
    await story.move(
        bad, "failed", "failed", host="node7.example.org", trans_exit_code=7, pilot_error_code=1305,
        pilot_error_diag="payload exited with 7: giving up, as asked",
    )  # fmt: skip
    again = await story.add("exit7", files=(outputs[3],), parent=bad, attempt_nr=2, max_attempt=2)
    await story.travel(again, until="running")
    story.after(1500)
    gone = await story.add("missing input")
    await story.travel(gone, until="stagein")
    story.after(200)
    await story.move(
        gone, "failed", "failed", host="node7.example.org", pilot_error_code=1331,
        pilot_error_diag="no replica of no-such-file.root: DEMO_DISK says that it does not exist",
    )  # fmt: skip
    checked = await story.add("quick")
    await story.travel(checked)
    stopped = await story.add("unwanted")
    story.after(800)
    await story.move(stopped, "cancelled")
    moving = await story.add("bring input")
    await story.travel(moving, until="stagein")
    story.after(900)
    await story.add("waiting for its turn")


def signed_in(browser: Browser, site: Served, watch: Watch, **options: object) -> Page:
    """A new page of a new visitor who has logged in."""
    from browser_kit import PATIENCE_MS

    context = browser.new_context(**options)  # type: ignore[arg-type]
    watch.context(context)
    context.add_cookies([{"name": SESSION_COOKIE, "value": site.door.session, "url": site.url}])
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    return page
