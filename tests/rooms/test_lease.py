"""The lease on a job's directory: who gets it, and that it is one pilot, on local disks and on network file systems."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from disk_kit import small_disk
from picard_pilot.journal import lease
from picard_pilot.journal.lease import LEASE_S, Lease, LeaseHeld, Owner, read, release, take

DAY_S = 86400.0


def owner(pid: int, host: str = "h", boot: str = "b", pid_namespace: int | None = 1) -> Owner:
    """A pilot of ours."""
    return Owner(
        pilot=f"p{pid}", host=host, boot_id=boot, pid=pid, start_ticks=pid * 10, pid_namespace=pid_namespace
    )


def nobody(_pid: int, _ticks: int) -> bool:
    """No process lives."""
    return False


def everybody(_pid: int, _ticks: int) -> bool:
    """Every process lives."""
    return True


def standing(directory: Path) -> Path:
    """The lease file that counts."""
    return max(directory.glob("lease*.json"), key=lambda path: (len(path.name), path.name))


def age(directory: Path, seconds: float) -> None:
    """Let the file server have seen the last renewal so long ago."""
    then = time.time() - seconds
    os.utime(standing(directory), (then, then))


def test_a_living_pilot_keeps_its_lease(tmp_path: Path) -> None:
    """The refusal names who has it; the owner itself may renew."""
    take(tmp_path, owner(1), 0.0, everybody)
    take(tmp_path, owner(1), 5.0, everybody)
    with pytest.raises(LeaseHeld, match="pilot p1"):
        take(tmp_path, owner(2), 10.0, lambda pid, ticks: (pid, ticks) == (1, 10))
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".draft"] == []


@pytest.mark.parametrize(("alive", "boot"), [(False, "b"), (True, "rebooted")])
def test_a_dead_pilots_lease_is_free_at_once(tmp_path: Path, alive: bool, boot: str) -> None:
    """A dead process, or a node that was rebooted."""
    take(tmp_path, owner(1), 0.0, everybody)
    assert take(tmp_path, owner(2, "h", boot), 1.0, lambda pid, ticks: alive).owner.pid == 2
    assert read(tmp_path) == Lease(owner=owner(2, "h", boot), expires_at=1.0 + LEASE_S)


@pytest.mark.parametrize("skew_s", [0.0, -DAY_S, DAY_S])
@pytest.mark.parametrize("elsewhere", [{"host": "other"}, {"pid_namespace": 2}], ids=["host", "container"])
def test_where_processes_cannot_be_seen_the_file_server_s_clock_decides(
    tmp_path: Path, skew_s: float, elsewhere: dict[str, object]
) -> None:
    """However wrong the clocks of the two nodes are."""
    take(tmp_path, owner(1), time.time(), everybody)
    other = owner(2, **elsewhere)  # type: ignore[arg-type]
    age(tmp_path, LEASE_S - 120)
    with pytest.raises(LeaseHeld):
        take(tmp_path, other, time.time() + skew_s, nobody)
    take(tmp_path, owner(1), time.time() + skew_s, everybody)  # a renewal counts from now on
    age(tmp_path, LEASE_S - 120)
    with pytest.raises(LeaseHeld):
        take(tmp_path, other, time.time() + skew_s, nobody)
    age(tmp_path, LEASE_S + 1)
    assert take(tmp_path, other, time.time() + skew_s, nobody).owner.pid == 2


def test_an_owner_that_slept_too_long_finds_its_lease_gone(tmp_path: Path) -> None:
    """It cannot renew what another pilot has taken meanwhile."""
    take(tmp_path, owner(1), 0.0, everybody)
    age(tmp_path, LEASE_S + 1)
    take(tmp_path, owner(2, "other"), 0.0, nobody)
    with pytest.raises(LeaseHeld, match="pilot p2"):
        take(tmp_path, owner(1), 0.0, everybody)


def test_a_released_lease_is_free_and_only_its_owner_releases_it(tmp_path: Path) -> None:
    """Releasing is safe to repeat."""
    take(tmp_path, owner(1), 0.0, everybody)
    release(tmp_path, owner(2))
    with pytest.raises(LeaseHeld):
        take(tmp_path, owner(2), 1.0, everybody)
    release(tmp_path, owner(1))
    release(tmp_path, owner(1))
    assert read(tmp_path) is None
    take(tmp_path, owner(2), 1.0, everybody)


def test_a_lease_of_an_earlier_version_is_understood(tmp_path: Path) -> None:
    """It was rewritten in place, without a name space."""
    old = b'{"owner":{"pilot":"p1","host":"h","boot_id":"b","pid":1,"start_ticks":10},"expires_at":7200.0}'
    (tmp_path / lease.NAME).write_bytes(old)
    assert take(tmp_path, owner(2, pid_namespace=None), 1.0, nobody).owner.pid == 2


@pytest.mark.parametrize("content", [b"", b'{"owner":{"pilot":"\xff', b"[" * 100_000, b"null", b"7"])
def test_what_is_no_lease_counts_as_none(tmp_path: Path, content: bytes) -> None:
    """Also where its number is the highest that a file name can hold next to one."""
    (tmp_path / lease.NAME).write_bytes(content)
    (tmp_path / lease.name(10**200)).write_bytes(content)
    assert take(tmp_path, owner(1), 1.0, everybody).owner.pid == 1
    take(tmp_path, owner(1), 2.0, everybody)
    with pytest.raises(LeaseHeld):
        take(tmp_path, owner(2), 2.0, everybody)


_RACER = """
import os, sys, time
from pathlib import Path
from picard_pilot.journal.lease import LeaseHeld, Owner, take
directory, host, start = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
me = Owner(pilot=host, host=host, boot_id="b", pid=os.getpid(), start_ticks=1)
sys.stdout.write("ready\\n"); sys.stdout.flush()
sys.stdin.readline()
try:
    take(directory, me, time.time(), lambda pid, ticks: False)
