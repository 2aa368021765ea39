"""Programs of movers: however they detach themselves, nothing of them moves after the verdict; what they may know."""

import asyncio
import json
import os
import signal
import stat
from pathlib import Path

import pytest
from program_kit import script
from worker_kit import bad, run

from picard_pilot.data.worker import TransferWorker, WorkerLimits
from picard_pilot.model.files import ChecksumKind
from picard_pilot.model.site import Endpoint, Protocol
from picard_pilot.model.transfer import (
    FailureClass,
    FetchRequest,
    Side,
    StorageAccess,
    StoreRequest,
    TransferContext,
    Transferred,
)
from picard_pilot.movers.base import SiteMover
from picard_pilot.plugins.loader import load
from picard_pilot.system.leftovers import find_leftovers, output_key
from picard_pilot.testing.mover_kit import CONTENT, DEADLINE_S, adler32, failed, ignore, names, until

RUNAWAY = """
import os, sys, time
ticks, first, second = {ticks!r}, sys.argv[-2], sys.argv[-1]
if os.fork() == 0:
    os.setsid()
    os.environ.clear()
    if os.fork():
        os._exit(0)
    out = os.open(ticks, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    while True:
        os.write(out, b"x")
        time.sleep(0.01)
while not os.path.exists(ticks):
    time.sleep(0.01)
time.sleep(1000)
"""


def lsm(folder: Path) -> SiteMover:
    """The lsm mover with the scripts of a folder."""
    made: SiteMover = load("mover", f"lsm:{folder}")()
    return made


STALL_S = 6.0
"""Longer than worker and program take to start on a busy machine, and shorter than the program that trickles."""


def fetch(folder: Path, mover: str = "", surl: str = "site://door/in", **more: object) -> FetchRequest:
    """A request for a file, by the scripts of `folder`."""
    return FetchRequest(
        lfn="in",
        surl=surl,
        target=str(folder / "in"),
        movers=(mover or f"lsm:{folder / 'bin'}",),
        **more,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("end", ["stall", "cancel", "crash"])
@pytest.mark.parametrize("direction", ["fetch", "store"])
def test_nothing_moves_after_the_verdict(tmp_path: Path, end: str, direction: str) -> None:
    """A program that forks twice, has its own session and no environment is gone when the verdict is there."""
    ticks = tmp_path / "ticks"
    for name in ("lsm-get", "lsm-put"):
        script(tmp_path / "bin", name, RUNAWAY.format(ticks=str(ticks)))
    (tmp_path / "out").write_bytes(CONTENT)
    request: FetchRequest | StoreRequest = fetch(tmp_path)
    if direction == "store":
        request = StoreRequest(
            lfn="out", source=str(tmp_path / "out"), surl="site://door/out", movers=request.movers
        )

    async def work() -> None:
        limits = WorkerLimits(stall_s=STALL_S if end == "stall" else DEADLINE_S)
        async with TransferWorker(limits=limits, log_path=tmp_path / "log") as worker:
            transfer = asyncio.create_task(worker.transfer(request))
            await until(lambda: ticks.exists() and ticks.stat().st_size > 0)
            if end == "stall":
                assert bad(await transfer).kind is FailureClass.TIMEOUT
            elif end == "cancel":
                transfer.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await transfer
            else:
                first = worker.pid
                assert first is not None
                os.kill(first, signal.SIGKILL)
                await until(lambda: worker.pid not in (None, first))
                transfer.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await transfer
            key = output_key(ticks)
            assert key is not None
            assert find_leftovers(None, {key}) == []

    run(work())


def test_a_fetch_that_trickles_lives(tmp_path: Path) -> None:
    """A slow program is no hanging one: the growing file is its sign of life, through many stall times."""
    script(
        tmp_path / "bin",
        "lsm-get",
        "import sys, time\n"
        "with open(sys.argv[2], 'wb', 0) as out:\n"
        "    for number in range(90):\n"
        "        out.write(b'x')\n"
        "        time.sleep(0.1)\n",
    )

    async def work() -> None:
        async with TransferWorker(limits=WorkerLimits(stall_s=STALL_S), log_path=tmp_path / "log") as worker:
            done = await worker.transfer(fetch(tmp_path))
            assert isinstance(done, Transferred), done
            assert done.size_bytes == 90

    run(work())


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("", FailureClass.TRANSFER, "left no file"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", FailureClass.TRANSFER, "SIGSEGV"),
        ("import sys; sys.exit(208)", FailureClass.CONTACT, "overload"),
        ("import sys; sys.exit(205)", FailureClass.CHECKSUM, "checksums differ"),
        ("import sys; sys.exit(213)", FailureClass.SPACE, "no room"),
        ("import sys; sys.exit(207)", FailureClass.AUTH, "no permission"),
        ("import sys; sys.exit(77)", FailureClass.TRANSFER, "exit code 77"),
        ("import os, sys; os.write(2, b'\\xff\\xfe bad'); sys.exit(200)", FailureClass.TRANSFER, "xff"),
        ("import sys; sys.exit('no\\x1b[31m red')", FailureClass.TRANSFER, "no?[31m red"),
        ("import os, sys; os.mkdir(sys.argv[2])", FailureClass.SPECIFICATION, "not a regular file"),
        ("import os, sys; os.symlink('/etc/passwd', sys.argv[2])", FailureClass.SPECIFICATION, "in"),
        (
            "import os\nwhile True: os.write(1, b'y' * 65536)",
            FailureClass.TRANSFER,
            "of output",
        ),
    ],
    ids=[
        "exit 0 without a file",
        "crash",
        "overload",
        "checksum",
        "full",
        "permission",
        "unknown code",
        "no UTF-8",
        "colours",
        "directory",
        "link",
        "endless output",
    ],
)
def test_bad_ends_are_classified(tmp_path: Path, text: str, kind: FailureClass, words: str) -> None:
    """Each way to fail has its class and a sentence with the file's name, and leaves nothing behind."""
    script(tmp_path / "bin", "lsm-get", text)
    failure = failed(lambda: lsm(tmp_path / "bin").fetch(fetch(tmp_path), ignore))
    assert failure.kind is kind, failure
    assert words in failure.says
    assert "\x1b" not in failure.says
    assert names(tmp_path) == ["bin"]


