"""Which mover an address gets: the queue's choice, then the best of the table that this node can have."""

from pathlib import Path

import pytest

from picard_pilot import movers
from picard_pilot.data.mover_table import Movers
from picard_pilot.model.transfer import TransferError
from picard_pilot.movers.gfal import GfalMover


@pytest.fixture
def no_xrootd(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node without the XRootD client."""
    monkeypatch.setitem(movers.KNOWN, "xrootd", ("picard_pilot.movers.not_there:Mover", "Install xrootd."))


@pytest.mark.usefixtures("no_xrootd")
def test_gfal_stands_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a mover of our own does not load, the node's gfal2 tools do."""
    monkeypatch.setattr(GfalMover, "missing", lambda self: None)
    assert isinstance(Movers().for_address("root://door//file", ()), GfalMover)


@pytest.mark.usefixtures("no_xrootd")
def test_the_first_trouble_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can stand in, the sentence is about the best mover, not about the last resort."""
    monkeypatch.setattr(GfalMover, "missing", lambda self: "gfal2 tools")
    with pytest.raises(TransferError, match="xrootd"):
        Movers().for_address("root://door//file", ())


@pytest.fixture
def no_rucio(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node without Rucio's client."""
    monkeypatch.setitem(movers.KNOWN, "rucio", ("picard_pilot.movers.not_there:Mover", "Install rucio."))


@pytest.mark.usefixtures("no_rucio", "no_xrootd")
@pytest.mark.parametrize("preferred", [("rucio",), ("xrootd",), ("rucio", "xrootd", "http")])
def test_a_preferred_mover_that_is_not_on_the_node_costs_no_file_that_others_can_move(
    preferred: tuple[str, ...],
) -> None:
    """A queue prefers for all of its nodes; here the address says who can."""
    assert Movers().for_address("https://door/file", preferred).name == "http"
    assert Movers().for_address("file:///file", preferred).name == "local"


@pytest.mark.usefixtures("no_xrootd")
def test_gfal_stands_in_for_a_preferred_mover_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """And if it cannot, the sentence is about the one that was preferred."""
    monkeypatch.setattr(GfalMover, "missing", lambda self: None)
    assert isinstance(Movers().for_address("root://door//file", ("xrootd",)), GfalMover)
    monkeypatch.setattr(GfalMover, "missing", lambda self: "gfal2 tools")
    with pytest.raises(TransferError, match="xrootd"):
        Movers().for_address("root://door//file", ("xrootd",))


def test_a_mover_of_somebody_elses_that_does_not_load_is_told(tmp_path: Path) -> None:
    """Nobody knows what it would have spoken; another preferred one may take the file."""
    strange = f"{tmp_path.name}:Mover"
    with pytest.raises(TransferError, match=tmp_path.name):
        Movers().for_address("file:///file", (strange,))
    assert Movers().for_address("file:///file", (strange, "local")).name == "local"


@pytest.mark.usefixtures("no_rucio", "no_xrootd")
def test_only_a_catalogue_that_does_not_load_is_missed_as_one() -> None:
    """Movers of bytes know no replicas."""
    assert Movers().catalogue(("xrootd", "http")) is None
    with pytest.raises(TransferError, match="rucio"):
        Movers().catalogue(("xrootd", "rucio"))


def test_the_queue_names_a_program_for_every_scheme() -> None:
    """A mover with a place takes any address; another than the named ones is passed over."""
    chosen = Movers().for_address("invented://door/file", ("unheard-of", "local", "external:/site/mover"))
    assert (type(chosen).__name__, chosen.place) == ("ExternalMover", "/site/mover")  # type: ignore[attr-defined]


def test_a_scheme_that_nobody_speaks() -> None:
    """It is said with the address."""
    with pytest.raises(TransferError, match="invented://door/file"):
        Movers().for_address("invented://door/file", ())
