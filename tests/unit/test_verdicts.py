"""From failed transfers to the catalogue's names."""

from picard_pilot.data.verdicts import stagein_fault, stageout_fault
from picard_pilot.model.files import ChecksumKind
from picard_pilot.model.transfer import FailureClass, Remedy, Side, TransferFailure

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


def at(
    surl: str, kind: FailureClass, remedy: Remedy | None = None, side: Side = Side.STORAGE
) -> TransferFailure:
    """A failure at a place."""
    return TransferFailure(kind=kind, says="x", surl=surl, remedy=remedy, side=side)


def test_of_each_place_the_last_word_counts() -> None:
    """A was away at first and then had no such file; B never had it: the file is missing."""
    told = [
        at("A", FailureClass.CONTACT, Remedy.BENCH),
        at("B", FailureClass.MISSING, Remedy.NEXT),
        at("A", FailureClass.MISSING, Remedy.NEXT),
    ]
    assert stagein_fault(told, ChecksumKind.ADLER32) == "MISSINGINPUTFILE"


def test_a_request_that_was_not_understood_tells_little() -> None:
    """One door cannot do it, the other says why it really fails; alone it is all there is to say."""
    mistake = at("A", FailureClass.SPECIFICATION, Remedy.MISTAKE)
    assert stagein_fault([mistake, at("B", FailureClass.MISSING)], ChecksumKind.ADLER32) == "MISSINGINPUTFILE"
    assert stagein_fault([mistake], ChecksumKind.ADLER32) == "STAGEINFAILED"


def test_an_expired_credential_is_no_missing_permission() -> None:
    """Three different people have to act: who renews, who grants, and for both who looks."""
    expired = at("A", FailureClass.AUTH, Remedy.RENEW)
    refused = at("B", FailureClass.AUTH, Remedy.NEXT)
    assert stagein_fault([expired], ChecksumKind.ADLER32) == "CERTIFICATEHASEXPIRED"
    assert stageout_fault([expired], ChecksumKind.ADLER32) == "CERTIFICATEHASEXPIRED"
    assert stagein_fault([refused], ChecksumKind.ADLER32) == "STAGEINAUTHENTICATIONFAILURE"
    assert stageout_fault([refused], ChecksumKind.ADLER32) == "STAGEOUTAUTHENTICATIONFAILURE"
    assert stagein_fault([expired, refused], ChecksumKind.ADLER32) == "STAGEINFAILED"


def test_room_on_the_node_and_on_the_storage() -> None:
    """Different errors with different addressees, in both directions."""
    for name in (stagein_fault, stageout_fault):
        full = at("A", FailureClass.SPACE, Remedy.STOP, Side.NODE)
        assert name([at("B", FailureClass.TIMEOUT), full], ChecksumKind.ADLER32) == "NOLOCALSPACE"
    assert stageout_fault([at("A", FailureClass.SPACE)], ChecksumKind.ADLER32) == "NOREMOTESPACE"
