"""The loader of the SQL texts: each file under `sql/` holds queries that begin with `-- name: NAME`.

Running them is the store's business and that of those who hold a transaction.
"""

from __future__ import annotations

from importlib.resources import files

_MARK = "-- name:"


def load(file_name: str) -> dict[str, str]:
    """The queries of one file by name; what stands before the first name is a comment of the file."""
    queries: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in schema(file_name).splitlines():
        if line.startswith(_MARK):
            lines = queries.setdefault(line.removeprefix(_MARK).strip(), [])
        else:
            lines.append(line)
    return {name: "\n".join(text).strip() for name, text in queries.items()}


def schema(file_name: str) -> str:
    """The whole text of one file."""
    return files("picard_pilot.server").joinpath("sql", file_name).read_text(encoding="utf-8")
