"""The database: opening it, one writer with group commit, readers beside it. What is written is not known here.

All writes go through `Store.write` on the event loop: those of one turn of the loop share one transaction and
one wait for the disk, and each answer leaves only after its transaction is on disk.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from picard_pilot.server import queries
from picard_pilot.server.feed import Change, ChangeFeed

SCHEMAS = ("schema.sql", "schema_2.sql", "schema_3.sql", "schema_4.sql")
"""What makes version 1 of nothing, 2 of 1, and so on: a database of an older server is brought up to date."""

SCHEMA_VERSION = len(SCHEMAS)
"""Number of our schema; a database of a later one is not opened."""

BUSY_TIMEOUT_S = 10.0
"""How long to wait for another process (a person with sqlite3) that holds the database."""

CACHED_STATEMENTS = 256
"""More than we have, so that no statement is ever parsed twice."""

_LOG = queries.load("status_log.sql")

Result = TypeVar("Result")
Clock = Callable[[], int]
"""Milliseconds since 1970 UTC."""


class StoreError(RuntimeError):
    """The database cannot be used; the text says why and what to do."""


def utc_ms() -> int:
    """The clock on the wall, in milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000


class Transaction:
    """What a write may use: the connection, the time, and the status log. Valid only during the write."""

    def __init__(self, connection: sqlite3.Connection, now: int) -> None:
        self.connection = connection
        self.now = now
        self.changes: list[Change] = []

    def execute(self, sql: str, parameters: tuple[object, ...] | dict[str, object] = ()) -> sqlite3.Cursor:
        """Run one statement."""
        return self.connection.execute(sql, parameters)

    @contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        """What is done within is undone if it ends with an exception, which passes; what was before stays."""
        told = len(self.changes)
        self.execute("SAVEPOINT part")
        try:
            yield
        except BaseException:
            if self.connection.in_transaction:
                self.execute("ROLLBACK TO part")
                self.execute("RELEASE part")
            del self.changes[told:]
            raise
        self.execute("RELEASE part")

    def log(
        self,
        job_id: int,
        status: str,
        *,
        who: str,
        sub_status: str | None = None,
        host: str | None = None,
        note: str | None = None,
    ) -> None:
        """Append to the status log; readers of the feed are told once the transaction is on disk."""
        row = (job_id, self.now, status, sub_status, host, who, note)
        event_id = self.execute(_LOG["append"], row).lastrowid
        assert event_id is not None
        self.changes.append(Change(event_id=event_id, job_id=job_id))


class Store:
    """The server's database. Make it with `open_store`, on the event loop that will use it."""

    def __init__(self, path: Path, connection: sqlite3.Connection, clock: Clock) -> None:
        self.path = path
        self.clock = clock
        self._connection = connection
        newest = connection.execute(_LOG["last_id"]).fetchone()[0]
        self.feed = ChangeFeed(newest)
        self._batch: _Batch | None = None
        self._readers = ThreadPoolExecutor(max_workers=2, thread_name_prefix="store-reader")

    async def write(self, work: Callable[[Transaction], Result]) -> Result:
        """Run `work` in a transaction and return its result once that is on disk.

        An exception from `work` undoes what it did, and only that. `sqlite3.Error` from the commit reaches
        every writer of the batch.
        """
        result = self.apply(work)
        await self.committed()
        return result

    def apply(self, work: Callable[[Transaction], Result]) -> Result:
        """As `write`, without waiting: nobody may be told of the result before `committed` has returned."""
        batch = self._batch
        if batch is None:
            batch = self._open_batch()
        transaction = Transaction(self._connection, self.clock())
        self._connection.execute("SAVEPOINT work")
        try:
            result = work(transaction)
        except BaseException as error:
            self._undo(batch, error)
            raise
        self._connection.execute("RELEASE work")
        batch.changes.extend(transaction.changes)
        return result

    async def committed(self) -> None:
        """Wait until everything applied so far is on disk; raises `sqlite3.Error` where it cannot be."""
        if self._batch is not None:
            await self._batch.join()

    def look(self, sql: str, parameters: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
        """A quick read on the event loop, seeing every write so far. For reads by key only."""
        return self._connection.execute(sql, parameters).fetchall()

    async def read(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Run a longer read in a thread of its own, on a connection that cannot write."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self.read_now, work)

    def read_now(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """As `read`, in the calling thread."""
        with _connected(f"file:{_quoted(self.path)}?mode=ro") as connection:
            return work(connection)

    def close(self) -> None:
        """End the feed, finish what is open, and fold the write-ahead log back into the database."""
        self.feed.close()
        self._readers.shutdown(wait=True)
        if self._batch is not None:
            self._commit(self._batch)
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._connection.close()

    def _open_batch(self) -> _Batch:
        loop = asyncio.get_running_loop()
        self._connection.execute("BEGIN IMMEDIATE")
        batch = self._batch = _Batch(loop)
        # After every handler that is ready in this turn of the loop has added its write.
        loop.call_soon(self._commit, batch)
        return batch

    def _undo(self, batch: _Batch, error: BaseException) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK TO work")
            self._connection.execute("RELEASE work")
            return
        # A full disk or a failing one makes SQLite give up the whole transaction, with the writes of others.
        self._batch = None
        batch.fail(error)

    def _commit(self, batch: _Batch) -> None:
        if self._batch is not batch:
            return
        self._batch = None
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            batch.fail(error)
            return
        batch.succeed()
        if batch.changes:
            self.feed.publish(batch.changes)


class _Batch:
    """The writes of one turn of the loop, and who waits for them."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: list[asyncio.Future[None]] = []
        self.changes: list[Change] = []

    async def join(self) -> None:
        """Wait for the end of the transaction; whoever is cancelled meanwhile disturbs nobody."""
        waiting = self._loop.create_future()
        self._waiting.append(waiting)
        await waiting

    def succeed(self) -> None:
        """Everything is on disk."""
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)

    def fail(self, error: BaseException) -> None:
        """Nothing was written."""
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_exception(error)


def open_store(path: Path, *, durable: bool = True, clock: Clock = utc_ms) -> Store:
    """Open the database, making it if there is none.

    Raises:
        StoreError: the file is no database of ours, or of another schema version.
    """
    # The only connection that writes; Store.write is used on one thread at a time.
    connection = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT_S, isolation_level=None, cached_statements=CACHED_STATEMENTS
    )
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        # FULL: a commit waits for the disk. NORMAL survives the death of the process, not of the machine.
        connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        _prepare_schema(connection, path)
    except sqlite3.DatabaseError as error:
        connection.close()
        raise StoreError(
            f"{path} cannot be used as the server's database\n{error}\n"
            "move it away, or give another data directory"
        ) from error
    except StoreError:
        connection.close()
        raise
    return Store(path, connection, clock)


def _prepare_schema(connection: sqlite3.Connection, path: Path) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version == SCHEMA_VERSION:
        return
    if not 0 <= version < SCHEMA_VERSION:
        raise StoreError(
            f"{path} was written by another version of the server\n"
            f"its schema has number {version}, this server knows {SCHEMA_VERSION}\n"
            "start the server that wrote it, or give another data directory"
        )
    steps = " ".join(queries.schema(name) for name in SCHEMAS[version:])
    connection.executescript(f"BEGIN IMMEDIATE; {steps} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")


@contextmanager
def _connected(uri: str) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    try:
        # One snapshot for all statements of this read.
        connection.execute("BEGIN")
        yield connection
    finally:
        connection.close()


def _quoted(path: Path) -> str:
    return str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
