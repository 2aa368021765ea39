"""One program of an XRootD storage as a test's own child: started as who it must be, frozen, thawed, killed, ended.

What the programs are told and how several make a federation is `federation`.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

RUN_AS = "xrootd"
"""XRootD refuses to run as root; Debian's package makes this user."""

PATIENCE_S = 60.0
"""How long a condition may take to come true on a busy machine before the test fails."""

POLL_S = 0.02


class Program:
    """A program that runs until it is told to end, and dies with the tests whatever happens to them.

    `is_up` tells that it can be used.
    """

    def __init__(
        self,
        argv: list[str],
        *,
        folder: Path,
        is_up: Callable[[], bool],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.argv = argv
        self.folder = folder
        self._is_up = is_up
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None, f"{self.argv[0]} was never started"
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it is up."""
        who = ["--reuid", RUN_AS, "--regid", RUN_AS, "--clear-groups"] if os.geteuid() == 0 else []
        with (self.folder / "said").open("ab") as said:
            self._process = subprocess.Popen(
                # The parent's death ends it too: nothing is left behind by tests that were killed.
                ["setpriv", "--pdeathsig", "KILL", *who, *self.argv],
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        wait_until(self._came_up, f"{self.argv[0]} in {self.folder.name} to be up", self.words)

    def _came_up(self) -> bool:
        if self._process is not None and (code := self._process.poll()) is not None:
            raise AssertionError(f"{self.argv[0]} left with {code}:\n{self.words()}")
        return self._is_up()

    def is_alive(self) -> bool:
        """Whether it runs, be it frozen."""
        return self._process is not None and self._process.poll() is None

    def freeze(self) -> None:
        """Stop it in the middle of whatever it does: its connections stay, and nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)
        wait_until(self._stands_still, f"{self.argv[0]} to stand still", self.words)

    def _stands_still(self) -> bool:
        """Whether each of its threads has stopped: on a busy machine they go on for a moment after the signal."""
        try:
            texts = [stat.read_text() for stat in Path(f"/proc/{self.pid}/task").glob("*/stat")]
        except OSError:  # one of them has just ended
            return False
        return all(text.rpartition(")")[2].split()[0] == "T" for text in texts)

    def thaw(self) -> None:
        """Let it go on, if it runs."""
        if self.is_alive():
            os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End it at once, also while it is frozen."""
        if self._process is not None and self.is_alive():
            self._process.kill()
            self._process.wait(PATIENCE_S)

    def words(self) -> str:
        """The last of what it said."""
        logs = [*self.folder.rglob("*.log"), self.folder / "said"]
        return "\n".join(log.read_text(errors="replace")[-3000:] for log in logs if log.exists())


def why_not() -> str | None:
    """Why XRootD's programs cannot run here, in one sentence; None where they can."""
    missing = [name for name in ("xrootd", "cmsd", "xrdfs", "setpriv") if shutil.which(name) is None]
    if missing:
        return (
            f"{', '.join(missing)} not found (Debian: apt-get install xrootd-server xrootd-client "
            "xrootd-server-plugins xrootd-scitokens-plugins)"
        )
    if os.geteuid() == 0:
        try:
            pwd.getpwnam(RUN_AS)
        except KeyError:
            return f"XRootD does not run as root and there is no user {RUN_AS}"
        if _maps_one_user():
            return "XRootD does not run as root and this user namespace has no other user"
    return None


def _maps_one_user() -> bool:
    """As under `unshare -r`, where root is all there is."""
    return [line.split()[2] for line in Path("/proc/self/uid_map").read_text().splitlines()] == ["1"]


def hand_over(*paths: Path) -> None:
    """Make these the servers' own, where they run as another user than the tests."""
    if os.geteuid() == 0:
        for path in paths:
            shutil.chown(path, RUN_AS, RUN_AS)


def free_ports(count: int) -> list[int]:
    """Ports that nothing uses on any address, since XRootD listens on all."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def listens(port: int) -> bool:
    """Whether somebody accepts connections there."""
    with socket.socket() as caller:
        caller.settimeout(1.0)
        return caller.connect_ex(("127.0.0.1", port)) == 0


def wait_until(
    condition: Callable[[], bool],
    what: str,
    evidence: Callable[[], str] = str,
    patience_s: float = PATIENCE_S,
) -> None:
    """Ask until it holds; fail with the evidence where it never does."""
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {patience_s:g} s: {what}\n{evidence()}"
        time.sleep(POLL_S)