def test_noise_on_standard_error_is_no_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a program says while it works is kept in the log."""
    script(
        tmp_path / "bin",
        "lsm-get",
        "import sys\nopen(sys.argv[2], 'w').write('abc')\nsys.exit(print('Error: 42', file=sys.stderr))",
    )
    done = lsm(tmp_path / "bin").fetch(fetch(tmp_path), ignore)
    assert done.size_bytes == 3
    assert "Error: 42" in capsys.readouterr().err


def test_a_signature_that_a_program_repeats(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It gets the whole address, or it could do nothing; what it says of it is kept without its query."""
    script(
        tmp_path / "bin", "lsm-get", "import sys\nprint('no', sys.argv[1], file=sys.stderr)\nsys.exit(200)"
    )
    signed = fetch(tmp_path, surl="https://door/in?ticket=0a1b2c3d")
    failure = failed(lambda: lsm(tmp_path / "bin").fetch(signed, ignore))
    assert "no https://door/in?..." in failure.says
    assert "0a1b2c3d" not in failure.says + capsys.readouterr().err


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    """It is the node's trouble, and the sentence says what to do."""
    failure = failed(lambda: lsm(tmp_path / "bin").fetch(fetch(tmp_path), ignore))
    assert (failure.kind, failure.side, failure.fault) == (
        FailureClass.SPECIFICATION,
        Side.NODE,
        "MIDDLEWAREIMPORTFAILURE",
    )
    assert "lsm-get" in failure.says
    assert "PATH" in failure.says


def test_what_a_program_may_know(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue's variables, and the token in a private file that ends with the program; never on a command line."""
    monkeypatch.setenv("PANDA_AUTH_TOKEN", "for the server only")
    seen = tmp_path / "seen"
    script(
        tmp_path / "bin",
        "lsm-get",
        "import json, os, sys\n"
        "path = os.environ['BEARER_TOKEN_FILE']\n"
        f"with open({str(seen)!r}, 'w') as out:\n"
        "    json.dump([sys.argv, dict(os.environ), open(path).read(), os.stat(path).st_mode], out)\n"
        "open(sys.argv[2], 'w').close()\n"
        "print(open(path).read(), file=sys.stderr)\n"
        "sys.exit(200)\n",
    )
    access = StorageAccess(token="secret-of-the-storage", certificate="/proxy", ca_dir="/authorities")
    context = TransferContext(environment={"SITE_DOOR": "north"}, access=access)
    failure = failed(lambda: lsm(tmp_path / "bin").fetch(fetch(tmp_path, context=context), ignore))
    assert "secret-of-the-storage" not in failure.says
    argv, environment, token, mode = json.loads(seen.read_text())
    assert token == "secret-of-the-storage"
    assert stat.S_IMODE(mode) == 0o600
    assert environment["SITE_DOOR"] == "north"
    assert (environment["X509_USER_PROXY"], environment["X509_CERT_DIR"]) == ("/proxy", "/authorities")
    assert "PANDA_AUTH_TOKEN" not in environment
    assert "secret-of-the-storage" not in " ".join([*argv, *environment.values()])
    assert not Path(environment["BEARER_TOKEN_FILE"]).exists()


def test_what_lsm_put_is_told(tmp_path: Path) -> None:
    """The convention's options, in its order, and exit code 212 means that the same file is there."""
    seen = tmp_path / "seen"
    script(
        tmp_path / "bin",
        "lsm-put",
        f"import sys\nopen({str(seen)!r}, 'w').write('\\n'.join(sys.argv[1:]))\nsys.exit(212)",
    )
    (tmp_path / "out").write_bytes(CONTENT)
    endpoint = Endpoint(name="SE", protocols=(Protocol(prefix="site://door"),), token="ATLASDATADISK")
    request = StoreRequest(
        lfn="out",
        source=str(tmp_path / "out"),
        surl="site://door/out",
        guid="A-GUID",
        measure=ChecksumKind.ADLER32,
        context=TransferContext(endpoint=endpoint),
    )
    done = lsm(tmp_path / "bin").store(request, ignore)
    assert done.how == "already there"
    said = seen.read_text().split("\n")
    checksum = f"adler32:{adler32(CONTENT).value}"
    facts = ["--size", str(len(CONTENT)), "--checksum", checksum, "--guid", "A-GUID", "-t", "ATLASDATADISK"]
    assert said == [*facts, str(tmp_path / "out"), "site://door/out"]
