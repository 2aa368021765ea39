"""What each code of a storage comes to: the classes of the retry policy, row by row, from the code to the next try."""

import random

import pytest

from picard_pilot.data.policy import STAGEIN, STAGEOUT, Place, decide
from picard_pilot.model.transfer import FailureClass, TransferFailure
from picard_pilot.movers.codes import CODES, find

SERVER = "xrootd server"

BAD_REPLICA = [("xrootd", 304), *((SERVER, code) for code in (3010, 3011, 3016, 3029))]
BAD_REPLICA += [("http", code) for code in (403, 404, 410)]

WRONG_BYTES = [("xrootd", 305), (SERVER, 3019)]

SICK = [("xrootd", code) for code in (101, 102, 103, 104, 105, 107, 108, 110, 206, 301, 303, 306)]
SICK += [(SERVER, code) for code in (3003, 3005, 3007, 3008, 3012, 3014, 3020, 3024, 3034, 3035)]
SICK += [("http", code) for code in (408, 423, 425, 429, 500, 502, 503, 504)]

CREDENTIAL = [("xrootd", 203), ("xrootd", 204), (SERVER, 3030), ("http", 401)]

DESTINATION_REFUSES = [(SERVER, 3009), (SERVER, 3021), (SERVER, 3025), ("http", 413), ("http", 507)]

EXISTS = [(SERVER, 3018), (SERVER, 3015), ("http", 409), ("http", 412)]

MISTAKE = [("xrootd", code) for code in (3, 9, 13, 15)]
MISTAKE += [(SERVER, code) for code in (3000, 3001, 3002, 3004, 3006, 3013, 3031)]
MISTAKE += [("http", code) for code in (400, 405, 411, 416, 501)]

CANCELLED = [("xrootd", 207)]

ALL = [*BAD_REPLICA, *WRONG_BYTES, *SICK, *CREDENTIAL, *DESTINATION_REFUSES, *EXISTS, *MISTAKE, *CANCELLED]


def failed(protocol: str, code: int) -> TransferFailure:
    """The failure that the table makes of a code, while storing."""
    row = find(protocol, code, storing=True)
    assert row is not None
    return TransferFailure(kind=row.kind, says=row.means, remedy=row.remedy)


def after(protocol: str, code: int, tries: int = 1) -> tuple[Place, bool, bool, bool]:
    """Where the entry goes, whether after a pause, whether its endpoint counts as sick and its copy as bad."""
    for limits in (STAGEIN, STAGEOUT):
        decision = decide(failed(protocol, code), tries, limits, random.Random(1))
    return decision.place, decision.pause_s > 0, decision.rule.sick, decision.rule.bad


def test_every_code_is_in_one_class() -> None:
    """A new row of the table needs a decision here."""
    assert sorted(ALL) == sorted({(row.protocol, row.code) for row in CODES})


@pytest.mark.parametrize(("protocol", "code"), BAD_REPLICA)
def test_a_bad_replica_is_left_at_once(protocol: str, code: int) -> None:
    """And remembered, but for a missing permission, which another user may have."""
    permission = failed(protocol, code).kind is FailureClass.AUTH
    assert after(protocol, code) == (Place.NOWHERE, False, False, not permission)


@pytest.mark.parametrize(("protocol", "code"), WRONG_BYTES)
def test_wrong_bytes_get_a_second_try_from_the_same_place(protocol: str, code: int) -> None:
    """It may have been the way; after that the copy is bad."""
    assert after(protocol, code) == (Place.FRONT, False, False, True)
    assert after(protocol, code, tries=2) == (Place.NOWHERE, False, False, True)


@pytest.mark.parametrize(("protocol", "code"), SICK)
def test_a_sick_endpoint_waits_behind_all_others(protocol: str, code: int) -> None:
    """It comes again, after a pause, twice at least."""
    assert after(protocol, code) == (Place.BACK, True, True, False)
    assert after(protocol, code, tries=2) == (Place.BACK, True, True, False)


@pytest.mark.parametrize(("protocol", "code"), CREDENTIAL)
def test_a_credential_is_read_anew_once(protocol: str, code: int) -> None:
    """At once and at the same place, since a fresh one counts with the next request."""
    assert failed(protocol, code).kind is FailureClass.AUTH
    assert after(protocol, code) == (Place.FRONT, False, False, False)
    assert after(protocol, code, tries=2) == (Place.NOWHERE, False, False, False)


@pytest.mark.parametrize(("protocol", "code"), DESTINATION_REFUSES)
def test_a_destination_without_room_is_left_for_the_next(protocol: str, code: int) -> None:
    """A full storage is not sick."""
    assert failed(protocol, code).kind is FailureClass.SPACE
    assert after(protocol, code) == (Place.NOWHERE, False, False, False)


@pytest.mark.parametrize(("protocol", "code"), [*EXISTS, *MISTAKE, *CANCELLED])
def test_what_stays_as_it_is_gets_no_second_try(protocol: str, code: int) -> None:
    """Another file in the way, our own mistakes, and what we ended ourselves."""
    place, pause, sick, _ = after(protocol, code)
    assert (place, pause, sick) == (Place.NOWHERE, False, False)


@pytest.mark.parametrize(("protocol", "code"), [*MISTAKE, *CANCELLED, *CREDENTIAL])
def test_nobody_is_blamed_for_what_was_ours(protocol: str, code: int) -> None:
    """No copy is remembered as bad for it."""
    assert after(protocol, code)[3] is False


def test_a_read_only_storage_is_full_only_for_those_who_store() -> None:
    """While reading, the same code says nothing that is known."""
    assert find(SERVER, 3025, storing=False) is None
