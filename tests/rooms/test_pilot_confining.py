"""The pilot's side of confining payloads: which ways there are, what is hidden and shown, what is kept for later."""

import asyncio
import os
import signal
import subprocess
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest
from pilot_kit import ToldDispatcher, parts_for, work_for
from process_kit import go

from picard_pilot.isolation.base import Isolation
from picard_pilot.model.command import PayloadExit
from picard_pilot.model.fault import Blame
from picard_pilot.model.files import FileRole, FileSpec
from picard_pilot.model.isolation import (
    CannotConfine,
    Chosen,
    Confined,
    ConfineFault,
    ConfineRequest,
    Guarantee,
    NotIsolated,
    Probed,
    Wrapped,
)
from picard_pilot.model.policy import Container, CredentialNeeds
from picard_pilot.model.site import Queue
from picard_pilot.payload.launch import LaunchSpec
from picard_pilot.pilot import ways as pilot_ways
from picard_pilot.pilot.confining import RECORD, Confining, NotConfined
from picard_pilot.pilot.parts import Parts
from picard_pilot.pilot.unseen import to_hide, to_show
from picard_pilot.pilot.ways import Ways
from picard_pilot.pilot.work import JobWork
from picard_pilot.plugins.loader import PluginError
from picard_pilot.settings.settings import Settings
from picard_pilot.system import cgroup
from picard_pilot.testing.clock import VirtualClock

QUEUE = Queue(name="Q", panda_resource="Q")
HIDING = msgspec.structs.replace(QUEUE, required_guarantees=(Guarantee.HIDES_PILOT_CREDENTIALS,))


class Cloak(Isolation):
    """Hides, as it says; what it was asked is kept."""

    name = "cloak"
    api = 1
    claims = frozenset({Guarantee.HIDES_PILOT_CREDENTIALS})
    asked: ClassVar[list[ConfineRequest]] = []
    fails: ClassVar[Exception | None] = None

    async def probe(self) -> Probed:
        return self.found("1.0")

    def wrap(self, request: ConfineRequest) -> Wrapped:
        if self.fails is not None:
            raise self.fails
        self.asked.append(request)
        return Wrapped(argv=("cloak", *request.argv), environment=request.environment)

    def fault(self, exit_code: int, stderr: str = "") -> ConfineFault | None:
        return (
            ConfineFault(error="SETUPFAILURE", says=stderr, next_step="mend it") if exit_code == 9 else None
        )


class Torn(Cloak):
    """Of another package, with an error in it."""

    name = "torn"

    async def probe(self) -> Probed:
        raise RuntimeError("no thread left\non this node")


class Slow(Cloak):
    """Never answers."""

    name = "slow"

    async def probe(self) -> Probed:
        await asyncio.Event().wait()
        raise AssertionError


class Half(Cloak):
    """Works at one of its places only."""

    name = "half"

    @classmethod
    def at(cls, place: str) -> type["Half"]:
        return type("Half", (cls,), {"place": place, "__module__": __name__})

    async def probe(self) -> Probed:
        return (
            self.found(getattr(self, "place", ""))
            if getattr(self, "place", "") == "/b"
            else self.lacking("no")
        )


class Veil(Cloak):
    """Another way that hides, and never fails."""

    name = "veil"

    def wrap(self, request: ConfineRequest) -> Wrapped:
        return Wrapped(argv=("veil", *request.argv), environment=request.environment)


class Switch(Cloak):
    """Another user, by a rule of the site that is gone when the job comes."""

    name = "switch"
    switches_identity = True
    tried: ClassVar[int] = 0

    async def probe(self) -> Probed:
        type(self).tried += 1
        return self.found("1.0") if self.tried == 1 else self.lacking("its rule is gone")


