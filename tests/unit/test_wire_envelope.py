"""Judging answers: success is HTTP 200 and JSON and `success` and StatusCode 0."""

import json

import pytest

from picard_pilot.wire import v1
from picard_pilot.wire.envelope import Answer, Failure, FailureKind, commands, judge


def answered(success=True, message="", data=None, call=None):
    """The judgement of an envelope."""
    body = json.dumps({"success": success, "message": message, "data": data}).encode()
    return judge(200, body, call)


def test_a_success_gives_its_data():
    """The plain case."""
    answer = answered(data={"StatusCode": 0, "command": "NULL"}, call=v1.UPDATE_JOB)

    assert answer == Answer(data={"StatusCode": 0, "command": "NULL"}, message="")


@pytest.mark.parametrize(
    ("success", "message", "data", "kind"),
    [
        (False, "No jobs in PanDA", None, FailureKind.NO_JOBS),
        (True, "", {"StatusCode": 20}, FailureKind.NO_JOBS),
        (True, "Database error", {"StatusCode": 30}, FailureKind.NOT_STORED),
        (True, "Timed out", {"StatusCode": 10}, FailureKind.NOT_STORED),
        (False, "Invalid job status: x", {"StatusCode": 50}, FailureKind.REFUSED),
        (False, "Type error: 'job_id' must be of type int, got str.", None, FailureKind.REFUSED),
        (False, "production or pilot role required", None, FailureKind.NOT_ALLOWED),
        (False, "SSL secure connection is required", None, FailureKind.NOT_ALLOWED),
        (None, "", {"StatusCode": 0}, FailureKind.REFUSED),
        (True, "", {"StatusCode": "0"}, FailureKind.WRONG_SHAPE),
        (True, "", {"StatusCode": True}, FailureKind.WRONG_SHAPE),
    ],
)
def test_refusals_with_http_200(success, message, data, kind):
    """HTTP 200 and even `success` do not make a success."""
    failure = answered(success, message, data)

    assert isinstance(failure, Failure)
    assert failure.kind is kind


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (403, b"ERROR : method getJob is forbidden", FailureKind.UNKNOWN_CALL),
        (403, b"Corrupted token. Expired", FailureKind.NOT_ALLOWED),
        (401, b"", FailureKind.NOT_ALLOWED),
        (500, b"execution failure", FailureKind.SERVER_ERROR),
        (500, b"update_job() got an unexpected keyword argument 'x'", FailureKind.REFUSED),
        (500, b"missing a required argument: 'job_id'", FailureKind.REFUSED),
        (502, b"<html>Bad gateway</html>", FailureKind.SERVER_ERROR),
        (301, b"", FailureKind.SERVER_ERROR),
        (200, b"<html><body>Sign in, please</body></html>", FailureKind.NOT_JSON),
        (200, b"", FailureKind.NOT_JSON),
        (200, b'{"success": true, "message": "", "da', FailureKind.NOT_JSON),
        (200, b"{'success': True, 'message': '', 'data': None}", FailureKind.NOT_JSON),
        (200, b"\xff\xfe", FailureKind.NOT_JSON),
        (200, b"[]", FailureKind.WRONG_SHAPE),
        (200, b'{"success": "yes", "message": "", "data": null}', FailureKind.WRONG_SHAPE),
        (200, b'{"message": ""}', FailureKind.WRONG_SHAPE),
        (200, b"null", FailureKind.WRONG_SHAPE),
    ],
)
def test_answers_that_are_no_envelope(status, body, kind):
    """A lying, broken or old server gives a typed failure with the start of what it said."""
    failure = judge(status, body)

    assert isinstance(failure, Failure)
    assert (failure.kind, failure.http_status) == (kind, status)


def test_a_long_body_is_shown_short():
    """A page of HTML does not flood the log."""
    failure = judge(502, b"<p>" + b"x" * 100_000)

    assert isinstance(failure, Failure)
    assert len(failure.message) == 200


def test_an_update_without_status_code_is_not_believed():
    """A proxy's own envelope could say success."""
    assert answered(data={}, call=v1.UPDATE_JOB).kind is FailureKind.WRONG_SHAPE
    assert answered(data=None, call=v1.ACQUIRE_JOBS).kind is FailureKind.WRONG_SHAPE
    assert isinstance(answered(data=None, call=v1.SET_COMMAND), Answer)


def test_the_inverted_flag_of_debug_mode_is_known():
    """`success: false` and "Succeeded" mean that it was done."""
    assert isinstance(answered(False, "Succeeded", call=v1.SET_DEBUG_MODE), Answer)
    assert isinstance(answered(True, "not the owner", call=v1.SET_DEBUG_MODE), Failure)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("NULL", ()),
        (None, ()),
        ("", ()),
        (5, ()),
        ("tobekilled", ("tobekilled",)),
        ("debug,tobekilled", ("debug", "tobekilled")),
        ("debug, tail -n 20 x", ("debug", "tail -n 20 x")),
        ("debug,NULL", ("debug",)),
    ],
)
def test_commands_are_split_at_commas(command, words):
    """`NULL` is no command."""
    assert commands({"command": command}) == words


@pytest.mark.parametrize("data", [None, [], "NULL", {}])
def test_data_without_command_has_none(data):
    """Whatever came."""
    assert commands(data) == ()


@pytest.mark.parametrize("kind", list(FailureKind))
def test_which_failures_may_pass(kind):
    """What the server understood and refused will be refused again; everything else may pass."""
    lasting = {FailureKind.REFUSED, FailureKind.NOT_ALLOWED, FailureKind.UNKNOWN_CALL}

    assert kind.may_pass == (kind not in lasting)
