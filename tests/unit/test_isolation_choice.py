"""Which way to confine a job gets, and the rungs of a node: pure, from what was found."""

import itertools
from pathlib import Path

import pytest

from picard_pilot.isolation.choice import choose
from picard_pilot.isolation.ladder import ladder
from picard_pilot.model.isolation import Chosen, Guarantee, IsolationNeeds, NotIsolated, Probed, Rung
from picard_pilot.system.cgroup import NoPlace, Place

NONE = Probed(name="none", usable=True, says="nothing is confined")
LANDLOCK = Probed(
    name="landlock", usable=True, says="version 7", guarantees=frozenset({Guarantee.READ_ONLY_HOST})
)
FULL = frozenset({Guarantee.HIDES_PILOT_CREDENTIALS, Guarantee.OWN_PROCESS_SPACE, Guarantee.READ_ONLY_HOST})
BUBBLEWRAP = Probed(name="bubblewrap", usable=True, says="bubblewrap 0.8", guarantees=FULL)
APPTAINER = Probed(
    name="apptainer", usable=True, says="1.4", guarantees=FULL, runs_images=True, needs_image=True
)
SUDO = Probed(
    name="sudo",
    usable=True,
    says="to the user payload",
    guarantees=frozenset({Guarantee.OTHER_IDENTITY, Guarantee.HIDES_PILOT_CREDENTIALS}),
    switches_identity=True,
)
NO_BUBBLEWRAP = Probed(name="bubblewrap", usable=False, says="there is no bwrap on this node")
ALL = (NONE, LANDLOCK, BUBBLEWRAP, APPTAINER, SUDO)
ORDER = tuple(each.name for each in ALL)


def needs(
    *guarantees: Guarantee, image: str | None = None, providers: tuple[str, ...] = ORDER
) -> IsolationNeeds:
    """What is required."""
    return IsolationNeeds(guarantees=frozenset(guarantees), image=image, providers=providers)


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        (needs(), "none"),
        (needs(Guarantee.READ_ONLY_HOST), "landlock"),
        (needs(Guarantee.READ_ONLY_HOST, providers=("bubblewrap", "landlock")), "bubblewrap"),
        (needs(Guarantee.OWN_PROCESS_SPACE), "bubblewrap"),
        (needs(Guarantee.OTHER_IDENTITY), "sudo"),
        (needs(image="/image"), "apptainer"),
        (needs(*FULL, image="/image"), "apptainer"),
    ],
)
def test_the_first_that_gives_all_is_chosen(wanted: IsolationNeeds, name: str) -> None:
    """In the order of the setting, and said why."""
    found = choose(wanted, ALL)
    assert isinstance(found, Chosen)
    assert found.provider == name
    assert all(guarantee.value in found.says for guarantee in wanted.guarantees)


@pytest.mark.parametrize(
    ("wanted", "probed", "missing", "says"),
    [
        (
            needs(Guarantee.OWN_PROCESS_SPACE, providers=("none", "bubblewrap")),
            (NONE, NO_BUBBLEWRAP),
            (Guarantee.OWN_PROCESS_SPACE,),
            "nothing here gives own_process_space (none: does not give own_process_space; "
            "bubblewrap: there is no bwrap on this node)",
        ),
        (
            needs(Guarantee.OTHER_IDENTITY, providers=("none", "bubblewrap")),
            ALL,
            (Guarantee.OTHER_IDENTITY,),
            "nothing here gives other_identity",
        ),
        (needs(image="/image", providers=("none",)), ALL, (), "nothing here can run the image /image"),
        (
            needs(Guarantee.OTHER_IDENTITY, Guarantee.OWN_PROCESS_SPACE),
            ALL,
            (),
            "nothing here gives together own_process_space, other_identity",
        ),
        (
            needs(Guarantee.OTHER_IDENTITY, image="/image"),
            ALL,
            (),
            "together other_identity, the image /image",
        ),
        (needs(providers=("apptainer",)), ALL, (), "runs only images, and the job names none"),
        (needs(providers=("jail",)), ALL, (), "jail: is not a way that this pilot knows"),
        (needs(providers=()), ALL, (), "no way to confine is allowed"),
    ],
)
def test_otherwise_it_is_refused_and_said_what_is_missing(
    wanted: IsolationNeeds, probed: tuple[Probed, ...], missing: tuple[Guarantee, ...], says: str
) -> None:
    """It names the guarantees, and for each allowed way the reason."""
    found = choose(wanted, probed)
    assert isinstance(found, NotIsolated)
    assert found.missing == missing
    assert says in found.says
    assert found.next_step


def test_never_less_than_what_is_required() -> None:
    """Over every combination of requirements and of what is usable: what is chosen gives all, or it is a refusal."""
    for count in range(len(Guarantee) + 1):
        for guarantees in itertools.combinations(Guarantee, count):
            for usable in itertools.product((True, False), repeat=len(ALL)):
                for image in (None, "/image"):
                    probed = [
                        each if here else Probed(name=each.name, usable=False, says="is not here")
                        for each, here in zip(ALL, usable, strict=True)
                    ]
                    found = choose(needs(*guarantees, image=image), probed)
                    fit = [
                        each
                        for each in probed
                        if each.usable
                        and set(guarantees) <= each.guarantees
                        and (each.runs_images if image else not each.needs_image)
                    ]
                    if isinstance(found, Chosen):
                        assert found.provider == fit[0].name
                    else:
                        assert fit == []


def test_the_ladder_has_a_reason_for_each_rung_that_is_missing() -> None:
    """A node with nothing: a process group is left, and for all others it is said why they are not there."""
    found = ladder(NoPlace("nothing may be written"), (NONE, NO_BUBBLEWRAP), subreaper=False)
    assert (found.rungs, found.best) == ((Rung.PROCESS_GROUP,), Rung.PROCESS_GROUP)
    assert found.missing[Rung.CGROUP] == "nothing may be written"
    assert "there is no bwrap on this node" in found.missing[Rung.PID_NAMESPACE]
    assert found.missing[Rung.SUBREAPER]


def test_the_ladder_of_a_good_node(tmp_path: Path) -> None:
    """The best comes first; a kernel that cannot kill a group at once does not count as having them."""
    (tmp_path / "cgroup.kill").touch()
    found = ladder(Place(tmp_path, tmp_path), ALL, subreaper=True)
    assert (found.rungs, found.missing) == (tuple(Rung), {})
    (tmp_path / "cgroup.kill").unlink()
    assert ladder(Place(tmp_path, tmp_path), ALL, subreaper=True).best is Rung.PID_NAMESPACE
