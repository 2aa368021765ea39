"""What a payload's launcher writes down of that which the payload makes outside of its directory."""

import asyncio
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from launch_kit import payload
from process_kit import go, until, until_async

from picard_pilot.payload import launcher
from picard_pilot.payload.launch import LaunchSpec
from picard_pilot.system.shim.kernel import call
from picard_pilot.system.shim.protocol import SEEN_FILE, encode_record, verified_record
from picard_pilot.system.shim.seen import WAKES_PER_S, segments
from picard_pilot.system.strays import IPC_RMID

SHM = "import ctypes; made = ctypes.CDLL(None).shmget(0, 4096, 0o600)\n"
"""A new shared memory segment, whose number is `made`."""


@pytest.fixture
def memory_stays_as_it_was() -> Iterator[list[int]]:
    """The segments in this list are removed after the test."""
    made: list[int] = []
    yield made
    for number in made:
        call("shmctl", number, 0, 0)


def seen(folder: Path) -> list[dict[str, Any]]:
    """The records of the launch in this folder."""
    path = folder / "launch" / SEEN_FILE
    lines = path.read_bytes().splitlines() if path.exists() else []
    found = [verified_record(line) for line in lines]
    assert None not in found
    return [json.loads(line) for line in found if line is not None]


def python(folder: Path, code: str, **more: object) -> LaunchSpec:
    """A payload that is a piece of Python."""
    program = folder / "program.py"
    program.write_text(code)
    return payload(folder, f"exec {sys.executable} -I {program}", **more)


def ended(spec: LaunchSpec) -> None:
    """Launch it and wait for its end, which is a good one."""

    async def whole() -> Any:
        return await launcher.wait(await launcher.launch(spec))

    found = go(whole())
    assert found.exit.exit_code == 0, (found, Path(spec.stderr).read_text())


