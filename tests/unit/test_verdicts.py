"""From failed transfers to the catalogue's names."""

from itertools import product

import msgspec

from picard_pilot.data.passing import can_pass
from picard_pilot.data.verdicts import stagein_verdict, stageout_verdict
from picard_pilot.diagnosis.catalogue.codes import BY_NAME
from picard_pilot.diagnosis.catalogue.transfers import ROWS
from picard_pilot.model.files import ChecksumKind
from picard_pilot.model.transfer import FailureClass, Remedy, Side, TransferFailure

MISSING = TransferFailure(kind=FailureClass.MISSING, says="it is not there")
FULL = TransferFailure(kind=FailureClass.SPACE, says="no room", side=Side.NODE)


def test_one_name_if_all_sources_agree_else_the_general_one() -> None:
    """A failure of the node ends the walk and decides alone."""
    slow = TransferFailure(kind=FailureClass.TIMEOUT, says="no byte for a minute")
    assert stagein_verdict([MISSING, MISSING], ChecksumKind.ADLER32).name == "MISSINGINPUTFILE"
    assert stagein_verdict([MISSING, slow], ChecksumKind.ADLER32).name == "STAGEINFAILED"
    assert stagein_verdict([MISSING, FULL], ChecksumKind.ADLER32).name == "NOLOCALSPACE"
    changed = TransferFailure(kind=FailureClass.CHECKSUM, says="other bytes")
    assert stageout_verdict([changed], ChecksumKind.MD5).name == "PUTMD5MISMATCH"


def test_a_movers_own_name_counts_if_the_catalogue_has_it() -> None:
    """A mover of another package may name what nobody knows."""
    known = TransferFailure(kind=FailureClass.SPECIFICATION, says="x", fault="FILEEXISTS")
    unknown = TransferFailure(kind=FailureClass.MISSING, says="x", fault="NOSUCHERROR")
    assert stageout_verdict([known], ChecksumKind.ADLER32).name == "FILEEXISTS"
    assert stagein_verdict([unknown], ChecksumKind.ADLER32).name == "MISSINGINPUTFILE"


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
    assert stagein_verdict(told, ChecksumKind.ADLER32).name == "MISSINGINPUTFILE"


def test_a_request_that_was_not_understood_tells_little() -> None:
    """One door cannot do it, the other says why it really fails; alone it is all there is to say."""
    mistake = at("A", FailureClass.SPECIFICATION, Remedy.MISTAKE)
    assert (
        stagein_verdict([mistake, at("B", FailureClass.MISSING)], ChecksumKind.ADLER32).name
        == "MISSINGINPUTFILE"
    )
    assert stagein_verdict([mistake], ChecksumKind.ADLER32).name == "STAGEINFAILED"


def test_an_expired_credential_is_no_missing_permission() -> None:
    """Three different people have to act: who renews, who grants, and for both who looks."""
    expired = at("A", FailureClass.AUTH, Remedy.RENEW)
    refused = at("B", FailureClass.AUTH, Remedy.NEXT)
    assert stagein_verdict([expired], ChecksumKind.ADLER32).name == "CERTIFICATEHASEXPIRED"
    assert stageout_verdict([expired], ChecksumKind.ADLER32).name == "CERTIFICATEHASEXPIRED"
    assert stagein_verdict([refused], ChecksumKind.ADLER32).name == "STAGEINAUTHENTICATIONFAILURE"
    assert stageout_verdict([refused], ChecksumKind.ADLER32).name == "STAGEOUTAUTHENTICATIONFAILURE"
    assert stagein_verdict([expired, refused], ChecksumKind.ADLER32).name == "STAGEINFAILED"


def test_room_on_the_node_and_on_the_storage() -> None:
    """Different errors with different addressees, in both directions."""
    for name in (stagein_verdict, stageout_verdict):
        full = at("A", FailureClass.SPACE, Remedy.STOP, Side.NODE)
        assert name([at("B", FailureClass.TIMEOUT), full], ChecksumKind.ADLER32).name == "NOLOCALSPACE"
    assert stageout_verdict([at("A", FailureClass.SPACE)], ChecksumKind.ADLER32).name == "NOREMOTESPACE"


def test_a_verdict_names_phase_class_and_storage() -> None:
    """Of several places the preferred one; what ends the walk decides, and a node's trouble is no storage's."""
    away = msgspec.structs.replace(at("A", FailureClass.CONTACT), endpoint="A")
    gone = msgspec.structs.replace(at("B", FailureClass.MISSING), endpoint="B")
    untold = msgspec.structs.replace(at("C", FailureClass.REGISTER, Remedy.STOP), endpoint="C")
    full = msgspec.structs.replace(at("D", FailureClass.SPACE, Remedy.STOP, Side.NODE), endpoint="D")
    there = msgspec.structs.replace(
        at("E", FailureClass.SPECIFICATION, Remedy.STOP), fault="FILEEXISTS", endpoint="E"
    )
    adler = ChecksumKind.ADLER32
    assert stagein_verdict([away, gone], adler) == ("STAGEINFAILED", "stagein/contact", "A")
    assert stagein_verdict([gone], adler) == ("MISSINGINPUTFILE", "stagein/missing", "B")
    assert stageout_verdict([untold], adler) == ("STAGEOUTFAILED", "stageout/register", "C")
    assert stagein_verdict([away, full], adler) == ("NOLOCALSPACE", "stagein/space", None)
    assert stageout_verdict([away, there], adler) == ("FILEEXISTS", "stageout/specification", "E")


def test_the_catalogue_knows_under_which_errors_each_class_is_told() -> None:
    """All that a verdict can say of one failure stands in the class' row, and nothing stands there for show."""
    told: dict[str, set[str]] = {}
    own = (None, "FILEEXISTS", "MIDDLEWAREIMPORTFAILURE")
    for kind, side, remedy, sum_kind, fault in product(
        FailureClass, Side, (None, *Remedy), ChecksumKind, own
    ):
        failure = TransferFailure(kind=kind, says="x", side=side, remedy=remedy, fault=fault)
        if fault is not None and kind is not FailureClass.SPECIFICATION:
            continue  # movers say so of what cannot be asked for at all
        verdicts = [stageout_verdict([failure], sum_kind)]
        if fault != "FILEEXISTS":
            verdicts.append(stagein_verdict([failure], sum_kind))
        for verdict in verdicts:
            assert verdict.finer is not None
            told.setdefault(verdict.finer, set()).add(verdict.name)
    general = {"STAGEINFAILED", "STAGEOUTFAILED"}
    assert {key: names - general for key, names in told.items()} == {
        row.key: {*row.told_as} - general for row in ROWS
    }


def test_the_catalogue_knows_which_errors_of_outputs_can_be_waited_out() -> None:
    """Recoverable is what a later pilot may store after all: the rule by which outputs wait, told by name."""
    waits: dict[str, bool] = {}
    for kind, side, remedy, sum_kind in product(FailureClass, Side, (None, Remedy.RENEW), ChecksumKind):
        if remedy is not None and kind is not FailureClass.AUTH:
            continue  # credentials are renewed, nothing else
        failure = TransferFailure(kind=kind, says="x", side=side, remedy=remedy)
        name = stageout_verdict([failure], sum_kind).name
        waits[name] = waits.get(name, False) or can_pass([failure])
    assert {name: BY_NAME[name].recoverable for name in waits} == waits
    assert len(waits) > 8
