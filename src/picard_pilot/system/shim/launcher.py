"""The launcher's life: order, start, supervision, exit record.

What it calls: `child` (between fork and exec), `tree` (killing), `output` (sizes), `protocol` (records).

A caller starts it in a session of its own (see `system.spawn`). Then:

- It becomes the reaper of all its descendants, so that none leaves the tree, whatever it does to its session, its
  parents or its environment, and so that CPU times are complete.
- A *detached* command outlives the caller. It is recorded durably, with its process, before it may run: it waits
  at a gate that closes if the launcher dies. So a crash at any point leaves either no record of a start and
  nothing running, or a record. Its exit record lies in real blocks written before the start.
- An *attached* command dies with its caller: the end of the channel says so.
- What the main process leaves behind when it ends by itself is killed. A command that is to stop (by an order on
  the channel or the control FIFO, by SIGTERM or SIGINT to the launcher, by a limit) gets SIGTERM in its whole
  tree; when the grace is over, or at once without one, the tree is killed and reaped.
- All other signals are ignored: a batch system sends its warnings (SIGUSR1, SIGXCPU, SIGHUP ...) to every process
  of a job, and one that is meant for the payload must not end its launcher.
"""

import _signal
import posix
import select
import time

from picard_pilot.system.shim import child, recordfile, tree
from picard_pilot.system.shim.order import close_strangers, read_order
from picard_pilot.system.shim.output import Output
from picard_pilot.system.shim.protocol import (
    CHANNEL_FD,
    CONTROL_FILE,
    EXIT_FILE,
    KILL_PATIENCE_S,
    LAUNCHER_NAME,
    LOCK_FD,
    PROTOCOL,
    STARTED_FILE,
    Value,
    encode_record,
    word,
)
from picard_pilot.system.shim.seen import Seen

TYPE_CHECKING = False  # `typing` itself would cost more than everything else here
if TYPE_CHECKING:
    from typing import Any

KILL_PAUSE_S = 0.004
"""Between two rounds of killing, unless a child ends sooner."""
LONGEST_WAIT_MS = 86_400_000.0
"""A day; poll takes no more than 24 of them."""
STOP_SIGNALS = (_signal.SIGTERM, _signal.SIGINT)
_FAULTS = (_signal.SIGSEGV, _signal.SIGBUS, _signal.SIGFPE, _signal.SIGILL, _signal.SIGABRT)
"""What reports an error of the launcher itself keeps its effect."""


