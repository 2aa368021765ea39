"""Which mover an address gets: the queue's choice, then the best of the table that this node can have."""

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


def test_the_queue_names_a_program_for_every_scheme() -> None:
    """A mover with a place takes any address; another than the named ones is passed over."""
    chosen = Movers().for_address("invented://door/file", ("unheard-of", "local", "external:/site/mover"))
    assert (type(chosen).__name__, chosen.place) == ("ExternalMover", "/site/mover")  # type: ignore[attr-defined]


def test_a_scheme_that_nobody_speaks() -> None:
    """It is said with the address."""
    with pytest.raises(TransferError, match="invented://door/file"):
        Movers().for_address("invented://door/file", ())