CLOAK, TORN, SLOW, VEIL, SWITCH = (
    f"{__name__}:{each.__name__}" for each in (Cloak, Torn, Slow, Veil, Switch)
)


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing asked, nothing fails."""
    monkeypatch.setattr(Cloak, "asked", [])
    monkeypatch.setattr(Cloak, "fails", None)
    monkeypatch.setattr(Switch, "tried", 0)


def test_a_way_that_fails_or_hangs_when_tried_is_not_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    """It costs nothing but itself, and the reason is in the one line of the log."""
    monkeypatch.setattr(pilot_ways, "PROBES_LIMIT_S", 0.5)
    ways = Ways(("none", TORN, SLOW, CLOAK))
    found = go(ways.known())
    usable = {each.name: each.usable for each in found.probed}
    assert [name for name, good in usable.items() if good] == ["none", "cloak"]
    assert "RuntimeError: no thread left" in found.says()
    assert "did not answer" in found.says()
    assert found.ladder.rungs[-1].value in found.says()


def test_of_several_places_the_one_that_works_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two installations of one way are two names in the setting."""
    import picard_pilot.isolation as room

    monkeypatch.setitem(room.KNOWN, "half", (f"{__name__}:Half", "It is part of this test."))
    ways = Ways(("half:/a", "half:/b"))
    chosen = go(ways.choose(HIDING, None))
    assert isinstance(chosen, Chosen)
    assert (chosen.provider, ways.place_of("half")) == ("half", "half:/b")


def test_an_unknown_way_is_no_setting() -> None:
    """Said at the start, before any job."""
    with pytest.raises(PluginError, match="There is no isolation named 'jail'"):
        Ways(("none", "jail")).require_known()


def test_the_refusal_says_who_requires_it() -> None:
    """Queue and setting each with their own."""
    ways = Ways(("none",), required=("own_process_space",))
    why = go(ways.choose(HIDING, None))
    assert isinstance(why, NotIsolated)
    fault = pilot_ways.refused(why, ways.required(HIDING), HIDING)
    assert [one.text for one in fault.evidence] == [
        "required by the queue: hides_pilot_credentials",
        "required by the setting required_guarantees: own_process_space",
    ]
    assert "hides_pilot_credentials, own_process_space" in fault.says
    assert fault.next_step == why.next_step
    assert fault.blame is Blame.NODE, (
        "not the experiment's authors, who have to do with this number otherwise"
    )


class Here:
    """A job's directory and a pilot's parts."""

    def __init__(self, folder: Path, *names: str, queue: Queue = QUEUE, **environ: str) -> None:
        clock = VirtualClock()
        self.directory = folder / "work" / "PanDA_Pilot-5"
        (self.directory / "picard").mkdir(parents=True)
        parts = parts_for(clock, ToldDispatcher(clock), folder / "work")
        self.parts: Parts = msgspec.structs.replace(
            parts,
            environ=environ,
            ways=Ways(names or ("none",), environ),
            site=msgspec.structs.replace(parts.site, queue=queue),
        )
        self.work: JobWork = work_for(self.directory, clock)
        self.confining = Confining(self.parts)

    def spec(self, **environment: str) -> LaunchSpec:
        """A payload, not yet confined."""
        place = str(self.directory)
        return LaunchSpec(
            directory=f"{place}/picard/launch", argv=("true",), cwd=place, env=environment,
            stdout=f"{place}/payload.stdout", stderr=f"{place}/payload.stderr",
        )  # fmt: skip

    def confine(self, container: Container | None = None, **environment: str) -> LaunchSpec:
        """The payload as it would be launched."""
        needs = CredentialNeeds()
        return go(self.confining.confine(self.work, self.spec(**environment), container, needs))


def test_the_pilots_home_is_only_replaced_where_it_is_hidden(tmp_path: Path) -> None:
    """An unconfined payload has the home that it always had."""
    home = str(tmp_path)
    plain = Here(tmp_path / "a", HOME=home).confine(HOME=home)
    assert (plain.argv, plain.env, plain.own_process_space) == (("true",), {"HOME": home}, False)
    hiding = Here(tmp_path / "b", CLOAK, queue=HIDING, HOME=home)
    hidden = hiding.confine(HOME=home)
    assert (hidden.argv, hidden.env) == (("cloak", "true"), {"HOME": str(hiding.directory)})
    assert home in Cloak.asked[0].hidden