class Launcher:
    """One command from its order to its record."""

    def __init__(self, order: "dict[str, Any]", adopts: bool) -> None:
        self.order = order
        self.adopts = adopts
        self.directory: str | None = order["directory"]
        self.grace_s: float = order["grace_s"]
        self.output = Output(order["output_limit_bytes"])
        self.me = posix.getpid()
        self.main = 0
        self.main_ticks = 0
        self.main_status: int | None = None
        self.start_error: tuple[str, int] | None = None
        self.nothing_ran = False
        self.started_s = self.ended_s = 0.0  # monotonic
        self.started_at = self.ended_at = 0.0  # since 1970
        self.stopped_by: str | None = None
        self.limit_at: float | None = None  # monotonic, as the next two
        self.stop_at: float | None = None
        self.look_at: float | None = None
        self.childless = self.killing = False
        self.user_s = self.system_s = 0.0
        self.max_rss_kb = self.leftovers = self.survivors = 0
        self.channel = self.control = CHANNEL_FD
        self.control_text = b""
        self.gate_fd = self.status_fd = self.exit_fd = -1
        self.seen: Seen | None = None
        self.poller = select.poll()
        self.wakeup = self._catch_signals()

    def _catch_signals(self) -> int:
        """A descriptor on which the numbers of caught signals arrive."""
        reader, writer = posix.pipe()
        posix.set_blocking(reader, False)
        posix.set_blocking(writer, False)
        _signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        child.set_all_signals(_signal.SIG_IGN, but=_FAULTS)
        for number in (_signal.SIGCHLD, *STOP_SIGNALS):
            _signal.signal(number, lambda *_: None)
        self.poller.register(reader, select.POLLIN)
        return reader

    # ---- starting -----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Fork the command, record it, let it go. On trouble nothing has run and `start_error` is set."""
        stage = "record"
        try:
            if self.directory is not None:
                self._prepare(self.directory)
            stage = "fork"
            self._fork()
            self.started_at = time.time()
            stage = "record"
            if self.directory is not None:
                self._record_start(self.directory)
        except OSError as error:
            self.start_error, self.nothing_ran = (stage, error.errno or 0), True
            if self.gate_fd >= 0:
                posix.close(self.gate_fd)  # the child finds the gate closed and leaves
            return
        self.started_s = time.monotonic()
        posix.write(self.gate_fd, b"g")
        posix.close(self.gate_fd)
        self.poller.register(self.status_fd, select.POLLIN)
        self.poller.register(self.control, select.POLLIN)
        if self.order["time_limit_s"] is not None:
            # From here, not from the program's first step: its file system may hang while it is loaded.
            self.limit_at = self.started_s + self.order["time_limit_s"]
        if self.output.limit_bytes is not None:
            self.look_at = self.started_s

    def _prepare(self, directory: str) -> None:
        control = f"{directory}/{CONTROL_FILE}"
        recordfile.remove(control)
        posix.mkfifo(control, 0o600)
        # For reading and writing, so that it does not end when a writer closes it.
        self.control = posix.open(control, posix.O_RDWR | posix.O_NONBLOCK)
        self.exit_fd = recordfile.create(f"{directory}/{EXIT_FILE}")
        recordfile.overwrite(self.exit_fd, b"")
        self.seen = Seen(directory, self.poller, self.order.get("other_user"))

    def _record_start(self, directory: str) -> None:
        path = f"{directory}/{STARTED_FILE}"
        fd = recordfile.create(path)
        try:
            recordfile.overwrite(fd, encode_record(self._identity()))
            recordfile.sync_directory(directory)
        except OSError:
            recordfile.remove(path)  # perhaps it can be read although it is not durable
            raise
        finally:
            posix.close(fd)

    def _fork(self) -> None:
        gate, self.gate_fd = posix.pipe()
        self.status_fd, status = posix.pipe()
        self.main = posix.fork()
        if self.main == 0:
            lock = () if self.directory is None else (LOCK_FD,)
            child.become(self.order, self.me, (CHANNEL_FD, self.gate_fd, *lock), gate, status)
        posix.close(gate)
        posix.close(status)
        self.main_ticks = tree.start_ticks(self.main)

    # ---- supervising --------------------------------------------------------------------------------------

    def supervise(self) -> None:
        """Return when the command has ended or is to be killed."""
        self._reap()
        while not self._over():
            for fd, _ in self.poller.poll(self._timeout_ms()):
                if fd == self.wakeup:
                    self._read_signals()
                elif fd == self.status_fd:
                    self._read_status()
                elif fd == self.control:
                    self._read_control()
                elif self.seen is not None:
                    self.seen.ready()
            self._reap()
            self._watch()
        if self.status_fd >= 0 and self.main_status is not None:
            self._read_status()

    def _over(self) -> bool:
        if self.childless or (self.main_status is not None and self.stopped_by is None):
            return True
        return self.stop_at is not None and time.monotonic() >= self.stop_at

    def _timeout_ms(self) -> float | None:
        seen_at = None if self.seen is None else self.seen.next_at
        times = [at for at in (self.limit_at, self.stop_at, self.look_at, seen_at) if at is not None]
        if not times:
            return None
        return min(max(0.0, (min(times) - time.monotonic()) * 1000 + 1), LONGEST_WAIT_MS)

    def _read_signals(self) -> None:
        try:
            numbers = posix.read(self.wakeup, 4096)
        except BlockingIOError:
            return
        for number in numbers:
            if number in STOP_SIGNALS:
                self._stop(f"signal_{number}", self.grace_s)

    def _read_status(self) -> None:
        """The pipe ends without a word when the program runs, since it is closed on exec."""
        said = posix.read(self.status_fd, 100)
        if not self.nothing_ran:
            self.poller.unregister(self.status_fd)
        posix.close(self.status_fd)
        self.status_fd = -1
        if said:
            stage, _, number = said.decode().partition(" ")
            self.start_error = (stage, int(number))
        elif not self.nothing_ran:
            self._tell(self._identity())

    def _read_control(self) -> None:
        try:
            said = posix.read(self.control, 4096)
        except BlockingIOError:
            return
        except OSError:
            said = b""
        if not said:
            self.poller.unregister(self.control)
            self._stop("caller_gone", 0.0)
            return
        *lines, self.control_text = (self.control_text + said).split(b"\n")
        for line in lines:
            words = line.decode("ascii", "replace").split()
            if len(words) == 3 and words[0] == "stop" and words[1].isdigit():
                # Who has another user's stopped asks it as that user; sudo would pass on what we say as well.
                asked = self.order.get("other_user") is not None
                self._stop(word(words[2]), int(words[1]) / 1000, asked)

    def _stop(self, reason: str, grace_s: float, asked: bool = False) -> None:
        """Begin the ladder. Another order can only shorten it, and the first reason stays."""
        if self.stopped_by is None:
            self.stopped_by = reason
            if grace_s > 0 and not asked:
                tree.signal_descendants(_signal.SIGTERM, inner_only=self.order["own_process_space"])
        stop_at = time.monotonic() + grace_s
        self.stop_at = stop_at if self.stop_at is None else min(self.stop_at, stop_at)
        self.limit_at = None

    def _watch(self) -> None:
        now = time.monotonic()
        if self.seen is not None and now >= self.seen.next_at:
            self.seen.look()
        if self.limit_at is not None and now >= self.limit_at:
            self._stop("time_limit", self.grace_s)
        if self.look_at is not None and now >= self.look_at:
            over, gross, again_s = self.output.look()
            self.look_at = now + again_s
            if over:
                self._stop("output_limit", 0.0 if gross else self.grace_s)

    def _reap(self) -> bool:
        """Reap all that have ended; whether there are children left."""
        while True:
            try:
                pid, status, usage = posix.wait4(-1, posix.WNOHANG)
            except ChildProcessError:
                self.childless = True
                return False
            if pid == 0:
                return True
            self.user_s += usage.ru_utime
            self.system_s += usage.ru_stime
            self.max_rss_kb = max(self.max_rss_kb, usage.ru_maxrss)
            if self.seen is not None:
                self.seen.ended.add(pid)
            if pid == self.main:
                self.main_status = status
                self.ended_s, self.ended_at = time.monotonic(), time.time()
            elif self.killing:
                self.leftovers += 1

    def kill(self) -> None:
        """Look, kill, reap, again, until there is nobody left.

        This wins against a chain of processes that forks faster than one look takes, since an orphan comes to us;
        stopping them all first was measured to lose.
        """
        self._reap()
        if self.seen is not None:
            self.seen.look()  # who lives still shows whose child it is
        self.killing = True
        if self.order["cgroup"] is not None:
            # The only way to those of another user; and it cannot lose a race.
            recordfile.tell(f"{self.order['cgroup']}/cgroup.kill", b"1")
        seen: set[int] = set()
        give_up_s = time.monotonic() + KILL_PATIENCE_S
        while self._reap() or self._kill_strays():
            pids = tree.signal_descendants(_signal.SIGKILL)
            if pids != seen:
                seen, give_up_s = pids, time.monotonic() + KILL_PATIENCE_S
            elif time.monotonic() > give_up_s:
                self.survivors = max(1, len(pids))
                return
            self._pause()

    def _kill_strays(self) -> bool:
        """Where orphans do not come to us: kill what is left of the command's session; whether there was something."""
        if self.adopts or not self.main:
            return False
        return bool(tree.signal_session(self.main, self.main_ticks, _signal.SIGKILL))

    def _pause(self) -> None:
        poller = select.poll()
        poller.register(self.wakeup, select.POLLIN)
        poller.poll(KILL_PAUSE_S * 1000)
        self._read_signals()

    # ---- telling ------------------------------------------------------------------------------------------

    def _identity(self) -> dict[str, Value]:
        return {
            "event": "started",
            "protocol": PROTOCOL,
            "launch_id": self.order["launch_id"],
            "launcher_pid": self.me,
            "launcher_start_ticks": tree.start_ticks(self.me),
            "pid": self.main,
            "start_ticks": self.main_ticks,
            "boot_id": tree.read_small("/proc/sys/kernel/random/boot_id").decode().strip(),
            "host": word(posix.uname().nodename),
            "started_at": self.started_at,
        }

    def _ending(self) -> dict[str, Value]:
        exit_code = signal = None
        if self.main_status is not None and self.start_error is None:
            code = posix.waitstatus_to_exitcode(self.main_status)
            exit_code, signal = (code, None) if code >= 0 else (None, -code)
        stdout_bytes, stderr_bytes = self.output.sizes()
        return {
            "event": "ended",
            "protocol": PROTOCOL,
            "launch_id": self.order["launch_id"],
            "exit_code": exit_code,
            "signal": signal,
            "stopped_by": self.stopped_by,
            "start_stage": self.start_error[0] if self.start_error else None,
            "start_errno": self.start_error[1] if self.start_error else None,
            "started_at": self.started_at,
            "ended_at": self.ended_at or time.time(),
            "wall_s": round((self.ended_s or time.monotonic()) - self.started_s, 6)
            if self.started_s
            else 0.0,
            "cpu_user_s": round(self.user_s, 6),
            "cpu_system_s": round(self.system_s, 6),
            "max_rss_bytes": self.max_rss_kb * 1024,
            "stdout_bytes": stdout_bytes,
            "stderr_bytes": stderr_bytes,
            "leftovers_killed": self.leftovers,
            "survivors": self.survivors,
        }

    def _tell(self, fields: dict[str, Value]) -> None:
        """Send a record on the channel. The caller of a detached command hears one, then the channel closes."""
        if self.channel < 0:
            return
        try:
            posix.write(self.channel, encode_record(fields))
        except OSError:
            pass  # the caller is gone; for an attached command `_read_control` notices
        if self.directory is not None:
            posix.close(self.channel)
            self.channel = -1

    def finish(self) -> None:
        """Put the exit record in its place: a detached command's file, an attached command's channel."""
        record = self._ending()
        if self.seen is not None:
            self.seen.finish()
        if self.exit_fd >= 0 and not self.nothing_ran:
            recordfile.overwrite(self.exit_fd, encode_record(record))
        if self.directory is not None:
            recordfile.remove(f"{self.directory}/{CONTROL_FILE}")
        self._tell(record)


def main() -> None:
    """Entry of the program; never returns."""
    order = read_order()
    if order is None or order["protocol"] != PROTOCOL:
        posix._exit(1)
    close_strangers((0, 1, 2, CHANNEL_FD) if order["directory"] is None else (0, 1, 2, CHANNEL_FD, LOCK_FD))
    adopts = child.adopt_orphans()
    child.prctl(child.PR_SET_NAME, LAUNCHER_NAME)
    posix.chdir("/")  # a file system can be unmounted although a launcher is about
    launcher = Launcher(order, adopts)
    try:
        launcher.start()
        launcher.supervise()
    finally:
        launcher.kill()
    launcher.finish()
    posix._exit(0)