WAYS = {
    "the main process": SHM,
    "an orphan in a session of its own": (
        "import os\nif os.fork() == 0:\n os.setsid()\n if os.fork() == 0:\n  " + SHM.replace("\n", "")
        + "; open('number', 'w').write(str(made)); os._exit(0)\n os._exit(0)\nos.wait()\n"
        "while not os.path.exists('number') or not open('number').read(): pass\nmade = int(open('number').read())\n"
    ),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_shared_memory_is_known_by_the_process_that_made_it(
    tmp_path: Path, way: str, memory_stays_as_it_was: list[int]
) -> None:
    """Whether it lives or not, as long as it did not vanish below another process of the payload."""
    ended(python(tmp_path, WAYS[way] + "open('made', 'w').write(str(made))\n"))
    number = int((tmp_path / "made").read_text())
    memory_stays_as_it_was.append(number)
    found = [record for record in seen(tmp_path) if record["kind"] == "segment" and record["id"] == number]
    assert [record["sure"] for record in found] == [1]
    assert segments()[number, found[0]["key"], found[0]["pid"]] == os.geteuid()


def test_shared_memory_of_others_is_not_taken_for_the_payloads(
    tmp_path: Path, memory_stays_as_it_was: list[int]
) -> None:
    """Made at the same time by the same user, by a process that lives: no word of it."""
    spec = python(tmp_path, "import os, time\nwhile not os.path.exists('go'): time.sleep(0.01)\n")

    async def whole() -> int:
        handle = await launcher.launch(spec)
        number = call("shmget", 0, 4096, 0o600)
        (tmp_path / "go").touch()
        await launcher.wait(handle)
        return number

    number = go(whole())
    memory_stays_as_it_was.append(number)
    assert [record for record in seen(tmp_path) if record.get("id") == number] == []


def test_shared_memory_of_a_process_that_is_gone_is_doubtful(
    tmp_path: Path, memory_stays_as_it_was: list[int]
) -> None:
    """Nobody can tell whose child it was: it may be another pilot's payload's, so it is told and not more."""
    spec = python(tmp_path, "import os, time\nwhile not os.path.exists('go'): time.sleep(0.01)\n")

    async def whole() -> int:
        handle = await launcher.launch(spec)
        said = await asyncio.to_thread(
            subprocess.check_output, [sys.executable, "-I", "-c", SHM + "print(made)"]
        )
        (tmp_path / "go").touch()
        await launcher.wait(handle)
        return int(said)

    number = go(whole())
    memory_stays_as_it_was.append(number)
    found = [record for record in seen(tmp_path) if record.get("id") == number]
    # A look may have come while that process lived: then it is known to be somebody else's.
    assert [record["sure"] for record in found] in ([], [0])


def test_semaphores_and_message_queues_are_told_and_no_more(tmp_path: Path) -> None:
    """The kernel does not note who made them. One that was there before is not mentioned, nor one that is gone."""
    before = call("semget", 0, 1, 0o600)
    code = (
        "import ctypes\nlibrary = ctypes.CDLL(None)\nmade = library.semget(0, 1, 0o600), library.msgget(0, 0o600)\n"
        "gone = library.msgget(0, 0o600)\nassert library.msgctl(gone, 0, 0) == 0\n"
        "open('made', 'w').write(' '.join(map(str, (*made, gone))))\n"
    )
    made: list[int] = []
    try:
        ended(python(tmp_path, code))
        made = list(map(int, (tmp_path / "made").read_text().split()))
        found = {(each["kind"], each["id"]): each["sure"] for each in seen(tmp_path)}
        assert found["semaphores", made[0]] == found["queue", made[1]] == 0
        assert not {("semaphores", before), ("queue", made[2])} & set(found)
    finally:
        for number in (before, *made[:1]):
            call("semctl", number, 0, IPC_RMID)
        for number in made[1:2]:
            call("msgctl", number, IPC_RMID, 0)


HOLD = """
import ctypes, os, time
def opened(path):
    return open(path, 'w')
def mapped(path):
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    os.ftruncate(fd, 4096)
    ctypes.CDLL(None).mmap(None, 4096, 3, 1, fd, 0)
    os.close(fd)
while not os.path.exists('go'):
    kept, again = {how}({path!r}), time.monotonic() + 2
    while not os.path.exists('go') and time.monotonic() < again:
        time.sleep(0.01)
    if not os.path.exists('go'):
        os.unlink({path!r})
"""
"""A payload that makes a file until it was seen with one: on a busy machine a look may come too soon."""


@pytest.mark.parametrize(
    ("place", "how"),
    [("/dev/shm", "opened"), ("/dev/shm", "mapped"), ("/tmp", "opened"), ("/var/tmp", "opened")],
)
def test_a_file_that_a_payload_has_open_is_its_own(tmp_path: Path, place: str, how: str) -> None:
    """Also one that is only mapped, as POSIX shared memory is. It is told at once, in case the launcher is killed."""
    name = Path(place, f"picard-test-{secrets.token_hex(8)}")

    async def whole() -> None:
        handle = await launcher.launch(python(tmp_path, HOLD.format(how=how, path=str(name))))
        until(lambda: ("file", 1) in kinds(tmp_path, name), f"a record of {name}")
        record = next(each for each in seen(tmp_path) if path_of(each) == name)
        assert record["device"] == Path(place).stat().st_dev
        assert record["pid"] == handle.main.pid
        (tmp_path / "go").touch()
        await launcher.wait(handle)
        assert record in seen(tmp_path)

    try:
        go(whole())
    finally:
        name.unlink(missing_ok=True)


def test_where_others_make_files_without_end_the_launcher_rests(tmp_path: Path) -> None:
    """Each new file in /tmp wakes every launcher of the node: not more than some times a second."""
    name = Path("/tmp", f"picard-test-{secrets.token_hex(8)}")
    spec = python(tmp_path, "import os, time\nwhile not os.path.exists('go'): time.sleep(0.01)\n")

    async def whole() -> tuple[float, float]:
        handle = await launcher.launch(spec)
        made, began = 0, time.monotonic()
        while made < 10 * allowed(time.monotonic() - began):
            name.touch()
            name.unlink()
            made += 1
        found = switches(handle.launcher.pid), allowed(time.monotonic() - began)
        (tmp_path / "go").touch()
        await launcher.wait(handle)
        return found

    wakes, most = go(whole())
    assert wakes < most


def allowed(took_s: float) -> float:
    """How often a launcher may wake up: two windows more than there are seconds, and what else it wakes up for."""
    return WAKES_PER_S * (took_s + 2) + 200


def switches(pid: int) -> int:
    """How often a process has gone to sleep."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))


def test_a_file_that_another_process_has_open_as_well_is_doubtful(tmp_path: Path) -> None:
    """The payload may only have come by: it is not the payload's for that."""
    folder = Path("/dev/shm", f"picard-test-{secrets.token_hex(8)}")
    name, inside = folder.with_suffix(".file"), folder / "file"
    code = (
        f"import os, time\nkept = open({str(inside)!r})\nopen('opened', 'w').close()\n"
        "while not os.path.exists('go'): time.sleep(0.01)\n"
    )

    async def whole() -> None:
        fd = os.open(inside, os.O_RDWR | os.O_CREAT, 0o600)
        handle = await launcher.launch(python(tmp_path, code))
        await until_async((tmp_path / "opened").exists, "the payload to open it")
        inside.rename(name)  # from here on it is where launchers look
        (tmp_path / "go").touch()
        await launcher.wait(handle)
        os.close(fd)

    folder.mkdir()
    try:
        go(whole())
        assert kinds(tmp_path, name) == [("file", 0)]
    finally:
        name.unlink(missing_ok=True)
        inside.unlink(missing_ok=True)
        folder.rmdir()


def test_a_file_that_was_removed_again_is_not_told(tmp_path: Path) -> None:
    """What is gone is no trace."""
    name = Path("/tmp", f"picard-test-{secrets.token_hex(8)}")
    ended(python(tmp_path, f"import os\nopen({str(name)!r}, 'w').close(); os.unlink({str(name)!r})\n"))
    assert ("file", 0) not in kinds(tmp_path, name)


def test_a_directory_is_doubtful(tmp_path: Path) -> None:
    """No process holds it: it may be anybody's of this user."""
    name = Path("/tmp", f"picard-test-{secrets.token_hex(8)}")
    try:
        ended(python(tmp_path, f"import os\nos.mkdir({str(name)!r})\n"))
        assert kinds(tmp_path, name) == [("file", 0)]
    finally:
        name.rmdir()


def kinds(folder: Path, path: Path) -> list[tuple[str, int]]:
    """What was written down of this path."""
    return [(record["kind"], record["sure"]) for record in seen(folder) if path_of(record) == path]


def path_of(record: dict[str, Any]) -> Path | None:
    """The path in a record; None where it is of something else."""
    return Path(os.fsdecode(bytes.fromhex(record["path"]))) if "path" in record else None


def test_what_the_payload_writes_among_the_records_does_not_last(tmp_path: Path) -> None:
    """The launcher writes them anew when no process of the payload is left."""
    forged = encode_record(
        {"event": "seen", "kind": "segment", "sure": 1, "id": 1, "key": 2, "pid": 3}
    ).decode()
    path = tmp_path / "launch" / SEEN_FILE
    ended(
        python(tmp_path, f"import os\nos.unlink({str(path)!r})\nopen({str(path)!r}, 'w').write({forged!r})\n")
    )
    assert path.exists()
    assert [record for record in seen(tmp_path) if record.get("key") == 2] == []
