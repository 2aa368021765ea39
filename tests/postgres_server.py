"""A PostgreSQL server for tests: Debian's, on a socket in a directory of its own, gone without a trace afterwards.

Only local and trusting: nobody else can reach its directory.
"""

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from grid import wait_for

SUPERUSER = "rucio"
PREFIX = "picard-postgres-"
"""Of a server's directory; the test process's pid follows."""
DEBIAN_PROGRAMS = Path("/usr/lib/postgresql")
"""Debian keeps them out of the path, one folder per version."""
END_PATIENCE_S = 30.0
PR_SET_PDEATHSIG = 1


def programs() -> Path | None:
    """The folder of `initdb` and `postgres`, the newest version's; None where there is none."""
    found = sorted(DEBIAN_PROGRAMS.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).parent if on_path else None


def dies_with_us(by: signal.Signals) -> Callable[[], None]:
    """For `preexec_fn`: the child gets this signal when the test process ends, however it ends."""
    library = ctypes.CDLL(None, use_errno=True)
    return lambda: library.prctl(PR_SET_PDEATHSIG, int(by)) and None


@contextmanager
def running_postgres(database: str) -> Iterator[str]:
    """A fresh server with one empty database; gives its address as SQLAlchemy writes it."""
    folder = programs()
    assert folder is not None
    # Not below pytest's own directory: that one is closed to every other user, and PostgreSQL refuses root.
    _sweep()
    directory = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    user = _unprivileged(directory)
    data = directory / "data"
    server: subprocess.Popen[bytes] | None = None
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
    where: dict[str, Any] = {"cwd": directory, "env": environment, "stdin": subprocess.DEVNULL, **user}
    try:
        _run(
            folder / "initdb",
            *("-D", str(data), "-A", "trust", "-U", SUPERUSER, "--no-sync", "-E", "UTF8", "--no-locale"),
            **where,
        )
        with (directory / "log").open("wb") as log:
            server = subprocess.Popen(
                [
                    *(str(folder / "postgres"), "-D", str(data), "-k", str(directory)),
                    *("-c", "listen_addresses=", "-c", "fsync=off", "-c", "dynamic_shared_memory_type=mmap"),
                ],
                stdout=log,
                stderr=log,
                preexec_fn=dies_with_us(signal.SIGINT),  # noqa: PLW1509 - no other thread runs yet
                **where,
            )
        started = server

        def answers() -> bool:
            assert started.poll() is None, (directory / "log").read_text()
            ask = [str(folder / "pg_isready"), "-q", "-h", str(directory), "-U", SUPERUSER]
            return subprocess.run(ask, env=environment).returncode == 0

        wait_for(answers, "PostgreSQL is ready")
        _run(folder / "createdb", "-h", str(directory), "-U", SUPERUSER, database, **where)
        yield f"postgresql+psycopg://{SUPERUSER}@/{database}?host={directory}"
    finally:
        if server is not None:
            _end(server)
        shutil.rmtree(directory, ignore_errors=True)


def _sweep() -> None:
    """Remove what test processes left that were killed; their servers have ended with them."""
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*-*"):
        pid = left.name.removeprefix(PREFIX).partition("-")[0]
        if left.owner() in _owners() and not Path("/proc", pid).exists():
            shutil.rmtree(left, ignore_errors=True)


def _owners() -> tuple[str, ...]:
    """Whose our servers' directories may be."""
    own = pwd.getpwuid(os.geteuid()).pw_name
    return (own, "postgres", "nobody") if os.geteuid() == 0 else (own,)


def _unprivileged(directory: Path) -> dict[str, Any]:
    """As whom to start it, for `subprocess`; as root somebody else, who then owns the directory."""
    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = names.get("postgres") or names["nobody"]
    os.chown(directory, entry.pw_uid, entry.pw_gid)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _run(program: Path, *arguments: str, **where: Any) -> None:
    done = subprocess.run([str(program), *arguments], capture_output=True, text=True, **where)
    assert done.returncode == 0, f"{program.name}: {done.stdout}{done.stderr}"


def _end(server: subprocess.Popen[bytes]) -> None:
    """A fast shutdown, which takes its shared memory with it; only a server that hangs is killed."""
    if server.poll() is None:
        server.send_signal(signal.SIGINT)
    try:
        server.wait(END_PATIENCE_S)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
