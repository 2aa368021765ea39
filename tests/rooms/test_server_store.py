"""The store: one transaction for the writes of a turn of the loop, undo of one, and the feed of changes."""

import asyncio
import sqlite3

import pytest

from picard_pilot.server import queries
from picard_pilot.server.feed import KEPT_CHANGES, Change, ChangeFeed
from picard_pilot.server.store import SCHEMA_VERSION, StoreError, open_store


@pytest.fixture
def path(tmp_path):
    """Where the database is."""
    return tmp_path / "server.sqlite"


def note(name):
    """A write that leaves a trace."""
    return lambda transaction: transaction.execute("INSERT INTO counters VALUES (?, 1)", (name,))


def names(connection):
    """The traces."""
    return {row[0] for row in connection.execute("SELECT name FROM counters WHERE name != 'definition_id'")}


def on_store(path, story):
    """Run a story with an open store."""

    async def run():
        store = open_store(path)
        try:
            return await story(store)
        finally:
            store.close()

    return asyncio.run(run())


def test_writes_of_one_turn_share_a_transaction(path):
    """And each is told only when all are on disk."""

    async def story(store):
        commits = []
        store._connection.set_trace_callback(
            lambda statement: commits.append(statement) if statement == "COMMIT" else None
        )
        await asyncio.gather(*(store.write(note(f"w{n}")) for n in range(20)))
        store._connection.set_trace_callback(None)
        return len(commits), store.read_now(names)

    commits, written = on_store(path, story)
    assert commits == 1
    assert len(written) == 20


def test_a_failed_write_undoes_itself_only(path):
    """The others of the same turn stay."""

    def fail(transaction):
        note("half")(transaction)
        raise ValueError("no")

    async def story(store):
        results = await asyncio.gather(
            store.write(note("a")), store.write(fail), store.write(note("b")), return_exceptions=True
        )
        assert isinstance(results[1], ValueError)
        return store.read_now(names)

    assert on_store(path, story) == {"a", "b"}


def test_a_full_disk_fails_the_writes_and_no_later_one(path):
    """Nothing of the transaction stays, and the store goes on when there is room."""

    async def story(store):
        pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
        store._connection.execute(f"PRAGMA max_page_count = {pages + 1}")
        big = lambda transaction: transaction.execute(  # noqa: E731
            "INSERT INTO pilot_logs (job_id, at, text) VALUES (1, 1, ?)", ("x" * 100_000,)
        )
        results = await asyncio.gather(store.write(note("small")), store.write(big), return_exceptions=True)
        assert isinstance(results[1], sqlite3.OperationalError)
        store._connection.execute("PRAGMA max_page_count = 1000000")
        told = not isinstance(results[0], BaseException)
        await store.write(note("later"))
        return told, store.read_now(names)

    told, written = on_store(path, story)
    assert ("small" in written) is told
    assert "later" in written


def test_a_lost_commit_reaches_every_writer(path):
    """None of them is told that its write is safe."""

    async def story(store):
        store.apply(note("a"))
        store.apply(note("b"))
        store._connection.execute("ROLLBACK")
        with pytest.raises(sqlite3.OperationalError):
            await store.committed()
        await store.write(note("c"))
        return store.read_now(names)

    assert on_store(path, story) == {"c"}


def test_readers_cannot_write(path):
    """They have a connection of their own."""

    async def story(store):
        with pytest.raises(sqlite3.OperationalError):
            await store.read(lambda connection: connection.execute("DELETE FROM counters"))

    on_store(path, story)


def test_what_was_written_is_there_after_reopening(path):
    """And the feed goes on counting."""

    async def first(store):
        def work(transaction):
            job = "INSERT INTO jobs (attempt_nr, max_attempt, definition_id, name, queue, label, owner, priority,"
            job += " transformation, cores, status, created_at, changed_at, updated_at)"
            transaction.execute(
                job + " VALUES (1, 1, 1, '', 'Q', 'user', 'x', 0, 't', 1, 'activated', 0, 0, 0)"
            )
            transaction.log(1, "activated", who="user")

        await store.write(work)
        return store.feed.last_event_id

    async def second(store):
        return store.feed.last_event_id

    assert on_store(path, first) == on_store(path, second) == 1


def test_a_database_of_another_version_is_not_touched(path):
    """The message says what to do."""
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()

    with pytest.raises(StoreError) as caught:
        open_store(path)
    assert len(str(caught.value).splitlines()) == 3


def test_a_file_that_is_no_database(path):
    """Is refused and left as it is."""
    path.write_bytes(b"this is no database, " * 100)

    with pytest.raises(StoreError):
        open_store(path)
    assert path.read_bytes().startswith(b"this is no database")


def test_every_query_is_good_sql(path):
    """Each statement of each file is prepared once against the schema."""

    async def story(store):
        for file_name in ("jobs.sql", "adder.sql", "views.sql", "status_log.sql", "usage.sql"):
            for name, sql in queries.load(file_name).items():
                text = sql.format(columns=", host = ?") if "{columns}" in sql else sql
                count = text.count("?")
                named = {
                    word.strip("(),;") for word in text.replace("=", " ").split() if word.startswith(":")
                }
                values = dict.fromkeys((word.lstrip(":") for word in named), None) or (None,) * count
                try:
                    store._connection.execute(f"EXPLAIN {text}", values)
                except sqlite3.ProgrammingError as error:
                    # A name within brackets was not found by this simple reading.
                    assert "binding" in str(error), (file_name, name)

    on_store(path, story)


def collect(feed, after, count):
    """The next changes."""

    async def run():
        found = []
        async for change in feed.subscribe(after):
            found.append(change)
            if len(found) == count:
                return found
        return found

    return asyncio.create_task(run())


def changes(*numbers):
    """Changes with these numbers, of jobs ten times as high."""
    return [Change(event_id=number, job_id=number * 10) for number in numbers]


def test_subscribers_get_every_change_in_order():
    """From the one they saw last."""

    async def story():
        feed = ChangeFeed(5)
        feed.publish(changes(6, 7))
        late, new = collect(feed, 6, 2), collect(feed, None, 1)
        await asyncio.sleep(0)
        feed.publish(changes(8))
        return await late, await new

    late, new = asyncio.run(story())
    assert late == changes(7, 8)
    assert new == changes(8)


@pytest.mark.parametrize("after", [3, 99])
def test_a_subscriber_that_missed_too_much_is_told(after):
    """Or one that saw changes of another database: it must read everything anew."""

    async def story():
        feed = ChangeFeed(5)
        feed.publish(changes(6))
        return await collect(feed, after, 1)

    assert asyncio.run(story()) == [Change(event_id=6, job_id=None)]


def test_old_changes_are_forgotten():
    """Beyond the number kept."""

    async def story():
        feed = ChangeFeed(0)
        feed.publish(changes(*range(1, KEPT_CHANGES + 3)))
        return await collect(feed, 1, 1), await collect(feed, 2, 1)

    gone, kept = asyncio.run(story())
    assert gone == [Change(event_id=KEPT_CHANGES + 2, job_id=None)]
    assert kept == changes(3)


def test_a_stopping_server_ends_every_subscription():
    """Also those that wait."""

    async def story():
        feed = ChangeFeed(0)
        waiting = collect(feed, None, 5)
        await asyncio.sleep(0)
        feed.close()
        return await waiting

    assert asyncio.run(story()) == []
