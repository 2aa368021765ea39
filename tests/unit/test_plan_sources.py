"""Where an input can come from: the whole list in its order, with a reason for each place."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from picard_pilot.data import paths
from picard_pilot.data.paths import rucio_path
from picard_pilot.data.sources import sources as list_sources
from picard_pilot.model.files import FileRole, FileSpec
from picard_pilot.model.site import Endpoint, Federation, PathRule, Protocol, Queue, Site
from picard_pilot.model.transfer import FileReplicas, Replica, Source, SourceKind

PATH = rucio_path("mc23", "f.root")


def sources(*told: Any, **more: Any) -> tuple[Source, ...]:
    """The list alone."""
    return list_sources(*told, **more).found


def an_endpoint(name: str, *prefixes: str, **more: object) -> Endpoint:
    """An endpoint with these addresses, else one on a host of its own."""
    ways = prefixes or (f"root://{name.lower()}//rucio",)
    return Endpoint(
        name=name,
        protocols=tuple(Protocol(prefix=prefix) for prefix in ways),
        **more,  # type: ignore[arg-type]
    )


def site(
    *more: Endpoint,
    pr: tuple[str, ...] = ("A", "B"),
    read_alternative: tuple[str, ...] = (),
    federation: Federation | None = None,
    allow_lan: bool | None = None,
    allow_wan: bool | None = None,
) -> Site:
    """A site that reads from A (mounted, and with a door), then from B."""
    endpoints = [an_endpoint("A", "file:///a", "root://a//rucio"), an_endpoint("B"), an_endpoint("C"), *more]
    return Site(
        queue=Queue(
            name="Q",
            panda_resource="Q",
            endpoints={"pr": pr, "read_alternative": read_alternative},
            movers={"pr": ("local",), "read_wan": ("xrootd",)},
            federation=federation,
            allow_lan=allow_lan,
            allow_wan=allow_wan,
        ),
        endpoints={entry.name: entry for entry in endpoints},
    )


def file(size_bytes: int | None = 100, at: str | None = None) -> FileSpec:
    """The file."""
    return FileSpec(lfn="f.root", role=FileRole.INPUT, scope="mc23", size_bytes=size_bytes, endpoint=at)


def at(rse: str, *, lan: bool | None = None, **more: object) -> Replica:
    """A replica at an endpoint, under the address that its rule gives."""
    said: dict[str, object] = {"surl": f"root://{rse.lower()}//rucio/{PATH}", "rse": rse, "lan": lan, **more}
    return Replica(**said)  # type: ignore[arg-type]


def catalogue(*replicas: Replica) -> FileReplicas:
    """The catalogue's answer."""
    return FileReplicas(scope="mc23", lfn="f.root", replicas=replicas)


def shown(found: tuple[Source, ...]) -> list[str]:
    """Each source as kind and endpoint, once where one endpoint has several ways."""
    return list(dict.fromkeys(f"{place.kind} {place.endpoint.name}" for place in found))


FED = Federation(redirector="root://redirector//rucio", max_bytes=1000)


def test_the_whole_list_in_its_order() -> None:
    """Site, near replicas, far ones, the alternatives of the queue, the federation; each with its reason."""
    found = sources(
        file(),
        site(read_alternative=("C",), federation=FED),
        replicas=catalogue(at("FAR", lan=False), at("NEAR", lan=True), at("A"), at("B"), at("C")),
    )
    assert shown(found) == [
        "site A",
        "lan NEAR",
        "wan FAR",
        "alternative C",
        "alternative B",
        "federation federation",
    ]
    assert [place.reason for place in found if place.surl.startswith("root")] == [
        "endpoint 1 of queue Q for pr, where the catalogue has it",
        "alternative replica 1, near by the catalogue",
        "alternative replica 2, at another site by the catalogue",
        "alternative 1 of queue Q for read_alternative, where the catalogue has it",
        "endpoint 2 of queue Q for pr, where the catalogue has it",
        "the federation of queue Q",
    ]
    assert {place.surl for place in found if place.endpoint.name == "A"} == {
        f"file:///a/{PATH}",
        f"root://a//rucio/{PATH}",
    }
    assert found[-1].surl == f"root://redirector//rucio/{PATH}"
    assert {place.kind: place.movers for place in found if place.movers}[SourceKind.WAN] == ("xrootd",)


def test_what_the_catalogue_does_not_list_at_the_site_comes_later() -> None:
    """The catalogue lists it elsewhere: the site's own storage would most likely answer that there is none."""
    found = sources(file(), site(), replicas=catalogue(at("NEAR", lan=True)))
    assert shown(found) == ["lan NEAR", "alternative B", "alternative A"]
    assert found[-1].reason == "endpoint 1 of queue Q for pr, though the catalogue lists it elsewhere"


def test_a_catalogue_that_knows_nothing_leaves_it_to_the_rules() -> None:
    """No replica known is no proof: the computed addresses are tried."""
    assert sources(file(), site(), replicas=catalogue()) == sources(file(), site())
    assert shown(sources(file(), site())) == ["site A", "alternative B"]


