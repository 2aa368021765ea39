"""What the pilot knows of its slot by itself: the ends of its credentials, its own rates; and how it tells payloads."""

import datetime
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from slot_sources_kit import token_text
from test_system_x509 import _certificate

from picard_pilot.model.bundle import Bundle
from picard_pilot.model.site import Endpoint, Protocol, Queue, Site
from picard_pilot.model.slot import Found, SlotView
from picard_pilot.panda.credentials import Credential
from picard_pilot.payload import jobdir
from picard_pilot.pilot import notice
from picard_pilot.pilot.access import StorageCredentials
from picard_pilot.pilot.expiry import Expiries, Held, holders
from picard_pilot.pilot.rates import Rates
from picard_pilot.system import proc
from picard_pilot.system.bearer import Token

NOW = 1_800_000_000.0


def only(found: Found) -> float:
    """The one end, which everything was understood for."""
    (end,) = found.ends
    assert found.doubts == ()
    return end.at


def test_a_credential_that_is_renewed_ends_nothing(tmp_path: Path) -> None:
    """Its file is read again: late, then renewed."""
    path = tmp_path / "token"
    held = (Held("the token", Token("a file", path=path)),)
    path.write_text(token_text(NOW + 100))
    os.utime(path, (NOW - 7000, NOW - 7000))
    expiries = Expiries(lambda: held, renewed=True)
    assert only(expiries(NOW)) == NOW + 100
    path.write_text(token_text(NOW + 7200))
    os.utime(path, (NOW, NOW))
    assert expiries(NOW) == Found()
    assert only(Expiries(lambda: held, renewed=False)(NOW)) == NOW + 7200
    path.unlink()
    assert expiries(NOW) == Found()


def proxy(path: Path, ends_at: float, changed_at: float) -> None:
    """A certificate that ends then, in a file that was laid down then."""
    path.write_bytes(_certificate(datetime.datetime.fromtimestamp(ends_at, datetime.UTC)))
    os.utime(path, (changed_at, changed_at))


def test_a_proxy_that_nobody_renews_and_one_that_is_none(tmp_path: Path) -> None:
    """The end is read from the certificate; what is none, or gone, ends nothing."""
    path = tmp_path / "proxy"
    held = (Held("the proxy", None, str(path)),)
    expiries = Expiries(lambda: held, renewed=True)
    assert expiries(NOW) == Found()
    day_s = 86400.0
    proxy(path, NOW + day_s, NOW - day_s)
    assert expiries(NOW) == Found()
    (end,) = expiries(NOW + 0.9 * day_s).ends
    assert (end.at, end.error, "nobody has renewed it" in end.evidence) == (NOW + day_s, "NOPROXY", True)
    proxy(path, NOW + 4 * day_s, NOW + 0.95 * day_s)
    assert expiries(NOW + 0.95 * day_s) == Found()
    path.write_text("something else, which somebody is writing")
    assert expiries(NOW + 3.99 * day_s) == Found()


@pytest.mark.parametrize(
    ("prefix", "names"),
    [
        ("file:///store", ["the token for the server"]),
        ("davs://door/store", ["the token for the server", "the certificate or proxy for storages"]),
    ],
)
def test_a_credential_for_storages_counts_where_one_is_asked_for_it(
    tmp_path: Path, prefix: str, names: list[str]
) -> None:
    """A mounted file system asks nobody."""
    path = tmp_path / "proxy"
    proxy(path, NOW + 500, NOW)
    storages = StorageCredentials(
        {"X509_USER_PROXY": str(path)}, euid=12345, ca=None, secret=lambda _: None, now_utc=lambda: NOW
    )
    endpoint = Endpoint(name="A", protocols=(Protocol(prefix=prefix),))
    site = Site(
        queue=Queue(name="Q", panda_resource="Q", endpoints={"pw": ("A",)}), endpoints={"A": endpoint}
    )
    credential = Credential(token=Token("BEARER_TOKEN", text="abc"))
    assert [held.what for held in holders(credential, storages, site)] == names


def test_rates_are_measured_with_what_is_worth_it() -> None:
    """Half of what large outputs had; small files tell of round trips; inputs count until an output was stored."""
    rates = Rates()
    assert rates.rate(1e6).origin == "the assumed rate"
    rates.moved(1000, 12.0, stored=True)
    assert (rates.rate(1e6).bytes_s, rates.rate(1e6).per_file_s) == (1e6, 12.0)
    rates.moved(100_000_000, 1.0, stored=False)
    assert rates.rate(1e6).bytes_s == 50e6
    rates.moved(100_000_000, 10.0, stored=True)
    rates.moved(100_000_000, 30.0, stored=True)
    assert rates.rate(1e6).bytes_s == 2.5e6


def test_a_notice_replaces_whatever_a_payload_put_there(tmp_path: Path) -> None:
    """A link to somebody's file stays a link to nothing of ours; the words are plain."""
    bundle: Bundle = jobdir.make(tmp_path, 5, 1)
    other = tmp_path / "other"
    other.write_text("mine")
    notice.path_of(bundle).symlink_to(other)
    view = SlotView(
        ends_at=NOW + 90, by="b", evidence="e", stops_at=NOW, warns_at=NOW - 5, reserve_s=90.0, reserve="r"
    )
    notice.write(bundle, view, 10.0)
    assert other.read_text() == "mine"
    told = msgspec.json.decode(notice.path_of(bundle).read_bytes())
    assert told == {
        "stopped_at": NOW,
        "stopped_at_text": "2027-01-15 08:00 UTC",
        "grace_s": 10.0,
        "slot_ends_at": NOW + 90,
        "because": "b: e",
    }
    notice.withdraw(bundle)
    notice.withdraw(bundle)
    assert not notice.path_of(bundle).exists()


def test_a_signal_goes_to_those_who_catch_it(tmp_path: Path) -> None:
    """One of two children has a handler; the other one, which it would end, is left alone."""
    # It looks every now and then: a signal just before a read that blocks would be handled only after it.
    catch = (
        "import signal, sys, time\nheard = []\nsignal.signal(signal.SIGUSR1, lambda *_: heard.append(1))\n"
        "print('ready', flush=True)\nwhile not heard: time.sleep(0.01)\nprint('heard', flush=True)\nsys.stdin.read()"
    )
    wait = "import sys; print('ready', flush=True); sys.stdin.read()"
    code = (
        "import subprocess, sys\n"
        "pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)\n"
        f"a = subprocess.Popen([sys.executable, '-c', {catch!r}], **pipes)\n"
        f"b = subprocess.Popen([sys.executable, '-c', {wait!r}], **pipes)\n"
        "print(a.stdout.readline() + b.stdout.readline(), end='', flush=True)\n"
        "print(a.stdout.readline(), end='', flush=True)\n"
        "print(a.communicate('')[0], a.returncode, b.communicate('')[0], b.returncode, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        try:
            assert parent.stdout is not None
            assert [parent.stdout.readline() for _ in range(2)] == ["ready\n", "ready\n"]
            launcher = proc.identify(parent.pid)
            assert launcher is not None
            assert notice.signal_those_who_know(launcher, "USR1") == 1
            assert parent.stdout.readline() == "heard\n"
            assert parent.stdout.readline().split() == ["0", "0"]
        finally:
            parent.kill()
    assert notice.signal_those_who_know(launcher, "USR1") == 0
    with pytest.raises(KeyError):
        signal.Signals["SIGNONE"]
