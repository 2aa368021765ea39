"""Queues with several storages for whole-job tests, and what such jobs look like."""

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from grid import Grid
from picard_pilot.testing.faulty_storage import FOLDER, PREFIX, FaultyStorage

HASTY = ("--stagein-retry-pause", "0.1", "--stageout-retry-pause", "0.1")
"""Pauses between two tries that a test can wait for."""


def adler32(content: bytes) -> str:
    """As PanDA writes it."""
    return f"ad:{zlib.adler32(content):08x}"


def prefix(storage: FaultyStorage) -> str:
    """The address under which a faulty storage's files begin."""
    return f"{storage.url}{PREFIX}/{FOLDER}"


def queue_of(
    grid: Grid,
    endpoints: Mapping[str, str],
    *,
    activities: Mapping[str, list[str]],
    queue_lines: str = "",
    tables: str = "",
) -> None:
    """Replace the grid's queue: endpoint name to address of its files; activities to names of endpoints.

    The log goes to the grid's own storage, `DISK`, unless the activities say otherwise. `queue_lines` are further keys
    of the queue, `tables` further tables.
    """
    named = "\n".join(f"{activity} = {names!r}" for activity, names in {"pl": ["DISK"], **activities}.items())
    described = "\n".join(
        f'[endpoint.{name}]\nprotocols = ["{address}"]\npaths = "flat"'
        for name, address in {"DISK": f"file://{grid.store}", **endpoints}.items()
    )
    grid.site_file.write_text(
        f'[queue.{grid.queue}]\nstate = "ACTIVE"\nstatus = "online"\n{queue_lines}\n'
        f"[queue.{grid.queue}.endpoints]\n{named}\n{tables}\n{described}\n"
    )


def inputs(contents: Mapping[str, bytes | tuple[int, str]]) -> dict[str, str]:
    """The job's fields for inputs of these contents, or of a size and checksum said so."""
    said = [
        value if isinstance(value, tuple) else (len(value), adler32(value)) for value in contents.values()
    ]
    count = len(contents)
    return {
        "inFiles": ",".join(contents),
        "scopeIn": ",".join(["test"] * count),
        "realDatasetsIn": ",".join(["test.in"] * count),
        "GUID": ",".join(f"GUID-{number}" for number in range(count)),
        "fsize": ",".join(str(size) for size, _ in said),
        "checksum": ",".join(checksum for _, checksum in said),
    }


def outputs(*names: str) -> dict[str, str]:
    """The job's fields for these outputs."""
    return {
        "outFiles": ",".join(names),
        "scopeOut": ",".join(["test"] * len(names)),
        "realDatasets": ",".join(["test.out"] * len(names)),
    }


def stored(grid: Grid, job_id: int) -> dict[str, dict[str, Any]]:
    """The report's word on each file, by name."""
    return {file["lfn"]: file for file in grid.job(job_id)["files"]}


def log_of(workdir: Path) -> str:
    """All that the pilots of this work directory wrote into their jobs' logs and their own."""
    return "\n".join(path.read_text(errors="replace") for path in sorted(workdir.rglob("pilotlog.txt")))
