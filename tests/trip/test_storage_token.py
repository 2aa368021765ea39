"""A whole job whose input lies behind a door that wants a token: one for storages, seen by nobody else."""

import os
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from grid import Grid

if TYPE_CHECKING:
    from secure_door import SecureDoor

CONTENT = b"behind a door\n" * 1000


def _read_from_door(grid: Grid, door: "SecureDoor") -> None:
    """Inputs come from the door, the log goes to the disk."""
    text = grid.site_file.read_text().replace('pr = ["DISK"]', 'pr = ["DOOR"]')
    grid.site_file.write_text(f'{text}\n[endpoint.DOOR]\nprotocols = ["{door.https}/tok"]\npaths = "flat"\n')


def _submit(grid: Grid, door: "SecureDoor", name: str) -> int:
    door.storage.put(f"tok/{name}", CONTENT)
    code = f"import os, sys; print(dict(os.environ)); sys.exit(len(open({name!r}, 'rb').read()) != {len(CONTENT)})"
    return grid.submit_python(
        code,
        inFiles=name,
        fsize=str(len(CONTENT)),
        checksum=f"ad:{zlib.adler32(CONTENT):08x}",
        scopeIn="t",
        ddmEndPointIn="DOOR",
        GUID="G",
    )


def _everything_below(*folders: Path) -> bytes:
    """All bytes of all files, the named pilots' outputs among them."""
    paths = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return b"\n".join(path.read_bytes() for path in paths)


@pytest.mark.xdist_group("xrootd")
def test_a_job_whose_input_needs_a_token(grid: Grid, secure_door: "SecureDoor") -> None:
    """The job finishes; the token is in no log, no record, no archive and not in the payload's environment."""
    _read_from_door(grid, secure_door)
    token = grid.directory / "storage.token"
    token.write_text(secure_door.token("storage.read:/"))
    token.chmod(0o600)
    job_id = _submit(grid, secure_door, f"trip-{os.getpid()}-{grid.queue}")
    flags = ("--storage-token-file", str(token), "--storage-ca", str(secure_door.ca_file))
    pilot = grid.pilot("--jobs", "1", "--no-cleanup", *flags)
    assert pilot.wait(120) == 0, grid.output()
    assert grid.wait_status(job_id, "finished", "failed") == "finished", grid.output()
    secret = token.read_bytes()
    assert secret not in _everything_below(grid.workdir, grid.store)
    assert secret.decode() not in grid.output()
    environment = (grid.job_dir(job_id) / "payload.stdout").read_text()
    assert "PANDAID" in environment and str(token) not in environment


@pytest.mark.xdist_group("xrootd")
def test_an_expired_token_is_named_with_its_end(grid: Grid, secure_door: "SecureDoor") -> None:
    """The job fails for its credential, which the error names; not as a storage that is in trouble."""
    _read_from_door(grid, secure_door)
    token = grid.directory / "storage.token"
    token.write_text(secure_door.token("storage.read:/", life_s=-60))
    token.chmod(0o600)
    job_id = _submit(grid, secure_door, f"expired-{os.getpid()}-{grid.queue}")
    flags = ("--storage-token-file", str(token), "--storage-ca", str(secure_door.ca_file))
    assert grid.pilot("--jobs", "1", *flags).wait(120) == 0, grid.output()
    assert grid.wait_status(job_id, "finished", "failed") == "failed"
    assert f"the token for storages from {token} has expired" in grid.output()
    said = str(grid.job(job_id)["pilot_log"]) + grid.errors(job_id)["pilot"][1] + grid.output()
    assert f"the token from {token} expired at 20" in said
