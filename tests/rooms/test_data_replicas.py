"""An input with several replicas of which some are no good: how many are tried, and what is remembered of them."""

from pathlib import Path

import msgspec
import pytest
from staging_kit import Ground, an_input, an_output, with_worker

from picard_pilot.data.node_files import NodeFiles
from picard_pilot.data.stagein import StageInResult
from picard_pilot.data.walk import Pace
from picard_pilot.data.worker import TransferWorker
from picard_pilot.model.site import Endpoint, PathRule, Protocol
from picard_pilot.testing.mover_kit import CONTENT, names

OTHER = bytes(reversed(CONTENT))
"""As long as the right content."""


def four_sites(folder: Path) -> Ground:
    """Replicas at four other sites: the first two corrupt, the third gone, the fourth good."""
    catalogue = {"default": ("replica_movers:FourSites", "local")}
    ground = Ground(folder, movers=catalogue, environment={"STORAGES": str(folder)})
    queue = msgspec.structs.replace(ground.site.queue, endpoints={"pw": ("A",)})
    others = {
        name: Endpoint(
            name=name, protocols=(Protocol(prefix=f"file://{folder}/{name}"),), paths=PathRule.CATALOGUE
        )
        for name in ("R1", "R2", "R3", "R4")
    }
    for name in others:
        (folder / name).mkdir()
    for name, content in (("R1", OTHER), ("R2", OTHER), ("R4", CONTENT)):
        (folder / name / "in").write_bytes(content)
    ground.site = msgspec.structs.replace(ground.site, queue=queue, endpoints=others)
    return ground


@pytest.mark.parametrize(("at_most", "good"), [(3, False), (4, True)])
def test_the_fourth_replica_only_where_four_are_permitted(tmp_path: Path, at_most: int, good: bool) -> None:
    """The bad ones are named with their reasons, and remembered; the one that was not tried is named as well."""
    ground = four_sites(tmp_path)
    pace = Pace()
    results: list[StageInResult] = []

    async def test(worker: TransferWorker) -> None:
        file = an_input("in", CONTENT)
        results.append(await ground.stage_in(worker, file, pace=pace, max_alternative_replicas=at_most))

    with_worker(test)
    (result,) = results
    said = [
        line.partition(" (")[0].split(":")[:2] for line in result.decisions if line.startswith("in from R")
    ]
    tried = (
        [["in from R1", " checksum"]] * 2 + [["in from R2", " checksum"]] * 2 + [["in from R3", " missing"]]
    )
    assert said[:5] == tried
    for name, reason in (("R1", "checksum"), ("R2", "checksum"), ("R3", "missing")):
        assert str(pace.known.bad(f"file://{tmp_path}/{name}/in")).startswith(reason)
    assert [event.endpoint for event in ground.staged] == (["R4"] if good else [])
    if not good:
        evidence = [line.text for line in result.faults[0].evidence]
        assert "not tried: R4: no more than 3 alternative replicas are tried" in evidence
    assert names(ground.directory) == (["in"] if good else [])


def test_a_later_input_avoids_the_copies_that_were_found_bad(tmp_path: Path) -> None:
    """Another job of the same pilot asks the good one first, and the bad ones not at all."""
    ground = four_sites(tmp_path)
    pace = Pace()
    results: list[StageInResult] = []

    async def test(worker: TransferWorker) -> None:
        for _ in range(2):
            file = an_input("in", CONTENT)
            results.append(await ground.stage_in(worker, file, pace=pace, max_alternative_replicas=4))

    with_worker(test)
    tries = [line for line in results[1].decisions if line.startswith("in from R")]
    assert len(tries) == 1 and tries[0].startswith("in from R4 (alternative replica 1")


@pytest.mark.parametrize(
    ("movers", "first", "words"),
    [
        (("replica_movers:Fragile",), None, "died 2 times"),
        (("replica_movers:Mistaken",), None, "a bug of this mover"),
        ((), "gopher://door/A", "no mover of this pilot speaks gopher://"),
    ],
    ids=["its library crashes", "its mover has a bug", "nobody speaks it"],
)
def test_what_does_not_work_with_one_storage_may_work_with_the_next(
    tmp_path: Path, movers: tuple[str, ...], first: str | None, words: str
) -> None:
    """The software of this node failed, not its disk: other storages need other software, or answer otherwise."""
    ground = Ground(tmp_path, movers={"default": movers})
    for name in "AB":
        ground.replica(name, "in", CONTENT)
    if first is not None:
        endpoint = Endpoint(name="A", protocols=(Protocol(prefix=first),))
        endpoints = {**ground.site.endpoints, "A": endpoint}
        ground.site = msgspec.structs.replace(ground.site, endpoints=endpoints)

    async def test(worker: TransferWorker) -> None:
        result = await ground.stage_in(worker, an_input("in", CONTENT))
        assert result.faults == (), result
        assert [event.endpoint for event in ground.staged] == ["B"]
        assert words in result.decisions[0]

    with_worker(test)


@pytest.mark.parametrize("movers", [("replica_movers:Fragile",), ("replica_movers:Mistaken",)])
def test_an_output_goes_to_the_alternative_where_the_first_brings_the_mover_down(
    tmp_path: Path, movers: tuple[str, ...]
) -> None:
    """The same for destinations."""
    ground = Ground(tmp_path, movers={"default": movers})
    queue = ground.site.queue
    places = {**queue.endpoints, "write_alternative": ("B",)}
    ground.site = msgspec.structs.replace(ground.site, queue=msgspec.structs.replace(queue, endpoints=places))
    (ground.directory / "out").write_bytes(CONTENT)

    async def test(worker: TransferWorker) -> None:
        result = await ground.stage_out(worker, an_output("out"))
        assert result.faults == (), result
        assert [(event.file.endpoint, event.file.alternative) for event in ground.stored] == [("B", True)]
        assert ground.at("B", "out").read_bytes() == CONTENT

    with_worker(test)


@pytest.mark.parametrize(
    ("there", "reason"),
    [("other bytes", "checksum"), ("a directory", "specification"), ("a link to itself", "")],
)
def test_a_copy_on_the_node_that_is_not_the_file(tmp_path: Path, there: str, reason: str) -> None:
    """As long as the right one but stale, or nothing that can be read: staged in as usual, and why is said."""
    ground = Ground(tmp_path)
    ground.replica("A", "in", CONTENT)
    copy = tmp_path / "cvmfs" / "in"
    copy.parent.mkdir()
    if there == "other bytes":
        copy.write_bytes(OTHER)
    elif there == "a directory":
        copy.mkdir()
    else:
        copy.symlink_to(copy)

    async def test(worker: TransferWorker) -> None:
        known = NodeFiles({"in": str(copy)})
        result = await ground.stage_in(worker, an_input("in", CONTENT), node_files=known)
        assert result.faults == ()
        assert ground.staged[0].endpoint == "A"
        assert (ground.directory / "in").read_bytes() == CONTENT
        assert result.decisions[0].startswith(f"in from node: {reason}")
        assert "already on the node, says the experiment" in result.decisions[0]

    with_worker(test)
