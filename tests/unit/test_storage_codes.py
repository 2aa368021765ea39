"""What the words of S3 and the exceptions of Rucio's client mean: each row once, without any server."""

import configparser

import pytest
from requests.exceptions import ConnectionError as NoConnection
from requests.exceptions import ConnectTimeout, ReadTimeout
from rucio.common import exception as rucio

from picard_pilot.model.transfer import FailureClass, Remedy, Side, TransferFailure
from picard_pilot.movers import rucio_troubles
from picard_pilot.movers.rucio_troubles import classified
from picard_pilot.movers.s3_troubles import S3_CODES, broken, refusal
from picard_pilot.system.http_trip import Answer, TransferTrouble


def s3_says(status: int, code: str | None = None, says: str = "", **headers: str) -> TransferFailure:
    """The failure for an answer of a store."""
    body = f"<Error><Code>{code}</Code></Error>".encode() if code else b""
    answer = Answer(status=status, headers=headers, url="https://s3.example.org/b/k", body=body, says=says)
    return refusal(answer, doing="storing f", surl="s3://s3.example.org/b/k", storing=True).failure


class TestS3:
    """Refusals and troubles of an object store."""

    @pytest.mark.parametrize("code", list(S3_CODES))
    def test_its_own_word_wins_over_the_status(self, code: str) -> None:
        """Many different things are a 400 or a 403."""
        failure = s3_says(400, code)
        assert (failure.kind, failure.remedy, failure.side) == tuple(S3_CODES[code])
        assert failure.code == f"s3 {code}"

    @pytest.mark.parametrize(
        ("status", "kind", "remedy"),
        [
            (403, FailureClass.AUTH, Remedy.NEXT),
            (404, FailureClass.MISSING, Remedy.NEXT),
            (503, FailureClass.CONTACT, Remedy.BENCH),
            (507, FailureClass.SPACE, Remedy.NEXT),
            (418, FailureClass.TRANSFER, Remedy.NEXT),
        ],
    )
    def test_without_a_word_the_status_counts(self, status: int, kind: FailureClass, remedy: Remedy) -> None:
        """As in the answer to a HEAD, which has no text; one in no table is a failed transfer."""
        failure = s3_says(status)
        assert (failure.kind, failure.remedy, failure.code) == (kind, remedy, f"http {status}")

    def test_a_signature_whose_time_is_over(self) -> None:
        """It is an AccessDenied like any other but for its text; a new one helps."""
        assert s3_says(403, "AccessDenied", "Request has expired").remedy is Remedy.RENEW
        assert s3_says(403, "AccessDenied", "You may not").remedy is Remedy.NEXT

    def test_a_pause_that_the_store_asks_for(self) -> None:
        """In seconds; nonsense is no pause of that length."""
        assert s3_says(503, "SlowDown", **{"retry-after": "17"}).retry_after_s == 17.0
        assert s3_says(503, "SlowDown", **{"retry-after": "soon"}).retry_after_s == 0.0
        assert s3_says(403, "AccessDenied").retry_after_s is None

    @pytest.mark.parametrize(
        ("trouble", "kind"),
        [
            ("resolve", FailureClass.RESOLVE),
            ("refused", FailureClass.CONTACT),
            ("timeout", FailureClass.TIMEOUT),
            ("tls", FailureClass.CONTACT),
            ("truncated", FailureClass.TRANSFER),
            ("a new word", FailureClass.TRANSFER),
        ],
    )
    def test_no_answer_at_all(self, trouble: str, kind: FailureClass) -> None:
        """By what happened to the connection."""
        error = TransferTrouble(
            trouble, "evidence", where="PUT https://s", reached_bytes=0, origin="https://s"
        )
        failure = broken(error, doing="storing f", surl="s3://s/b/k").failure
        assert failure.kind is kind
        assert failure.says.startswith("storing f: ")
        assert "evidence" in failure.says


class TestRucio:
    """The exceptions of its client."""

    @pytest.mark.parametrize(
        ("error", "kind", "remedy"),
        [
            (rucio.CannotAuthenticate("no"), FailureClass.AUTH, Remedy.RENEW),
            (EOFError("a question on a terminal"), FailureClass.AUTH, Remedy.RENEW),
            (rucio.AccessDenied("no"), FailureClass.AUTH, Remedy.NEXT),
            (ReadTimeout("late"), FailureClass.TIMEOUT, Remedy.BENCH),
            (ConnectTimeout("late"), FailureClass.TIMEOUT, Remedy.BENCH),
            (NoConnection("gone"), FailureClass.CONTACT, Remedy.BENCH),
            (rucio.ServerConnectionException("gone"), FailureClass.CONTACT, Remedy.BENCH),
            (rucio.DatabaseException("locked"), FailureClass.CONTACT, Remedy.BENCH),
            (rucio.MissingClientParameter("account"), FailureClass.SPECIFICATION, Remedy.STOP),
            (configparser.NoSectionError("client"), FailureClass.SPECIFICATION, Remedy.STOP),
            (PermissionError(13, "Permission denied"), FailureClass.SPECIFICATION, Remedy.STOP),
            (rucio.RSENotFound("A"), FailureClass.RESOLVE, Remedy.NEXT),
            (rucio.DataIdentifierNotFound("s:f"), FailureClass.MISSING, Remedy.NEXT),
            (rucio.RucioException("new"), FailureClass.TRANSFER, Remedy.NEXT),
            (ValueError("no JSON"), FailureClass.TRANSFER, Remedy.NEXT),
        ],
        ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
    )
    def test_by_class(self, error: BaseException, kind: FailureClass, remedy: Remedy) -> None:
        """While asking; while registering nothing of it is the storage's fault."""
        asked = classified(error, doing="asking", surl=None, registering=False).failure
        assert (asked.kind, asked.remedy) == (kind, remedy)
        assert asked.code == f"rucio {type(error).__name__}"
        told = classified(error, doing="telling", surl="s3://s/b/k", registering=True).failure
        own = kind in rucio_troubles.OF_THE_CATALOGUE
        assert told.kind is (kind if own else FailureClass.REGISTER)
        assert told.side is (Side.NODE if kind is FailureClass.SPECIFICATION else Side.STORAGE)

    def test_the_reason_of_a_lost_connection_is_in_the_librarys_log(self) -> None:
        """It raises no more than that it was lost."""
        error = rucio.ServerConnectionException("gone")
        words = "ConnectionError: ... NameResolutionError('no address')"
        failure = classified(error, doing="asking", surl=None, registering=False, last_words=words).failure
        assert failure.kind is FailureClass.RESOLVE
        assert "no address" in failure.says
