"""What a mover shows to whom: tokens go to doors with TLS alone, signed addresses onto no command line."""

import os
from pathlib import Path

import pytest

from picard_pilot.model.transfer import FailureClass, FetchRequest, Remedy, StorageAccess
from picard_pilot.movers.lsm import LsmMover
from picard_pilot.movers.xrootd_address import Address
from picard_pilot.movers.xrootd_client import introduce
from picard_pilot.testing.mover_kit import failed, ignore


@pytest.mark.parametrize(
    ("scheme", "shown"), [("roots", True), ("xroots", True), ("root", False), ("xroot", False)]
)
def test_a_token_goes_to_doors_with_tls_alone(scheme: str, shown: bool) -> None:
    """Without it everybody on the way could read it."""
    secret = os.urandom(16).hex()
    address = Address(f"{scheme}://door.example:1094//data/in.root", StorageAccess(token=secret))
    assert (secret in address.url) is shown
    assert secret not in address.surl


def test_a_signed_address_is_on_no_command_line(tmp_path: Path) -> None:
    """Every user of the node sees command lines; the script is not even started."""
    script = tmp_path / "lsm-get"
    script.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    script.chmod(0o755)
    secret = os.urandom(16).hex()
    request = FetchRequest(
        lfn="in.root",
        surl=f"https://store.example/in.root?X-Amz-Date=20261122T000000Z&X-Amz-Signature={secret}",
        target=str(tmp_path / "in.root"),
    )
    failure = failed(lambda: LsmMover.at(str(tmp_path))().fetch(request, ignore))
    assert (failure.kind, failure.remedy) == (FailureClass.SPECIFICATION, Remedy.MISTAKE)
    assert secret not in failure.says and secret not in str(failure.surl)
    assert not (tmp_path / "started").exists()


def test_a_certificate_that_has_gone_is_used_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library takes it from a variable, which we take back; one that was there before us stays."""
    monkeypatch.setenv("X509_CERT_DIR", "/authorities")
    monkeypatch.delenv("X509_USER_PROXY", raising=False)
    introduce(StorageAccess(certificate="/tmp/proxy"))
    assert os.environ["X509_USER_PROXY"] == "/tmp/proxy"
    introduce(StorageAccess())
    assert "X509_USER_PROXY" not in os.environ
    assert os.environ["X509_CERT_DIR"] == "/authorities"
