"""What a payload's launcher writes down of that which the payload makes outside of its directory."""

import asyncio
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from launch_kit import payload
from process_kit import go, until

from picard_pilot.payload import launcher
from picard_pilot.payload.launch import LaunchSpec
from picard_pilot.system.shim.kernel import call
from picard_pilot.system.shim.protocol import SEEN_FILE, encode_record, verified_record
from picard_pilot.system.shim.seen import segments

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
    assert (number, found[0]["key"], found[0]["pid"]) in segments(os.geteuid())


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


@pytest.mark.parametrize("place", ["/dev/shm", "/tmp", "/var/tmp"])
def test_a_file_that_a_payload_has_open_is_its_own(tmp_path: Path, place: str) -> None:
    """Seen at once, so that a launcher which is killed later has told."""
    name = Path(place, f"picard-test-{secrets.token_hex(8)}")
    spec = python(
        tmp_path,
        f"import os, time\nfile = open({str(name)!r}, 'w')\nwhile not os.path.exists('go'): time.sleep(0.01)\n",
    )
    mine = [("file", 1)]

    async def whole() -> None:
        handle = await launcher.launch(spec)
        until(lambda: kinds(tmp_path, name) == mine, f"a record of {name}: {seen(tmp_path)}")
        (tmp_path / "go").touch()
        await launcher.wait(handle)

    try:
        go(whole())
        assert kinds(tmp_path, name) == mine
        record = next(each for each in seen(tmp_path) if path_of(each) == name)
        status = name.stat()
        assert (record["device"], record["inode"]) == (status.st_dev, status.st_ino)
    finally:
        name.unlink(missing_ok=True)


def test_a_file_that_is_only_mapped_is_seen_too(tmp_path: Path) -> None:
    """As POSIX shared memory is: its descriptor is closed once it is mapped."""
    name = Path("/dev/shm", f"picard-test-{secrets.token_hex(8)}")
    code = (
        "import ctypes, os, time\nlibrary = ctypes.CDLL(None)\n"
        f"fd = os.open({str(name)!r}, os.O_RDWR | os.O_CREAT)\nos.ftruncate(fd, 4096)\n"
        "library.mmap(None, 4096, 3, 1, fd, 0); os.close(fd)\nwhile not os.path.exists('go'): time.sleep(0.01)\n"
    )

    async def whole() -> None:
        handle = await launcher.launch(python(tmp_path, code))
        until(lambda: kinds(tmp_path, name) == [("file", 1)], f"a record of {name}")
        (tmp_path / "go").touch()
        await launcher.wait(handle)

    try:
        go(whole())
    finally:
        name.unlink(missing_ok=True)


def test_a_file_of_another_process_is_never_sure(tmp_path: Path) -> None:
    """The payload opens it as well: it is not the payload's for that."""
    name = Path("/dev/shm", f"picard-test-{secrets.token_hex(8)}")
    wait = "import os, time\nwhile not os.path.exists('go'): time.sleep(0.01)\n"

    async def whole() -> None:
        handle = await launcher.launch(python(tmp_path, wait + f"kept = open({str(name)!r})\n"))
        fd = os.open(name, os.O_RDWR | os.O_CREAT, 0o600)
        (tmp_path / "go").touch()
        await launcher.wait(handle)
        os.close(fd)

    try:
        go(whole())
        assert ("file", 1) not in kinds(tmp_path, name)
    finally:
        name.unlink(missing_ok=True)


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
