"""External programs that lie, ramble, hang or die: each is classified and named, and the pilot goes on."""

import asyncio
import json
from pathlib import Path

import pytest
from program_kit import script
from worker_kit import bad, good, run

from picard_pilot.data.worker import TransferWorker, WorkerLimits
from picard_pilot.model.site import Endpoint, Protocol
from picard_pilot.model.transfer import (
    FailureClass,
    FetchRequest,
    How,
    Remedy,
    Side,
    StorageAccess,
    StoreRequest,
    TransferContext,
)
from picard_pilot.movers.base import SiteMover
from picard_pilot.plugins.loader import PluginError, load
from picard_pilot.testing.mover_kit import CONTENT, adler32, failed, ignore, names

ASK = """
import json, os, signal, sys, time
ask = json.loads(sys.stdin.readline())
def say(**words):
    print(json.dumps({"number": ask["number"], **words}), flush=True)
if ask["verb"] == "describe":
    say(result="cannot")
    sys.exit()
"""


def program(folder: Path, text: str) -> str:
    """The name of an external mover whose program does this when it is asked for a file."""
    return f"external:{script(folder / 'bin', 'program', ASK + text)}"


def made(name: str) -> SiteMover:
    """The mover."""
    mover: SiteMover = load("mover", name)()
    return mover


def fetch(folder: Path, **more: object) -> FetchRequest:
    """A request for a file."""
    return FetchRequest(lfn="in", surl="site://door/in", target=str(folder / "in"), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "without an answer"),
        ("print('all done')", "no answer"),
        ("print('{')", "no answer"),
        ("print('[]')", "no answer"),
        ("say(result='perhaps')", "no answer"),
        ("say(result='failed', kind='bad luck', says='x')", "no answer"),
        ("say(result='passed', passed_bytes='many')", "no answer"),
        ("ask['number'] += 1; say(result='done')", "answered number 2 where 1 was asked"),
        ("say(result='done'); say(result='done')", "went on after its answer"),
        ("os.write(1, b'\\xff\\xfe\\n')", "no answer"),
        (
            'os.write(1, b\'{"result":"done","number":1,"x":\' + b\'[\' * 60_000 + b\'\\n\'); time.sleep(1000)',
            "no answer",
        ),
        ("os.write(1, b'y' * 100_000); time.sleep(1000)", "does not end"),
        ("print('y' * 100_000); time.sleep(1000)", "a line "),
        ("while True: os.write(1, b'y' * 65536)", "does not end"),
    ],
    ids=[
        "nothing",
        "words",
        "half an object",
        "a list",
        "unknown result",
        "unknown class",
        "no number of bytes",
        "wrong number",
        "twice",
        "no UTF-8",
        "deep",
        "endless line",
        "long line",
        "endless output",
    ],
)
def test_a_program_that_breaks_the_protocol_is_named(tmp_path: Path, text: str, words: str) -> None:
    """It is the program's own fault, said with its path and what it said; another way may work at once."""
    failure = failed(lambda: made(program(tmp_path, text)).fetch(fetch(tmp_path), ignore))
    assert (failure.kind, failure.side, failure.remedy, failure.code) == (
        FailureClass.TRANSFER,
        Side.NODE,
        Remedy.MISTAKE,
        "protocol",
    )
    assert words in failure.says
    assert "bin/program broke the mover protocol" in failure.says
    assert len(failure.says) < 1000
    assert names(tmp_path) == ["bin"]


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("say(result='done')", FailureClass.TRANSFER, "left no file"),
        ("say(result='done'); sys.exit(3)", FailureClass.TRANSFER, "exit code 3"),
        ("os.kill(os.getpid(), signal.SIGKILL)", FailureClass.TRANSFER, "SIGKILL"),
        ("say(result='cannot')", FailureClass.SPECIFICATION, "cannot fetch"),
        ("open(ask['path'], 'w').write('abc'); say(result='done')", FailureClass.CHECKSUM, "3 bytes"),
    ],
    ids=["done without a file", "done and then not", "killed", "cannot", "other bytes"],
)
def test_a_program_that_fails(tmp_path: Path, text: str, kind: FailureClass, words: str) -> None:
    """Its end counts more than its words, and the file more than both."""
    failure = failed(lambda: made(program(tmp_path, text)).fetch(fetch(tmp_path, size_bytes=4), ignore))
    assert failure.kind is kind, failure
    assert words in failure.says
    assert names(tmp_path) == ["bin"]


@pytest.mark.parametrize("kind", list(FailureClass))
def test_a_programs_own_classification(tmp_path: Path, kind: FailureClass) -> None:
    """It knows best: class, pause, side and the storage's word are kept, whatever it exits with."""
    text = (
        f"say(result='failed', kind={kind.value!r}, says='the door is shut', retry_after_s=7, errno=5,"
        "code='door 9', remedy='bench', later_version='x')\nsys.exit(4)"
    )
    store = StoreRequest(lfn="out", source=str(tmp_path / "out"), surl="site://door/out")
    (tmp_path / "out").write_bytes(CONTENT)
    failure = failed(lambda: made(program(tmp_path, text)).store(store, ignore))
    assert (failure.kind, failure.retry_after_s, failure.errno, failure.code, failure.remedy) == (
        kind,
        7.0,
        5,
        "door 9",
        Remedy.BENCH,
    )
    assert failure.says == "the store of out failed: the door is shut"


