"""Running a mover's program: its environment with credentials, its signs of life, its end.

What is run and what its end means is `command` and the movers derived from it; the running itself is `system.run`,
so that the whole process tree dies with the transfer worker, whatever it forks and detaches.
"""

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from picard_pilot.model.command import CommandResult
from picard_pilot.model.transfer import StorageAccess, TransferContext
from picard_pilot.movers.base import Progress
from picard_pilot.system import mark, proc
from picard_pilot.system.run import run
from picard_pilot.system.shim.tree import read_small

LOOK_S = 0.2
"""Between two looks at a running program: what another process does gives no event; a look costs 0.1 ms."""

SIGN_BYTES = 1 << 20
"""So much read or written by a program is a sign of life. Less may be a hanging one that looks again and again whether
it may go on; within the minute that the pilot waits this is 17 kB/s, far below the slowest transfer that it allows."""

OUTPUT_LIMIT_BYTES = 64 << 20
"""Per stream: ten hours of a progress bar on standard error. A program that writes more is ended."""

OVERRUN_BYTES = 64 << 20
"""So much larger than announced may a file be while it is fetched: programs reserve room in blocks of their own."""

GRACE_S = 2.0
"""Between SIGTERM and SIGKILL where a program is ended by us: enough to remove a temporary file."""

NOT_FOR_PROGRAMS = (
    "BEARER_TOKEN",
    "BEARER_TOKEN_FILE",
    "OIDC_AUTH_TOKEN",
    "OIDC_AUTH_TOKEN_FILE",
    "OIDC_AUTH_ORIGIN",
    "PANDA_AUTH_TOKEN",
)
"""Variables with the pilot's own tokens, which are for the server and not for a site's programs."""


def run_program(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str],
    folder: Path,
    on_look: Callable[["int | None"], None],
    stdin: bytes | None = None,
    stdout: Path | None = None,
) -> CommandResult:
    """Run a program to its end, in the calling thread. It has no time limit here: the pilot's watch ends a hang.

    `on_look` is called a few times a second and once at the end, with the pid of the program's launcher (None before
    there is one); an exception of it ends the program.
    """
    return asyncio.run(_run(argv, environment, folder, on_look, stdin, stdout))


async def _run(
    argv: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    on_look: Callable[["int | None"], None],
    stdin: bytes | None,
    stdout: Path | None,
) -> CommandResult:
    launchers: list[int] = []
    task = asyncio.create_task(
        run(
            argv,
            cwd=folder,
            env={**environment, **mark.mine()},
            stdin=stdin,
            stdout=stdout,
            output_limit_bytes=OUTPUT_LIMIT_BYTES,
            grace_s=GRACE_S,
            on_start=launchers.append,
        )
    )
    try:
        while not task.done():
            await asyncio.wait((task,), timeout=LOOK_S)
            on_look(launchers[0] if launchers else None)
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait((task,))


class Overrun(Exception):
    """A file that is being fetched is larger than it may be."""


class Life:
    """What a running program moves, as far as it shows from outside.

    A fetch shows in the growing files of `folder`; where there is none, or it does not grow, what the processes read
    and write counts (/proc/PID/io). The bytes of a store are guessed from that, up to `size_bytes`. A fetch that goes
    on far behind `expected_bytes` raises Overrun: it would end with the node's disk.
    """

    def __init__(
        self,
        progress: Progress,
        folder: Path | None = None,
        size_bytes: int = 0,
        expected_bytes: int | None = None,
    ) -> None:
        self.progress = progress
        self._folder = folder
        self._expected_bytes = expected_bytes
        self._left_bytes = size_bytes
        self._seen_bytes = 0
        self._moved_bytes = 0
        self._by_process: dict[tuple[int, int], int] = {}

    def look(self, launcher: int | None) -> None:
        """Look once, and say what is new."""
        if self._folder is not None:
            sizes = tuple(_sizes(self._folder))
            expected = self._expected_bytes
            if expected is not None and max(sizes, default=0) > expected + OVERRUN_BYTES:
                raise Overrun
            there = sum(sizes)
            if there > self._seen_bytes:
                self.progress(there - self._seen_bytes)
                self._seen_bytes = there
                return
        if launcher is not None:
            self._moved_bytes += self._moved_since(launcher)
        if self._moved_bytes >= SIGN_BYTES:
            passed = min(self._moved_bytes, self._left_bytes)
            self._left_bytes -= passed
            self._moved_bytes = 0
            self.progress(passed)

    def end(self) -> None:
        """The program has ended well: all bytes of a store have passed."""
        left, self._left_bytes = self._left_bytes, 0
        if left:
            self.progress(left)

    def _moved_since(self, launcher: int) -> int:
        moved = 0
        for process in proc.descendants(launcher):
            key = (process.pid, process.start_ticks)
            now = _read_and_written(process.pid)
            # What it read until it was first seen was its own libraries: a loop around `sleep` is no life.
            moved += max(0, now - self._by_process.get(key, now))
            self._by_process[key] = now
        return moved


def _sizes(folder: Path) -> Iterator[int]:
    for path in folder.rglob("*"):
        try:
            yield path.lstat().st_size
        except OSError:
            pass  # it was renamed at this moment


def _read_and_written(pid: int) -> int:
    """Bytes that the process asked the kernel to read or write so far; 0 where that is not ours to see."""
    lines = read_small(f"/proc/{pid}/io").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith((b"rchar:", b"wchar:")))


@contextmanager
def program_environment(context: TransferContext, more: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """The variables of a mover's program: the worker's, the queue's, the mover's own, and where the credentials are.

    A token is in a file without a name that only this user may read, and which is gone with this context or with
    this process. The tokens of the worker's own environment are left out.
    """
    inherited = {name: value for name, value in os.environ.items() if name not in NOT_FOR_PROGRAMS}
    environment = {**inherited, **context.environment, **more, **_x509(context.access)}
    if context.access.token is None:
        yield environment
        return
    fd = os.memfd_create("token")
    try:
        os.fchmod(fd, 0o600)  # some programs refuse a token that others could read
        os.write(fd, context.access.token.encode())
        yield {**environment, "BEARER_TOKEN_FILE": f"/proc/{os.getpid()}/fd/{fd}"}
    finally:
        os.close(fd)


def _x509(access: StorageAccess) -> dict[str, str]:
    """Certificates by the names that grid programs, OpenSSL and curl know."""
    found: dict[str, str] = {}
    if access.certificate is not None and access.key is None:
        found["X509_USER_PROXY"] = access.certificate
    elif access.certificate is not None and access.key is not None:
        found["X509_USER_CERT"], found["X509_USER_KEY"] = access.certificate, access.key
    if access.ca_dir is not None:
        found["X509_CERT_DIR"] = access.ca_dir
    if access.ca_file is not None:
        found["SSL_CERT_FILE"] = found["CURL_CA_BUNDLE"] = access.ca_file
    return found