@pytest.mark.parametrize("error", [CannotConfine("not so"), OSError("not so"), KeyError("not so")])
def test_a_way_that_cannot_confine_is_a_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Whatever it raises: the payload is never started without."""
    monkeypatch.setattr(Cloak, "fails", error)
    with pytest.raises(NotConfined, match="the payload cannot be confined") as refused:
        Here(tmp_path, CLOAK, queue=HIDING).confine()
    assert refused.value.fault.name == "SETUPFAILURE"
    assert "not so" in refused.value.fault.says


def test_where_one_way_cannot_confine_the_job_the_next_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that cannot for this job, one whose rule is gone since the start: the third gives all that is required."""
    monkeypatch.setattr(Cloak, "fails", CannotConfine("its folder is full"))
    here = Here(tmp_path, "none", CLOAK, SWITCH, VEIL, queue=HIDING)
    assert here.confine().argv == ("veil", "true")
    confined = Confining(here.parts).of(work_for(here.directory, VirtualClock()))
    assert confined is not None
    assert (confined.way, confined.switches_identity) == (VEIL, False)


def test_the_next_one_never_gives_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only ways without the guarantee are left, the job is refused with the reason of each."""
    monkeypatch.setattr(Cloak, "fails", CannotConfine("its folder is full"))
    with pytest.raises(NotConfined) as refused:
        Here(tmp_path, CLOAK, "none", SWITCH, queue=HIDING).confine()
    says = refused.value.fault.says
    assert "nothing here gives hides_pilot_credentials" in says
    assert "cloak: the payload cannot be confined: its folder is full" in says
    assert "none: does not give hides_pilot_credentials" in says
    assert "switch: the payload cannot be confined: switch does not work any more: its rule is gone" in says


def test_options_of_the_queue_that_are_no_words_are_a_refusal(tmp_path: Path) -> None:
    """An open quote in container_options is said as such."""
    queue = msgspec.structs.replace(HIDING, container_options="--bind '/cvmfs")
    here = Here(tmp_path, CLOAK, queue=queue)
    here.parts.ways.found = go(here.parts.ways.known())
    seen = tuple(msgspec.structs.replace(each, runs_images=True) for each in here.parts.ways.found.probed)
    here.parts.ways.found = here.parts.ways.found._replace(probed=seen)
    with pytest.raises(NotConfined, match="container_options"):
        here.confine(Container(image="/image"))


def test_a_later_pilot_knows_how_it_was_confined(tmp_path: Path) -> None:
    """From the job's own directory; a record that cannot be read is no way at all."""
    first = Here(tmp_path, CLOAK, queue=HIDING)
    first.confine()
    later = Confining(first.parts)
    found = work_for(first.directory, VirtualClock())
    confined = later.of(found)
    assert confined is not None
    assert (confined.way, confined.switches_identity, confined.group) == (CLOAK, False, None)
    (first.directory / "payload.stderr").write_text("cloak: there is a hole in it\n")
    nine = PayloadExit(
        exit_code=9, signal=None, stopped_by=None, started_at=0.0, ended_at=1.0, wall_s=1.0, cpu_user_s=0.0,
        cpu_system_s=0.0, max_rss_bytes=0, stdout_bytes=0, stderr_bytes=0, leftovers_killed=0, survivors=0,
    )  # fmt: skip
    fault = later.faults(found, nine)[0]
    assert (fault.name, fault.says, fault.next_step) == (
        "SETUPFAILURE", "cloak: there is a hole in it", "mend it",
    )  # fmt: skip
    (first.directory / "picard" / RECORD).write_text("{")
    assert later.of(work_for(first.directory, VirtualClock())) is None