def test_what_a_program_is_asked(tmp_path: Path) -> None:
    """The request by the names of the protocol's page; the token in its file, never in the question."""
    seen = tmp_path / "seen"
    text = (
        f"open({str(seen)!r}, 'w').write(json.dumps([ask, open(os.environ['BEARER_TOKEN_FILE']).read()]))\n"
        "say(result='done', already_there=True)"
    )
    (tmp_path / "out").write_bytes(CONTENT)
    store = StoreRequest(
        lfn="out",
        scope="mc",
        guid="A-GUID",
        dataset="mc.set",
        source=str(tmp_path / "out"),
        surl="site://door/out",
        context=TransferContext(
            endpoint=Endpoint(name="SE", protocols=(Protocol(prefix="site://door"),)),
            queue="NORTH",
            activity="pw",
            job_id=42,
            access=StorageAccess(token="secret-of-the-storage"),
        ),
    )
    assert made(program(tmp_path, text)).store(store, ignore).how is How.ALREADY_THERE
    asked, token = json.loads(seen.read_text())
    assert token == "secret-of-the-storage"
    assert asked == {
        "api": 1,
        "number": 1,
        "verb": "store",
        "lfn": "out",
        "scope": "mc",
        "guid": "A-GUID",
        "dataset": "mc.set",
        "surl": "site://door/out",
        "path": str(tmp_path / "out"),
        "size_bytes": len(CONTENT),
        "checksum": {"kind": "adler32", "value": adler32(CONTENT).value},
        "endpoint": "SE",
        "queue": "NORTH",
        "activity": "pw",
        "job_id": 42,
    }


def test_a_program_that_waits_says_so(tmp_path: Path) -> None:
    """`passed` lines keep a transfer alive that moves nothing, such as one that waits for a tape."""
    text = (
        "for _ in range(90):\n"
        "    say(result='passed', passed_bytes=0)\n"
        "    time.sleep(0.1)\n"
        "open(ask['path'], 'w').write('abc')\n"
        "say(result='done')"
    )

    async def work() -> None:
        async with TransferWorker(limits=WorkerLimits(stall_s=6.0), log_path=tmp_path / "log") as worker:
            asked = fetch(tmp_path, movers=(program(tmp_path, text),))
            assert good(await worker.transfer(asked)).size_bytes == 3

    run(work())


def test_a_program_that_hangs_shows_no_progress(tmp_path: Path) -> None:
    """However busily it asks whether it is time: the stall watch ends it."""
    text = "while True: time.sleep(0.01); os.system('true')"

    async def work() -> None:
        async with TransferWorker(limits=WorkerLimits(stall_s=2.0), log_path=tmp_path / "log") as worker:
            asked = fetch(tmp_path, movers=(program(tmp_path, text),))
            assert bad(await worker.transfer(asked)).kind is FailureClass.TIMEOUT

    run(work())


def test_bytes_that_a_program_says_are_shown(tmp_path: Path) -> None:
    """Progress for people: what it says has passed, and what a verifying read adds."""
    text = (
        "say(result='passed', passed_bytes=1000)\n"
        "say(result='passed', passed_bytes=500)\n"
        "say(result='passed', passed_bytes=4000)\n"
        "open(ask['path'], 'w').close()\n"
        "say(result='done')"
    )
    passed: list[int] = []
    made(program(tmp_path, text)).fetch(fetch(tmp_path), passed.append)
    assert sum(passed) == 4000


def test_a_queue_that_names_no_program(tmp_path: Path) -> None:
    """The sentence shows how to write it; a program that is not there is named with what to do."""
    failure = failed(lambda: made("external").fetch(fetch(tmp_path), ignore))
    assert (failure.kind, failure.side) == (FailureClass.SPECIFICATION, Side.NODE)
    assert "external:/path/to/program" in failure.says
    failure = failed(lambda: made(f"external:{tmp_path}/none").fetch(fetch(tmp_path), ignore))
    assert failure.fault == "MIDDLEWAREIMPORTFAILURE"
    assert f"{tmp_path}/none" in failure.says


def test_a_mover_that_takes_no_place() -> None:
    """Not every mover is one for a place, and the loader says so."""
    with pytest.raises(PluginError, match="takes no place"):
        load("mover", "local:/somewhere")


def test_several_programs_at_once(tmp_path: Path) -> None:
    """Different requests do not wait for each other."""
    text = (
        f"open(os.path.join({str(tmp_path)!r}, 'here-' + ask['lfn']), 'w').close()\n"
        f"while len([n for n in os.listdir({str(tmp_path)!r}) if n.startswith('here-')]) < 3: time.sleep(0.01)\n"
        "open(ask['path'], 'w').write('abc')\n"
        "say(result='done')"
    )
    name = program(tmp_path, text)

    async def work() -> None:
        async with TransferWorker(log_path=tmp_path / "log") as worker:
            asked = [
                FetchRequest(lfn=lfn, surl=f"site://{lfn}", target=str(tmp_path / lfn), movers=(name,))
                for lfn in "abc"
            ]
            for done in await asyncio.gather(*(worker.transfer(each) for each in asked)):
                assert good(done).size_bytes == 3

    run(work())
