"""A token that expires between two files, at a real door with TLS: said with its place, and its successor counts."""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from worker_kit import bad, good, run

from picard_pilot.data.worker import TransferWorker
from picard_pilot.model.transfer import FailureClass, FetchRequest, Remedy
from picard_pilot.pilot.access import StorageCredentials
from picard_pilot.testing.mover_kit import CONTENT, adler32

if TYPE_CHECKING:
    from secure_door import SecureDoor

NOBODY = 4_000_000
"""A user id under which no token lies in /tmp."""


@pytest.mark.xdist_group("xrootd")
def test_a_token_expires_between_two_files(secure_door: "SecureDoor", tmp_path: Path) -> None:
    """The first file comes; the second is refused, with the token's file and end; then it comes with the new one."""
    names = [f"renewed-{number}" for number in range(2)]
    for name in names:
        secure_door.storage.put(f"tok/{name}", CONTENT)
    path = tmp_path / "token"

    def renew(life_s: float) -> None:
        new = path.with_suffix(".new")
        new.write_text(secure_door.token("storage.read:/", life_s=life_s))
        new.chmod(0o600)
        new.replace(path)

    def wanted(name: str) -> FetchRequest:
        return FetchRequest(
            lfn=name,
            surl=f"{secure_door.https}/tok/{name}",
            target=str(tmp_path / name),
            size_bytes=len(CONTENT),
            checksum=adler32(CONTENT),
        )

    access = StorageCredentials(
        {"BEARER_TOKEN_FILE": str(path)},
        euid=NOBODY,
        ca=str(secure_door.ca_file),
        secret=lambda _: None,
        now_utc=time.time,
    )

    async def work() -> None:
        renew(600)
        async with TransferWorker(
            log_path=tmp_path / "worker.log", environment=dict(os.environ), access=access
        ) as worker:
            good(await worker.transfer(wanted(names[0])))
            first = worker.pid
            renew(-60)
            failure = bad(await worker.transfer(wanted(names[1])))
            assert (failure.kind, failure.remedy) == (FailureClass.AUTH, Remedy.RENEW)
            assert str(path) in failure.says and "expired at 20" in failure.says
            renew(600)
            good(await worker.transfer(wanted(names[1])))
            assert worker.pid == first  # no start of anything: the same process, with another credential

    run(work())
    for name in names:
        assert (tmp_path / name).read_bytes() == CONTENT
    assert path.read_text() not in (tmp_path / "worker.log").read_text()
