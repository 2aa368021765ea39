"""From failed transfers to the catalogue's names."""

from picard_pilot.data.verdicts import stagein_fault, stageout_fault
from picard_pilot.model.files import ChecksumKind
from picard_pilot.model.transfer import FailureClass, Side, TransferFailure

MISSING = TransferFailure(kind=FailureClass.MISSING, says="it is not there")
FULL = TransferFailure(kind=FailureClass.SPACE, says="no room", side=Side.NODE)


def test_one_name_if_all_sources_agree_else_the_general_one() -> None:
    """A failure of the node ends the walk and decides alone."""
    slow = TransferFailure(kind=FailureClass.TIMEOUT, says="no byte for a minute")
    assert stagein_fault([MISSING, MISSING], ChecksumKind.ADLER32) == "MISSINGINPUTFILE"
    assert stagein_fault([MISSING, slow], ChecksumKind.ADLER32) == "STAGEINFAILED"
    assert stagein_fault([MISSING, FULL], ChecksumKind.ADLER32) == "NOLOCALSPACE"
    changed = TransferFailure(kind=FailureClass.CHECKSUM, says="other bytes")
    assert stageout_fault([changed], ChecksumKind.MD5) == "PUTMD5MISMATCH"


def test_a_movers_own_name_counts_if_the_catalogue_has_it() -> None:
    """A mover of another package may name what nobody knows."""
    known = TransferFailure(kind=FailureClass.SPECIFICATION, says="x", fault="FILEEXISTS")
    unknown = TransferFailure(kind=FailureClass.MISSING, says="x", fault="NOSUCHERROR")
    assert stageout_fault([known], ChecksumKind.ADLER32) == "FILEEXISTS"
    assert stagein_fault([unknown], ChecksumKind.ADLER32) == "MISSINGINPUTFILE"