def test_what_is_hidden(tmp_path: Path) -> None:
    """Work area, private folder, every credential that settings and variables name, the user's session, the home."""
    session = tmp_path / "session"
    session.mkdir()
    here = Here(
        tmp_path, HOME=str(tmp_path), XDG_RUNTIME_DIR=str(session), X509_USER_PROXY="/p/proxy",
        X509_USER_CERT="/c/cert", X509_USER_KEY="/k/key", BEARER_TOKEN_FILE="/t/token",
        GLEXEC_CLIENT_CERT="/o/owner",
    )  # fmt: skip
    settings: Settings = msgspec.structs.replace(
        here.parts.settings, token_file="/s/token", storage_token_file="/s/storage", x509_proxy="/s/proxy"
    )
    parts = msgspec.structs.replace(here.parts, settings=settings)
    hidden = set(to_hide(parts, here.work.bundle))
    wanted = {"/p/proxy", "/c/cert", "/k/key", "/t/token", "/o/owner", "/s/token", "/s/storage", "/s/proxy"}
    assert wanted <= hidden
    assert {str(parts.workdir), here.work.bundle.private, str(session), str(tmp_path)} <= hidden


@pytest.mark.parametrize("home", ["/", "", "/nowhere/at/all"])
def test_a_home_that_is_nobodys_is_not_hidden(tmp_path: Path, home: str) -> None:
    """A service's user has none; hiding what stands there would hide the node."""
    here = Here(tmp_path, HOME=home)
    assert home not in to_hide(here.parts, here.work.bundle)


def test_what_is_shown(tmp_path: Path) -> None:
    """Where linked and directly read inputs really lie, and what the experiment asks for by its variable."""
    proxy = tmp_path / "proxy"
    proxy.write_text("proxy")
    here = Here(tmp_path, X509_USER_PROXY=str(proxy))
    target = tmp_path / "store" / "in.root"
    (here.directory / "in.root").symlink_to(target)
    (here.directory / "copied.root").write_text("copy")
    inputs = tuple(
        FileSpec(lfn=name, role=FileRole.INPUT) for name in ("in.root", "copied.root", "read.root")
    )
    job = msgspec.structs.replace(here.work.case.job, inputs=inputs)
    here.work.case = msgspec.structs.replace(here.work.case, job=job)
    shown = to_show(here.parts, here.work, CredentialNeeds(variables=("X509_USER_PROXY", "NOT_SET")))
    assert shown == (str(target), str(proxy))
    assert to_show(here.parts, here.work, CredentialNeeds()) == (str(target),)


def test_the_first_payload_has_a_group_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one can be made is found out when the first job asks; its name stands in the record."""
    place = tmp_path / "slice"
    place.mkdir()
    (place / "cgroup.kill").touch()
    monkeypatch.setattr(pilot_ways, "find_place", lambda: cgroup.Place(place, place))
    here = Here(tmp_path)
    group = here.confine().cgroup
    assert group is not None
    assert here.work.confined is not None
    assert (here.work.confined.group, Path(group).parent) == (group, place)
    assert Path(group).is_dir()


def test_a_payloads_group_goes_with_what_is_in_it(tmp_path: Path) -> None:
    """Also where something in it was only just killed, or was not: the kernel removes no group that is not empty."""
    place = cgroup.find_place()
    if not isinstance(place, cgroup.Place):
        pytest.skip(f"{place.says}; a guest has them, see test_confined_guest")
    group = cgroup.make(place, f"picard-test-{os.urandom(6).hex()}").path
    here = Here(tmp_path)
    here.work.confined = Confined(way="none", says="", group=str(group))
    inside = subprocess.Popen(("sleep", "3600"))
    try:
        (group / "cgroup.procs").write_text(str(inside.pid))
        go(here.confining.ended(here.work, leftovers=False))
        assert inside.wait(60) == -signal.SIGKILL
        assert not group.exists()
    finally:
        inside.kill()
        inside.wait()
        cgroup.remove(group)


def test_a_confined_record_is_kept_before_anything_is_started(tmp_path: Path) -> None:
    """A pilot that dies between the record and the launch leaves what the next one needs to tidy."""
    here = Here(tmp_path, CLOAK, queue=HIDING)
    here.confine()
    text = (here.directory / "picard" / RECORD).read_bytes()
    assert msgspec.json.decode(text, type=Confined) == here.work.confined
    assert (here.directory / "picard" / "isolation").stat().st_mode & 0o777 == 0o700
    assert os.listdir(here.directory / "picard" / "isolation") == []  # noqa: PTH208
