"""Planning: where an input can come from, where an output goes, and how failed attempts are judged."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from picard_pilot.data.paths import NoPlan, address, rucio_path
from picard_pilot.data.sources import sources as list_sources
from picard_pilot.data.verdicts import STAGEIN, STAGEOUT, stagein_verdict, stageout_verdict
from picard_pilot.diagnosis.catalogue.codes import BY_NAME
from picard_pilot.model.files import ChecksumKind, FileRole, FileSpec
from picard_pilot.model.site import Endpoint, PathRule, Protocol, Queue, Site
from picard_pilot.model.transfer import (
    AnyResult,
    FailureClass,
    Side,
    Source,
    TransferFailure,
)
from picard_pilot.movers.file_url import path_of


def endpoint(
    name: str, *prefixes: str, paths: PathRule = PathRule.RUCIO, state: str | None = None
) -> Endpoint:
    """An endpoint with these addresses for everything."""
    return Endpoint(
        name=name, protocols=tuple(Protocol(prefix=prefix) for prefix in prefixes), paths=paths, state=state
    )


def site(*endpoints: Endpoint, **activities: tuple[str, ...]) -> Site:
    """A site with these endpoints, used for these activities."""
    return Site(
        queue=Queue(name="Q", panda_resource="Q", endpoints=activities, movers={"default": ("local",)}),
        endpoints={entry.name: entry for entry in endpoints},
    )


def sources(wanted: FileSpec, where: Site) -> tuple[Source, ...]:
    """The list alone."""
    return list_sources(wanted, where).found


def file(lfn: str = "f.root", scope: str | None = "mc23", at: str | None = None) -> FileSpec:
    """A file as a job names it."""
    return FileSpec(lfn=lfn, role=FileRole.INPUT, scope=scope, endpoint=at)


DISK = endpoint("DISK", "file:///disk", "root://door:1094//disk")
CACHE = endpoint("CACHE", "file:///cache/", paths=PathRule.FLAT)


@pytest.mark.parametrize(
    ("scope", "lfn", "path"),
    [
        # The digests are those of md5sum on "scope:lfn".
        ("mc23_13p6TeV", "EVNT.1.root", "mc23_13p6TeV/b8/9d/EVNT.1.root"),
        ("user.jdoe", "out.root", "user/jdoe/00/1e/out.root"),
        ("group.phys-higgs", "x", "group/phys-higgs/5b/21/x"),
        ("data.with.dots", "x", "data.with.dots/d8/0c/x"),
    ],
)
def test_the_deterministic_path_is_rucios(scope: str, lfn: str, path: str) -> None:
    """Two levels of the md5 of scope and name; only user and group scopes are split at their dots."""
    assert rucio_path(scope, lfn) == path


def test_the_jobs_own_endpoint_comes_first_and_once() -> None:
    """Then the queue's, in its order; every protocol of an endpoint in the endpoint's order; each with a reason."""
    found = sources(file(at="CACHE"), site(DISK, CACHE, pr=("DISK", "CACHE")))
    assert [source.surl for source in found] == [
        "file:///cache/f.root",
        "file:///disk/" + rucio_path("mc23", "f.root"),
        "root://door:1094//disk/" + rucio_path("mc23", "f.root"),
    ]
    assert found[0].reason == "the job names CACHE"
    assert found[1].reason == "endpoint 1 of queue Q for pr"
    assert found[0].movers == ("local",)


def test_reading_falls_back_to_other_words_for_it() -> None:
    """A queue that names no `pr` may name `read_lan`, or only `default`."""
    assert sources(file(), site(DISK, read_lan=("DISK",)))[0].reason == "endpoint 1 of queue Q for read_lan"
    assert sources(file(), site(DISK, default=("DISK",)))[0].reason == "endpoint 1 of queue Q for default"


@pytest.mark.parametrize(
    ("wanted", "where", "fault", "word"),
    [
        (file(), site(DISK), "NOSTORAGE", "neither the job nor the queue"),
        (file(at="DISC"), site(DISK), "NOSTORAGE", "nearest: DISK"),
        (file(), site(endpoint("E", "file:///e", state="DISABLED"), pr=("E",)), "NOSTORAGE", "DISABLED"),
        (file(), site(endpoint("E"), pr=("E",)), "NOSTORAGEPROTOCOL", "no protocol for pr"),
        (file(scope=None), site(DISK, pr=("DISK",)), "NOTDEFINED", "no scope"),
        (
            file(),
            site(endpoint("E", "root://e//", paths=PathRule.CATALOGUE), pr=("E",)),
            "NONDETERMINISTICDDM",
            "only a replica catalogue",
        ),
    ],
)
def test_why_there_is_no_plan(wanted: FileSpec, where: Site, fault: str, word: str) -> None:
    """The name of the error and a sentence with the names in it."""
    with pytest.raises(NoPlan) as raised:
        sources(wanted, where)
    assert raised.value.fault == fault
    assert word in raised.value.says
    assert fault in BY_NAME


def test_one_usable_endpoint_is_enough() -> None:
    """An endpoint that nobody knows does not hide the others."""
    assert [source.endpoint.name for source in sources(file(at="GONE"), site(CACHE, pr=("CACHE",)))] == [
        "CACHE"
    ]


@given(
    lfn=st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1).filter(
        lambda name: name not in (".", "..")
    )
)
def test_every_name_survives_its_address(lfn: str) -> None:
    """Whatever a file is called, its file:// address leads to that name below the prefix, and nowhere else."""
    flat = endpoint("E", "file:///srv/e", paths=PathRule.FLAT)
    path = path_of(address(file(lfn), flat, "file:///srv/e"), flat)
    assert str(path.parent) == "/srv/e"
    assert path.name == lfn