except LeaseHeld:
    sys.stdout.write("held\\n")
else:
    sys.stdout.write("mine\\n")
"""


@pytest.mark.parametrize("left_by", ["nobody", "a dead host"])
def test_of_many_pilots_on_many_hosts_exactly_one_gets_it(tmp_path: Path, left_by: str) -> None:
    """Each racer is a process with a host name of its own, so that nothing but the files can decide."""
    for turn in range(5):
        directory = tmp_path / str(turn)
        directory.mkdir()
        if left_by != "nobody":
            take(directory, owner(1, "dead"), 0.0, everybody)
            age(directory, LEASE_S + 1)
        command = [sys.executable, "-c", _RACER, str(directory)]
        racers = [
            subprocess.Popen(
                [*command, f"host{number}", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for number in range(4)
        ]
        for racer in racers:
            assert racer.stdout is not None and racer.stdout.readline() == "ready\n"
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write("go\n")
            racer.stdin.flush()
        answers = [racer.communicate()[0].strip() for racer in racers]
        assert sorted(answers) == ["held", "held", "held", "mine"]
        winner = f"host{answers.index('mine')}"
        held = read(directory)
        assert held is not None and held.owner.host == winner


def test_a_link_whose_answer_got_lost_is_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client of NFS sends the request again, and hears that the name is taken: by itself."""
    link = os.link

    def twice(source: Path, target: Path) -> None:
        link(source, target)
        link(source, target)

    monkeypatch.setattr(os, "link", twice)
    assert take(tmp_path, owner(1), 0.0, everybody).owner.pid == 1
    assert read(tmp_path) == Lease(owner=owner(1), expires_at=LEASE_S)


def test_a_draft_that_the_winner_tidies_away_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the refused link and the look at why, another pilot may be done with all that it has to do."""
    link = os.link

    def others_live(pid: int, _ticks: int) -> bool:
        return pid != 1

    def too_late(source: Path, target: Path) -> None:
        monkeypatch.setattr(os, "link", link)
        take(tmp_path, owner(2), 0.0, others_live)
        raise FileExistsError(errno.EEXIST, "taken", str(target))

    take(tmp_path, owner(1), 0.0, everybody)
    monkeypatch.setattr(os, "link", too_late)
    with pytest.raises(LeaseHeld, match="pilot p2"):
        take(tmp_path, owner(3), 0.0, others_live)


@pytest.mark.parametrize("directory_goes", [False, True])
def test_a_lease_in_a_directory_that_is_just_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, directory_goes: bool
) -> None:
    """Who had the job was done with it while we judged the one before: our lease goes with all that lies there."""
    link, place = os.link, tmp_path / "private"
    place.mkdir()

    def and_gone(source: Path, target: Path) -> None:
        monkeypatch.setattr(os, "link", link)
        link(source, target)
        for path in place.iterdir():
            path.unlink()
        if directory_goes:
            place.rmdir()

    take(place, owner(1), 0.0, everybody)
    monkeypatch.setattr(os, "link", and_gone)
    if directory_goes:
        with pytest.raises(FileNotFoundError):
            take(place, owner(2), 0.0, nobody)
    else:
        assert take(place, owner(2), 0.0, nobody).owner == owner(2)
        assert read(place) is not None


def test_who_holds_a_lease_can_be_seen_without_a_trace(tmp_path: Path) -> None:
    """A living neighbour does, a dead one does not, nor does the asker; elsewhere it is a matter of time."""
    assert lease.holder(tmp_path, owner(2), 0.0, everybody) is None
    take(tmp_path, owner(1), 0.0, everybody)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    seen = lease.holder(tmp_path, owner(2), 0.0, everybody)
    assert seen is not None and seen.owner == owner(1)
    assert lease.holder(tmp_path, owner(2), 0.0, nobody) is None
    assert lease.holder(tmp_path, owner(1), 0.0, everybody) is None
    assert lease.holder(tmp_path, owner(2, "other"), time.time(), nobody) is not None
    assert lease.holder(tmp_path, owner(2, "other"), time.time() + LEASE_S + 1, nobody) is None
    release(tmp_path, owner(1))
    assert lease.holder(tmp_path, owner(2), 0.0, everybody) is None
    assert set(before) == {path.name for path in tmp_path.iterdir()}


def test_a_file_system_without_hard_links_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name is made exclusively instead."""

    def no_links(source: Path, target: Path) -> None:
        raise OSError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(os, "link", no_links)
    take(tmp_path, owner(1), 0.0, everybody)
    with pytest.raises(LeaseHeld):
        take(tmp_path, owner(2), 0.0, everybody)
    assert take(tmp_path, owner(2), 0.0, nobody).owner.pid == 2


def test_a_full_disk_keeps_no_later_pilot_away(tmp_path: Path) -> None:
    """The block for its lease was set aside by the first; and once more for the one after it, if there is room then."""
    with small_disk(tmp_path, "1m") as small:
        disk = small.place
        take(disk, owner(1), 0.0, everybody)
        small.fill()
        take(disk, owner(1), 1.0, everybody)
        assert take(disk, owner(2), 2.0, nobody).owner.pid == 2
        take(disk, owner(2), 3.0, everybody)
        with pytest.raises(LeaseHeld):
            take(disk, owner(3), 4.0, everybody)
        release(disk, owner(2))
        assert read(disk) is None
