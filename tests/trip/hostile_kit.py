"""Job descriptions that no check of the server has seen, and a picture of everything around a work directory."""

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from grid import Grid

ABSENT = object()
"""As a field's value: the description does not have it."""


@contextmanager
def database(grid: Grid) -> Iterator[sqlite3.Connection]:
    """The server's database, while the server runs."""
    connection = sqlite3.connect(Path(grid.info.data_dir, "server.sqlite"), timeout=30)
    try:
        with connection:
            yield connection
    finally:
        connection.close()


def corrupt(grid: Grid, job_id: int, **changes: object) -> None:
    """Change fields of a submitted job's description behind the server's back."""
    with database(grid) as rows:
        row = rows.execute("SELECT dictionary FROM job_specs WHERE job_id = ?", (job_id,)).fetchone()
        dictionary = json.loads(row[0])
        for name, value in changes.items():
            if value is ABSENT:
                dictionary.pop(name, None)
            else:
                dictionary[name] = value
        content = json.dumps(dictionary).encode()
        rows.execute("UPDATE job_specs SET dictionary = ? WHERE job_id = ?", (content, job_id))


def verdict(grid: Grid, job_id: int) -> tuple[str, int, str]:
    """Status, error number and text of a job, for one whose description the server itself cannot show."""
    query = "SELECT status, pilot_error_code, pilot_error_diag FROM jobs WHERE job_id = ?"
    with database(grid) as rows:
        status, code, diag = rows.execute(query, (job_id,)).fetchone()
    return status, code or 0, diag or ""


def picture(root: Path, *without: Path) -> dict[str, str]:
    """What lies below `root`: each path with its kind and a hash of its content; `without` these trees."""
    seen = {}
    for path in sorted(root.rglob("*")):
        if any(path == tree or tree in path.parents for tree in without):
            continue
        name = os.fspath(path.relative_to(root))
        if path.is_symlink():
            seen[name] = f"link to {path.readlink()}"
        elif path.is_dir():
            seen[name] = "directory"
        elif path.is_file():
            seen[name] = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        else:
            seen[name] = "something else"
    return seen