def test_xrootd_takes_names_as_they_are() -> None:
    """Its addresses are no URLs by the letter."""
    flat = endpoint("E", "root://e//d", paths=PathRule.FLAT)
    assert address(file("a b%c"), flat, "root://e//d") == "root://e//d/a b%c"


# judging


def failure(
    kind: FailureClass, *, side: Side = Side.STORAGE, after_s: float | None = None, fault: str | None = None
) -> TransferFailure:
    """A failure of this class."""
    return TransferFailure(kind=kind, says=f"{kind}!", side=side, retry_after_s=after_s, fault=fault)


def test_every_name_is_in_the_catalogue() -> None:
    """A verdict that the catalogue does not know would be no verdict."""
    kinds = [failure(kind, side=side) for kind in FailureClass for side in Side]
    for kind in ChecksumKind:
        for one in kinds:
            assert stagein_verdict([one], kind).name in BY_NAME
            assert stageout_verdict([one], kind).name in BY_NAME
    assert set(STAGEIN.values()) | set(STAGEOUT.values()) <= set(BY_NAME)


@pytest.mark.parametrize(
    ("failures", "name"),
    [
        ([failure(FailureClass.MISSING)], "MISSINGINPUTFILE"),
        ([failure(FailureClass.MISSING), failure(FailureClass.MISSING)], "MISSINGINPUTFILE"),
        ([failure(FailureClass.MISSING), failure(FailureClass.TIMEOUT)], "STAGEINFAILED"),
        ([failure(FailureClass.TIMEOUT), failure(FailureClass.SPACE, side=Side.NODE)], "NOLOCALSPACE"),
        ([failure(FailureClass.CHECKSUM)], "GETADMISMATCH"),
        ([failure(FailureClass.AUTH)], "STAGEINAUTHENTICATIONFAILURE"),
        ([failure(FailureClass.CONTACT)], "STAGEINFAILED"),
        ([failure(FailureClass.SPECIFICATION, fault="NOSTORAGEPROTOCOL")], "NOSTORAGEPROTOCOL"),
    ],
)
def test_a_verdict_over_several_sources(failures: list[TransferFailure], name: str) -> None:
    """The exact name where all sources failed alike, or where the node is to blame; else the general one."""
    assert stagein_verdict(failures, ChecksumKind.ADLER32).name == name


def test_mismatches_by_kind_and_direction() -> None:
    """Four numbers for four mismatches; the pilot before told all of them as md5."""
    wrong = [failure(FailureClass.CHECKSUM)]
    assert stagein_verdict(wrong, ChecksumKind.MD5).name == "GETMD5MISMATCH"
    assert stageout_verdict(wrong, ChecksumKind.ADLER32).name == "PUTADMISMATCH"
    assert stageout_verdict(wrong, ChecksumKind.MD5).name == "PUTMD5MISMATCH"


def test_values_survive_the_way_to_the_worker() -> None:
    """Everything of a plan is JSON and back without a loss."""
    source = sources(file(), site(DISK, pr=("DISK",)))[0]
    sick = failure(FailureClass.CONTACT, after_s=5.0)
    assert msgspec.json.decode(msgspec.json.encode(source), type=Source) == source
    assert msgspec.json.decode(msgspec.json.encode(sick), type=AnyResult) == sick  # type: ignore[arg-type]
