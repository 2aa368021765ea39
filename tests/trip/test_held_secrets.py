"""A job that waits on disk for a later pilot holds no secret: the next slot on the node may be anybody's."""

import json
import secrets
import sqlite3
from contextlib import closing
from pathlib import Path

from test_recovery_fence import database, left_job
from test_secrets_trip import needles_in, searched
from test_storage_nights import HERE, Storages, submit

from grid import Grid
from picard_pilot.server import control
from picard_pilot.testing.certificates import Authority

FIELDS = ("secrets", "pilotSecrets", "pandaProxySecretKey", "proxyKey", "userProxy")
"""What servers put into job dictionaries for their pilots alone."""


class Secrets:
    """Every kind that a pilot knows, made for one test."""

    def __init__(self, grid: Grid) -> None:
        folder = grid.directory / "credentials"
        folder.mkdir()
        self.fields = {name: secrets.token_urlsafe(32) for name in FIELDS}
        self.storage_token = secrets.token_urlsafe(48)
        self.token_file = folder / "storage-token"
        self.token_file.write_text(self.storage_token)
        self.token_file.chmod(0o600)
        self.proxy = Authority(folder).issue_proxy("somebody")
        self.variable = secrets.token_urlsafe(32)
        self.server_token = control.token(Path(grid.info.data_dir), "pilot").strip()

    def give(self, grid: Grid, job_id: int) -> None:
        """The server puts them into the job's dictionary."""
        with closing(sqlite3.connect(database(grid), timeout=30)) as connection, connection:
            (old,) = connection.execute(
                "SELECT dictionary FROM job_specs WHERE job_id = ?", (job_id,)
            ).fetchone()
            new = json.dumps({**json.loads(old), **self.fields}).encode()
            connection.execute("UPDATE job_specs SET dictionary = ? WHERE job_id = ?", (new, job_id))

    @property
    def flags(self) -> tuple[str, ...]:
        """A pilot's flags that name them."""
        return ("--storage-token-file", str(self.token_file), "--storage-x509-proxy", str(self.proxy))

    @property
    def needles(self) -> list[bytes]:
        """What must not be found."""
        body = self.proxy.read_text().splitlines()
        of_proxy = [line for line in body if len(line) == 64 and not line.startswith("-")]
        assert of_proxy
        texts = (*self.fields.values(), self.storage_token, self.variable, self.server_token)
        return [needle for text in texts for needle in needles_in(text)] + [
            line.encode() for line in of_proxy
        ]


def test_a_held_job_holds_no_secret(grid: Grid) -> None:
    """Tokens for server and storages, a proxy, a variable, and those of the job's dictionary: outputs wait, and so
    does a job whose payload runs on while its pilot is dead."""
    storages = Storages(grid, alternative=False)
    known = Secrets(grid)
    job_id, _ = submit(grid)
    known.give(grid, job_id)
    storages.trouble("contact and logs", storages.first)
    pilot = grid.pilot(
        "--jobs", "1", *known.flags, PYTHONPATH=HERE, MY_API_TOKEN=known.variable, PICARD_DEBUG="1"
    )
    assert pilot.wait(60) == 0, grid.output()
    assert grid.wait_status(job_id, "holding", "finished", "failed") == "holding"
    assert (grid.job_dir(job_id) / "picard" / "archive").is_dir(), "the log archive waits too"
    assert "JobReceived" in grid.events(job_id)
    assert searched(grid.workdir, known.needles) == []


def test_a_job_that_a_killed_pilot_left_holds_no_secret(grid: Grid) -> None:
    """Its payload's environment reached the launcher through a socket, and is in no file."""
    known = Secrets(grid)
    job_id = left_job(grid, *known.flags, before=known.give, MY_API_TOKEN=known.variable)
    assert grid.events(job_id)[-1] == "PayloadStarted"
    assert searched(grid.workdir, known.needles) == []
    (grid.job_dir(job_id) / "go").touch()
    assert grid.pilot(*known.flags).wait(60) == 0, grid.output()
    assert grid.wait_status(job_id, "finished", "failed") == "finished"
