"""Where an output goes: the endpoint that is meant, then the alternative ones, if that is permitted."""

import pytest

from picard_pilot.data.destinations import destinations
from picard_pilot.data.paths import NoPlan
from picard_pilot.model.files import FileRole, FileSpec
from picard_pilot.model.job import Job
from picard_pilot.model.policy import AltStageOut
from picard_pilot.model.site import Activity, Endpoint, PathRule, Protocol, Queue, Site

ON, OFF, FORCE = AltStageOut.ON, AltStageOut.OFF, AltStageOut.FORCE


def site(queue_says: AltStageOut | None = None, **activities: tuple[str, ...]) -> Site:
    """A site with endpoints A, B and T1, the first with two protocols; BAD is out of use."""
    endpoints = [
        Endpoint(
            name="A",
            protocols=(Protocol(prefix="file:///a"), Protocol(prefix="root://a//d")),
            paths=PathRule.FLAT,
        ),
        Endpoint(name="B", protocols=(Protocol(prefix="root://b//d"),), paths=PathRule.FLAT),
        Endpoint(name="T1", protocols=(Protocol(prefix="root://t1//d"),), paths=PathRule.FLAT),
        Endpoint(name="BAD", protocols=(Protocol(prefix="root://bad//d"),), state="DISABLED"),
    ]
    return Site(
        queue=Queue(
            name="Q",
            panda_resource="Q",
            endpoints=activities,
            movers={"default": ("local",)},
            alt_stage_out=queue_says,
        ),
        endpoints={entry.name: entry for entry in endpoints},
    )


def names(
    where: Site, job_says: AltStageOut | None = None, at: str | None = None, activity: str = Activity.WRITE
) -> list[str]:
    """Each destination by its endpoint, a star where it is an alternative."""
    file = FileSpec(lfn="out", role=FileRole.OUTPUT, scope="s", endpoint=at)
    job = Job(job_id=1, attempt_nr=1, alt_stage_out=job_says)
    return [
        place.endpoint.name + "*" * place.alternative for place in destinations(file, where, job, activity)
    ]


def test_one_endpoint_where_nobody_speaks_of_alternatives() -> None:
    """The job's, else the queue's first for the activity, by each of its protocols."""
    both = site(pw=("A", "B"), pl=("B",))
    assert names(both) == ["A", "A"]
    assert names(both, at="B") == ["B"]
    assert names(both, activity=Activity.LOG) == ["B"]
    assert names(site(pw=("A",)), activity=Activity.LOG) == ["A", "A"]


@pytest.mark.parametrize(
    ("queue_says", "job_says", "expected"),
    [
        (None, ON, ["A", "A", "B*"]),
        (ON, None, ["A", "A", "B*"]),
        (ON, OFF, ["A", "A"]),
        (OFF, ON, ["A", "A", "B*"]),
        (OFF, None, ["A", "A"]),
        (OFF, FORCE, ["B*"]),
        (FORCE, None, ["B*"]),
        (FORCE, ON, ["A", "A", "B*"]),
    ],
)
def test_the_job_has_the_last_word(
    queue_says: AltStageOut | None, job_says: AltStageOut | None, expected: list[str]
) -> None:
    """The next endpoint of the activity is the alternative where the queue names no other."""
    assert names(site(queue_says, pw=("A", "B", "T1")), job_says) == expected


def test_alternatives_that_the_queue_names() -> None:
    """They come before the activity's next one, all of them, and need no further word."""
    where = site(pw=("A", "B"), write_alternative=("T1", "B"))
    assert names(where) == ["A", "A", "T1*", "B*"]
    assert names(where, at="T1") == ["T1", "B*"]
    assert names(where, OFF) == ["A", "A"]
    assert names(where, FORCE) == ["T1*", "B*"]
    assert names(where, activity=Activity.LOG) == ["A", "A", "T1*", "B*"]


def test_forced_without_any_alternative() -> None:
    """The first destination is better than none."""
    assert names(site(FORCE, pw=("A",))) == ["A", "A"]


def test_an_unusable_first_or_alternative_endpoint_is_passed_over() -> None:
    """The other one is there for that."""
    assert names(site(ON, pw=("BAD", "A"))) == ["A*", "A*"]
    assert names(site(ON, pw=("A", "BAD"))) == ["A", "A"]
    assert names(site(ON, pw=("A",), write_alternative=("GONE", "T1"))) == ["A", "A", "T1*"]


def test_reasons_say_who_permits_it() -> None:
    """For the journal and the report."""
    file = FileSpec(lfn="out", role=FileRole.OUTPUT, scope="s")
    where = site(pw=("A",), write_alternative=("T1",))
    asked = destinations(file, where, Job(job_id=1, attempt_nr=1, alt_stage_out=ON))
    assert [place.reason for place in asked[1:]] == [
        "endpoint 1 of queue Q for pw",
        "alternative 1 of queue Q for write_alternative, permitted by the job's altStageOut",
    ]
    silent = destinations(file, where, Job(job_id=1, attempt_nr=1))
    assert silent[-1].reason.endswith("permitted by queue Q, which names it")


@pytest.mark.parametrize(
    ("where", "at", "word"),
    [
        (site(), None, "neither the job nor the queue"),
        (site(ON, pw=("BAD", "BAD")), None, "DISABLED"),
        (site(), "T11", "nearest: T1"),
    ],
)
def test_no_destination_at_all(where: Site, at: str | None, word: str) -> None:
    """The obstacle of the endpoint that is meant comes first."""
    with pytest.raises(NoPlan) as raised:
        names(where, at=at)
    assert raised.value.fault == "NOSTORAGE"
    assert word in raised.value.says
