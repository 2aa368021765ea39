"""The pilot's log: its lines, its file and its stream, every byte redacted. What is worth a line is for the loggers.

A line is `UTC time | level | logger | job and phase | message`, the same in `pilotlog.txt` and on the stream.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TextIO

from picard_pilot.system.files import open_regular
from picard_pilot.system.redact import RedactingWriter, Redactor

ROOT = "picard"
"""All loggers of the pilot are below this one; those of libraries are heard from WARNING on."""

_about: ContextVar[str] = ContextVar("picard_log_about", default="-")


def about(job_id: int | None, phase: str | None = None) -> None:
    """From here on, and in tasks started from here, lines are about this job in this phase."""
    _about.set("-" if job_id is None else f"{job_id} {phase or '-'}")


@contextmanager
def lines_about(job_id: int, phase: str | None = None) -> Iterator[None]:
    """Inside, lines are about this job in this phase; afterwards about what they were before."""
    token = _about.set(f"{job_id} {phase or '-'}")
    try:
        yield
    finally:
        _about.reset(token)


class _OnlyAbout(logging.Filter):
    """Lets through the lines about one job, and those about the pilot as a whole."""

    def __init__(self, job_id: int) -> None:
        super().__init__()
        self._start = f"{job_id} "

    def filter(self, record: logging.LogRecord) -> bool:
        about = _about.get()
        return about == "-" or about.startswith(self._start)


class Line(logging.Formatter):
    """The format of a line; further lines of a message (a traceback) are indented under it."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        message = record.getMessage()
        if record.exc_info:
            message += "\n" + self.formatException(record.exc_info)
        whole = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(record.created))
        text = message.replace("\r", "\\r").replace("\n", "\n    ")
        return (
            f"{whole}.{int(record.msecs):03d} | {record.levelname} | {record.name} | {_about.get()} | {text}"
        )


class _Handler(logging.Handler):
    """Writes lines; one that cannot be written is counted, never raised: a full disk must not stop a job."""

    def __init__(self, stream: TextIO, redactor: Redactor) -> None:
        super().__init__()
        self._writer = RedactingWriter(stream, redactor)
        self._missed = 0
        self.setFormatter(Line())

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if self._missed:
                self._writer.write(f"({self._missed} lines are missing here: they could not be written)\n")
                self._writer.flush()
                self._missed = 0
            self._writer.write(self.format(record) + "\n")
            self._writer.flush()
        except (OSError, ValueError):  # ValueError: the stream was closed under us
            self._missed += 1

    def close(self) -> None:
        try:
            self._writer.close()
        except (OSError, ValueError):
            pass  # nowhere left to say it
        super().close()


class Log:
    """The open log; close it last of all."""

    def __init__(self, handlers: list[logging.Handler], file: TextIO | None, redactor: Redactor) -> None:
        self._handlers = handlers
        self._file = file
        self.redactor = redactor
        """What keeps secrets out; for other texts that leave the node too."""

    def hide(self, secret: str) -> None:
        """Keep this text out of the log from now on."""
        self.redactor.register(secret)

    def follow_job(self, job_id: int, path: Path) -> Callable[[], None]:
        """Write the lines about one job, and about the pilot as a whole, to `path` too, until the answer is called.

        Raises OSError for the file. The answer may be called twice.
        """
        log = open_log(path, stream=None, redactor=self.redactor, level=None, job_id=job_id)
        return log.close

    def close(self) -> None:
        """Detach from the loggers and close the file; the stream stays open. May be called twice."""
        root = logging.getLogger()
        for handler in self._handlers:
            root.removeHandler(handler)
            handler.close()
        self._handlers = []
        if self._file is not None:
            try:
                self._file.close()
            except OSError:
                pass  # a full disk again
            self._file = None


def open_log(
    path: Path | None,
    *,
    stream: TextIO | None,
    redactor: Redactor,
    level: int | None = logging.INFO,
    job_id: int | None = None,
) -> Log:
    """Send all loggers to the file at `path` (appended to) and to `stream`. Raises OSError for the file.

    With `job_id`, only lines about that job and about the pilot as a whole. A level of None leaves it as it is.
    """
    handlers: list[logging.Handler] = []
    file = None
    if path is not None:
        # A payload can put what it likes into its job's directory: a pipe there would be waited for.
        opener = None if job_id is None else open_regular
        file = open(path, "a", encoding="utf-8", errors="backslashreplace", opener=opener)  # noqa: SIM115
        handlers.append(_Handler(file, redactor))
    if stream is not None:
        handlers.append(_Handler(stream, redactor))
    root = logging.getLogger()
    for handler in handlers:
        if job_id is not None:
            handler.addFilter(_OnlyAbout(job_id))
        root.addHandler(handler)
    if level is not None:
        logging.getLogger(ROOT).setLevel(level)
    return Log(handlers, file, redactor)
