"""An archive for a ticket: a summary, and the logs of one job without secrets, from whatever is left of it.

The diagnosis in the summary is `tools.diagnose`'s.
"""

import io
import os
import tarfile
import time
from collections.abc import Iterator
from contextlib import closing
from fnmatch import fnmatchcase
from pathlib import Path

from picard_pilot.data.log_text import Excerpt, add_text
from picard_pilot.data.logs import PAYLOAD_PATTERNS, PILOT_LOGS, PRIVATE_PATTERNS
from picard_pilot.model.trouble import Trouble
from picard_pilot.payload import jobdir
from picard_pilot.system.redact import Redactor
from picard_pilot.tools.diagnose import Diagnosis
from picard_pilot.tools.unpack import NoRemains, remains

FILES = 200
"""Of a job at most, as in a log archive."""


class NoTicket(Trouble):
    """The archive cannot be written."""


def pack(path: Path, found: Diagnosis, summary: str, target: Path) -> list[str]:
    """Write the archive of the job or log at `path`; the names in it. Raises NoTicket; an older file stays."""
    try:
        with target.open("xb") as file:
            try:
                with tarfile.open(fileobj=file, mode="w:gz") as archive:
                    return _fill(archive, path, found, summary)
            except (OSError, NoRemains):
                target.unlink(missing_ok=True)
                raise
    except FileExistsError:
        raise NoTicket(f"{target} exists", "nothing is overwritten", "Name another file") from None
    except OSError as error:
        raise NoTicket(f"{target} cannot be written", str(error.strerror), "Name another place") from None


def _fill(archive: tarfile.TarFile, path: Path, found: Diagnosis, summary: str) -> list[str]:
    top = f"ticket-{found.job_id or path.name}"
    text = summary.encode("utf-8", "backslashreplace")
    add_text(archive, f"{top}/summary.md", len(text), time.time(), io.BytesIO(text))
    names = ["summary.md"]
    if found.kind == "log":
        return names + _add_logs(archive, top, [(path.name, path)])
    with remains(path) as folder:
        return names + _add_logs(archive, top, list(_logs(folder)))


def _logs(folder: Path) -> Iterator[tuple[str, Path]]:
    """What people read about a job, by name."""
    patterns = (*PILOT_LOGS, *PAYLOAD_PATTERNS)
    for place, wanted in ((folder, patterns), (folder / jobdir.PRIVATE, PRIVATE_PATTERNS)):
        try:
            names = sorted(entry.name for entry in os.scandir(place))
        except OSError:
            continue
        for name in names:
            if any(fnmatchcase(name, pattern) for pattern in wanted):
                yield str((place / name).relative_to(folder)), place / name


def _add_logs(archive: tarfile.TarFile, top: str, logs: list[tuple[str, Path]]) -> list[str]:
    """Each file bounded and without secrets; what is no plain file is left out."""
    names = []
    redactor = Redactor()
    for name, path in logs[:FILES]:
        try:
            excerpt = Excerpt(path, redactor, lambda: None)
        except OSError:
            continue
        with closing(excerpt):
            add_text(archive, f"{top}/{name}", excerpt.size_bytes, excerpt.mtime, excerpt)
        names.append(name)
    return names