def test_an_endpoint_whose_paths_only_the_catalogue_knows() -> None:
    """Its address is the catalogue's, and the site's other ways lead to the same path."""
    odd = an_endpoint("ODD", "file:///odd", "root://odd:1094//odd", paths=PathRule.CATALOGUE)
    replica = at("ODD", surl="root://odd:1094//odd/2026/run 7/f.root")
    found = sources(file(), site(odd, pr=("ODD",)), replicas=catalogue(replica))
    assert [place.surl for place in found] == [
        "file:///odd/2026/run%207/f.root",
        "root://odd:1094//odd/2026/run 7/f.root",
    ]


def test_an_address_under_no_known_prefix_is_taken_as_it_is() -> None:
    """After those that follow from the rule."""
    replica = at("A", surl="davs://a:2880/other/f.root")
    found = sources(file(), site(pr=("A",)), replicas=catalogue(replica))
    assert [place.surl for place in found] == [
        f"file:///a/{PATH}",
        f"root://a//rucio/{PATH}",
        "davs://a:2880/other/f.root",
    ]


@pytest.mark.parametrize("rse", ["A", "C", "UNKNOWN"])
@pytest.mark.parametrize("tape", [False, True])
@pytest.mark.parametrize(
    "surl",
    [
        "file:///etc/passwd",
        "FILE:///etc/passwd",
        "file:/etc/passwd",
        "file:///a/../etc/passwd",
        "file:///a/%2e%2e/etc/passwd",
        "file:///a/x%2f..%2f..%2fetc/passwd",
        "file://localhost/etc/passwd",
    ],
)
def test_a_catalogue_names_no_file_of_the_node(surl: str, rse: str, tape: bool) -> None:
    """Neither for a storage that the site knows nor for an unknown one; it is said, and the others are tried."""
    listing = list_sources(
        file(), site(pr=("A",)), replicas=catalogue(at(rse, surl=surl, tape=tape, lan=True), at("B"))
    )
    assert surl not in [place.surl for place in listing.found]
    assert not [place for place in listing.found if "etc" in str(place.endpoint.protocols)]
    assert f"root://b//rucio/{PATH}" in [place.surl for place in listing.found]
    assert [line for line in listing.left_out if repr(surl) in line]


def test_three_alternative_replicas_at_most() -> None:
    """By endpoint, in the catalogue's order of priority; the number is a setting."""
    many = catalogue(*(at(f"R{number}", priority=9 - number) for number in range(6)), at("A"))
    assert shown(sources(file(), site(pr=("A",)), replicas=many)) == ["site A", "wan R5", "wan R4", "wan R3"]
    one = sources(file(), site(pr=("A",)), replicas=many, max_alternative_replicas=1)
    assert shown(one) == ["site A", "wan R5"]
    assert shown(sources(file(), site(pr=("A",)), replicas=many, max_alternative_replicas=0)) == ["site A"]


def test_two_protocols_of_one_replica_count_once() -> None:
    """An endpoint that the catalogue lists by two doors is one replica."""
    listed = [at(name, surl=f"{scheme}://{name}/f") for name in "XYZ" for scheme in ("davs", "root")]
    found = sources(file(), site(pr=("A",)), replicas=catalogue(at("A"), *listed))
    assert len(found) == 2 + 6


def test_what_is_known_as_bad_comes_last_with_its_reason() -> None:
    """Also behind the federation, and it takes no place of a good replica."""
    bad = {f"root://r0//rucio/{PATH}": "wrong checksum", f"file:///a/{PATH}": "gone"}
    replicas = catalogue(at("A"), *(at(f"R{number}") for number in range(4)))
    found = sources(file(), site(pr=("A",), federation=FED), replicas=replicas, bad=bad.get)
    assert [place.surl.split("/")[2] for place in found] == ["a", "r1", "r2", "r3", "redirector", ""]
    assert found[-1].reason.endswith("put last, it was found bad: gone")
    few = sources(file(), site(pr=("A",)), replicas=replicas, bad=bad.get, max_alternative_replicas=4)
    assert [place.surl.split("/")[2] for place in few] == ["a", "r1", "r2", "r3", "", "r0"]


def test_the_queues_word_on_near_and_far_replicas() -> None:
    """None permits."""
    replicas = catalogue(at("A"), at("NEAR", lan=True), at("FAR", lan=False), at("WHERE"))
    assert shown(sources(file(), site(pr=("A",), allow_lan=False), replicas=replicas)) == [
        "site A",
        "wan FAR",
        "wan WHERE",
    ]
    assert shown(sources(file(), site(pr=("A",), allow_wan=False), replicas=replicas)) == [
        "site A",
        "lan NEAR",
    ]


def test_tape_comes_last_and_never_by_federation() -> None:
    """A copy on disk anywhere is better; the federation would only ask the same tape."""
    tape = an_endpoint("TAPE1", kind="DATATAPE")
    both = catalogue(at("T", tape=True, lan=True), at("DISK", lan=False))
    found = sources(file(), site(tape, pr=("TAPE1", "B"), federation=FED), replicas=both)
    assert shown(found) == [
        "wan DISK",
        "alternative B",
        "federation federation",
        "lan T",
        "alternative TAPE1",
    ]
    assert found[-2].endpoint.kind == "TAPE"
    only = sources(file(), site(pr=("A",), federation=FED), replicas=catalogue(at("T", tape=True)))
    assert shown(only) == ["alternative A", "wan T"]
    assert shown(sources(file(), site(tape, pr=("TAPE1",), federation=FED))) == ["site TAPE1"]


