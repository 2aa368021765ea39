"""The XRootD federation that tests use is a real one: it finds, refuses, freezes and dies as storages do."""

import os
import subprocess
from pathlib import Path

import pytest
import urllib3

from federation import Federation
from secure_door import SecureDoor

pytestmark = pytest.mark.xdist_group("xrootd")

LIMITS = {
    "XRD_CONNECTIONWINDOW": "2",
    "XRD_CONNECTIONRETRY": "1",
    "XRD_REQUESTTIMEOUT": "2",
    "XRD_STREAMTIMEOUT": "2",
    "XRD_TIMEOUTRESOLUTION": "1",
}
NOT_FOUND = 54
"""What xrdcp leaves with for every refusal of a server."""


def xrdcp(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run the client of the distribution with short time limits."""
    return subprocess.run(
        ["xrdcp", "--silent", *map(str, arguments)],
        capture_output=True,
        env={**os.environ, **LIMITS, **environment},
        timeout=60,
    )


def test_what_is_written_at_one_site_is_read_through_the_redirector(
    federation: Federation, tmp_path: Path
) -> None:
    """A file written at site 2 comes through the redirector by root:// and by http://."""
    (tmp_path / "out").write_bytes(b"from site 2")
    assert xrdcp(tmp_path / "out", f"{federation.sites[1].root}/kit/written").returncode == 0
    assert federation.sites[1].storage.read("kit/written") == b"from site 2"
    assert xrdcp(f"{federation.root}/kit/written", tmp_path / "in").returncode == 0
    assert (tmp_path / "in").read_bytes() == b"from site 2"
    with urllib3.PoolManager() as http:
        answer = http.request("GET", f"{federation.http}/kit/written", headers={"Want-Digest": "adler32"})
    assert (answer.status, answer.data) == (200, b"from site 2")
    assert "adler32" in answer.headers["Digest"]


def test_a_frozen_server_answers_nothing_and_goes_on_when_thawed(
    federation: Federation, tmp_path: Path
) -> None:
    """Its connections are accepted by the kernel, and that is all."""
    site = federation.sites[0]
    site.storage.put("kit/frozen", b"ice")
    with site.frozen():
        assert xrdcp(f"{site.root}/kit/frozen", tmp_path / "frozen").returncode != 0
    assert xrdcp(f"{site.root}/kit/frozen", tmp_path / "thawed").returncode == 0


def test_a_killed_server_is_found_again_after_its_restart(federation: Federation, tmp_path: Path) -> None:
    """Dead it is refused, started again the redirector finds it."""
    site = federation.sites[2]
    site.storage.put("kit/killed", b"alive")
    site.xrootd.kill()
    assert xrdcp(f"{site.root}/kit/killed", tmp_path / "dead").returncode != 0
    site.restart()
    assert xrdcp(f"{federation.root}/kit/killed", tmp_path / "found").returncode == 0


def test_a_small_disk_fills_up(federation: Federation, tmp_path: Path) -> None:
    """A file system of its own in one site's name space takes what fits."""
    (tmp_path / "large").write_bytes(b"x" * 3_000_000)
    site = federation.sites[0]
    try:
        with site.small_disk("kit-full", 1_000_000) as folder:
            assert xrdcp(tmp_path / "large", f"{site.root}/{folder}/large").returncode == NOT_FOUND
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no file system can be mounted here: {error.stderr.decode().strip()}")
    assert not site.storage.path("kit-full").exists()


@pytest.mark.parametrize("scheme", ["root", "roots", "https"])
def test_the_door_reads_tokens(secure_door: SecureDoor, tmp_path: Path, scheme: str) -> None:
    """A valid token reads, an expired one and none do not, and a token for reading does not write."""
    secure_door.storage.put("tok/in", b"secret")

    def read(token: str | None) -> bool:
        if scheme == "https":
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            with urllib3.PoolManager(ca_certs=str(secure_door.ca_file)) as http:
                return http.request("GET", f"{secure_door.https}/tok/in", headers=headers).data == b"secret"
        url = f"{secure_door.root if scheme == 'root' else secure_door.roots}/tok/in"
        environment = {"X509_CERT_DIR": str(secure_door.cert_dir)}
        if token:
            environment["BEARER_TOKEN"] = token
        return xrdcp("--force", url, tmp_path / "in", **environment).returncode == 0

    assert read(secure_door.token("storage.read:/"))
    assert not read(secure_door.token("storage.read:/", life_s=-60))
    assert not read(None)


def test_a_token_for_reading_does_not_write(secure_door: SecureDoor, tmp_path: Path) -> None:
    """Scopes count, and outside of the tokens' folder nobody needs one."""
    (tmp_path / "out").write_bytes(b"out")
    door = {"X509_CERT_DIR": str(secure_door.cert_dir)}
    reads = secure_door.token("storage.read:/")
    writes = secure_door.token("storage.read:/", "storage.modify:/")  # xrdcp looks before it writes
    target = f"{secure_door.roots}/tok/out"
    assert xrdcp(tmp_path / "out", target, **door, BEARER_TOKEN=reads).returncode != 0
    assert xrdcp(tmp_path / "out", target, **door, BEARER_TOKEN=writes).returncode == 0
    assert xrdcp(tmp_path / "out", f"{secure_door.roots}/open/out", **door).returncode == 0
    assert secure_door.storage.read("tok/out") == secure_door.storage.read("open/out") == b"out"