def test_a_tape_that_only_its_name_tells() -> None:
    """An endpoint of which nobody says the kind: neither before a disk, nor asked for by the federation."""
    both = catalogue(at("X_DATATAPE", lan=True), at("X_DISK", lan=False))
    assert shown(sources(file(), site(pr=(), federation=FED), replicas=both)) == [
        "wan X_DISK",
        "federation federation",
        "lan X_DATATAPE",
    ]
    only = sources(file(), site(pr=(), federation=FED), replicas=catalogue(at("X_DATATAPE")))
    assert shown(only) == ["wan X_DATATAPE"]


def test_the_federations_volume() -> None:
    """Within the queue's limit, or what the caller says is left; a size that nobody knows is beyond any limit."""
    where = site(pr=("A",), federation=FED)
    endless = site(pr=("A",), federation=Federation(redirector="root://redirector//rucio"))

    def federated(wanted: FileSpec, place: Site, left: int | None = None) -> bool:
        return "federation federation" in shown(sources(wanted, place, federation_bytes_left=left))

    assert federated(file(1000), where)
    assert not federated(file(1001), where)
    assert not federated(file(500), where, 499)
    assert not federated(file(None), where)
    assert federated(file(None), endless)


def test_the_federation_helps_where_nothing_else_is_named() -> None:
    """A queue with a redirector and no storage at all."""
    assert shown(sources(file(), site(pr=(), federation=FED))) == ["federation federation"]


def test_what_the_job_names_is_the_sites_own() -> None:
    """It comes before the queue's first."""
    assert shown(sources(file(at="C"), site())) == ["site C", "site A", "alternative B"]
    assert shown(sources(file(at="ELSEWHERE"), site())) == ["site A", "alternative B"]


def test_why_a_place_is_not_in_the_list() -> None:
    """For the one who wonders why a file was not fetched from there."""
    off = an_endpoint("OFF", state="DISABLED")
    replicas = catalogue(at("A"), at("OFF"), at("NEAR", lan=True), at("X"), at("Y"), at("Z"))
    where = site(off, pr=("A", "GONE"), federation=FED, allow_lan=False)
    left_out = list_sources(file(5000), where, replicas=replicas, max_alternative_replicas=1).left_out
    assert left_out == (
        "nothing is known about the endpoint GONE",
        "OFF: it is DISABLED",
        "NEAR: allow_lan of queue Q is off",
        "Y, Z: no more than 1 alternative replicas are tried",
        "federation: the file is of 5000 bytes, and 1000 bytes are left for the job",
    )
    tape = catalogue(at("T", tape=True))
    assert list_sources(file(), site(federation=FED), replicas=tape).left_out == (
        "federation: the file lies on tape only",
    )


@given(
    replicas=st.lists(
        st.tuples(st.sampled_from("ABCDEFGH"), st.sampled_from([True, False, None]), st.booleans())
    ),
    bad=st.sets(st.sampled_from("ABCDEFGH")),
    at_most=st.integers(0, 5),
)
def test_no_list_names_a_place_twice_or_more_replicas_than_permitted(
    replicas: list[tuple[str, bool | None, bool]], bad: set[str], at_most: int
) -> None:
    """Whatever a catalogue says."""
    listed = catalogue(*(at(name, lan=lan, tape=tape) for name, lan, tape in replicas))
    found = sources(
        file(),
        site(federation=FED),
        replicas=listed,
        bad=lambda surl: "bad" if surl.split("/")[2].upper() in bad else None,
        max_alternative_replicas=at_most,
    )
    assert len({place.surl for place in found}) == len(found)
    others = {place.endpoint.name for place in found if place.kind in (SourceKind.LAN, SourceKind.WAN)}
    assert len(others) <= at_most
    good = ["put last" not in place.reason for place in found]
    assert good == sorted(good, reverse=True)


def test_no_time_goes_into_guessing_names_that_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand inputs at an endpoint that the site does not know: what it is near to is not looked for."""

    def guessing(*_: object) -> tuple[str, ...]:
        raise AssertionError("it takes milliseconds")

    monkeypatch.setattr(paths, "nearest", guessing)
    assert shown(sources(file(at="SITE_1000_DATADISK"), site())) == ["site A", "alternative B"]


def test_a_signature_belongs_to_the_catalogues_own_address() -> None:
    """What stands behind a question mark is no part of the path, and goes to no other door."""
    signed = "https://s//data/x/f.root?X-Amz-Signature=0a1b"
    endpoint = an_endpoint("S", "root://s//data", "https://s//data")
    found = sources(file(), site(endpoint, pr=("S",)), replicas=catalogue(at("S", surl=signed)))
    assert [source.surl for source in found] == ["root://s//data/x/f.root", signed]
