"""What a server answers: the envelope, its status codes, and the judgement whether a call succeeded.

Success is HTTP 200 and JSON and `success` and `StatusCode == 0`, all four; how often to try again is
not decided here.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

import msgspec

from picard_pilot.wire.fields import Call

NO_JOBS_MESSAGE = "No jobs in PanDA"
"""Also the answer to an unknown queue and to a request while the database is down."""

NO_COMMAND = "NULL"
"""What `command` says when there is nothing to do."""

KILL_COMMAND = "tobekilled"
SOFT_KILL_COMMAND = "softkill"
ALREADY_DONE_COMMAND = "alreadydone"
DEBUG_COMMAND = "debug"


class StatusCode(enum.IntEnum):
    """`data.StatusCode` of an answer to `update_job` or `acquire_jobs`."""

    SUCCESS = 0
    TIMEOUT = 10
    NO_JOBS = 20
    FAILED = 30
    INVALID = 50


class FailureKind(enum.Enum):
    """Why an answer is no success; the value is the word for a log."""

    NO_JOBS = "no jobs"
    REFUSED = "refused"
    NOT_ALLOWED = "not allowed"
    UNKNOWN_CALL = "unknown call"
    SERVER_ERROR = "server error"
    NOT_STORED = "not stored"
    NOT_JSON = "not JSON"
    WRONG_SHAPE = "wrong shape"

    @property
    def may_pass(self) -> bool:
        """Whether the same request may succeed later without a change on our side."""
        return self not in (FailureKind.REFUSED, FailureKind.NOT_ALLOWED, FailureKind.UNKNOWN_CALL)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A success: what the server sent as data, and its message."""

    data: object
    message: str


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that is no success. `message` is the server's own text, or the start of its body."""

    kind: FailureKind
    http_status: int
    message: str
    status_code: int | None = None


class Envelope(msgspec.Struct, kw_only=True):
    """The JSON object around every v1 answer."""

    success: bool | None
    message: str
    data: object = None


_BODY_SHOWN = 200
"""Characters of an unreadable body kept as evidence."""

_decoder = msgspec.json.Decoder(Envelope)


def judge(http_status: int, body: bytes, call: Call | None = None) -> Answer | Failure:
    """Read one answer; never raises.

    Without `call` its two peculiarities are not judged: a success flag that is inverted, and whether a
    success must carry a StatusCode.
    """
    if http_status != 200:
        return _judge_plain(http_status, body)
    try:
        envelope = _decode(body)
    except msgspec.ValidationError as error:
        return _failure(FailureKind.WRONG_SHAPE, http_status, f"{error}: {_start(body)}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return _failure(FailureKind.NOT_JSON, http_status, f"{error}: {_start(body)}")
    if call is not None and call.success_inverted is not None:
        envelope.success = envelope.message == call.success_inverted
    answer = _judge_envelope(envelope)
    if isinstance(answer, Answer) and call is not None and call.has_status_code and not _has_code(answer):
        return _failure(FailureKind.WRONG_SHAPE, http_status, f"no StatusCode: {_start(body)}")
    return answer


def commands(data: object) -> tuple[str, ...]:
    """The commands in the data of an update's answer, split at commas, without `NULL` and empty ones.

    `debug,tobekilled` holds two; a debug command of several words (`tail -n 20 x`) is one.
    """
    command = data.get("command") if isinstance(data, Mapping) else None
    if not isinstance(command, str):
        return ()
    words = (word.strip() for word in command.split(","))
    return tuple(word for word in words if word and word != NO_COMMAND)


def success(data: object = None, message: str = "") -> dict[str, object]:
    """The envelope of a success, as the server writes it."""
    return {"success": True, "message": message, "data": data}


def failure(message: str, data: object = None) -> dict[str, object]:
    """The envelope of a refusal, as the server writes it (with HTTP 200)."""
    return {"success": False, "message": message, "data": data}


def _decode(body: bytes) -> Envelope:
    """The envelope in `body`. Raises what `judge` takes for not JSON, or for the wrong shape."""
    try:
        return _decoder.decode(body)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError as error:
        if b"\\u" not in body:
            raise
        # Half of a character, written as an escape, is no text but still JSON: one bad field of one job must not
        # cost the whole answer, and whoever reads the field refuses it by name.
        import json

        try:
            return msgspec.convert(json.loads(body), Envelope)
        except ValueError:
            raise error from None


def _judge_envelope(envelope: Envelope) -> Answer | Failure:
    code, shape_fault = _status_code(envelope.data)
    if shape_fault:
        return _failure(FailureKind.WRONG_SHAPE, 200, shape_fault)
    if envelope.message == NO_JOBS_MESSAGE and not envelope.success:
        return _failure(FailureKind.NO_JOBS, 200, envelope.message, code)
    if code == StatusCode.NO_JOBS:
        return _failure(FailureKind.NO_JOBS, 200, envelope.message, code)
    if code == StatusCode.INVALID:
        return _failure(FailureKind.REFUSED, 200, envelope.message, code)
    if code not in (None, StatusCode.SUCCESS):
        return _failure(FailureKind.NOT_STORED, 200, envelope.message, code)
    if not envelope.success:
        return _failure(_refusal(envelope.message), 200, envelope.message, code)
    return Answer(data=envelope.data, message=envelope.message)


def _status_code(data: object) -> tuple[int | None, str]:
    if not isinstance(data, Mapping) or "StatusCode" not in data:
        return None, ""
    code = data["StatusCode"]
    if type(code) is not int:
        return None, f"StatusCode is {code!r}, not a number"
    return code, ""


def _has_code(answer: Answer) -> bool:
    return isinstance(answer.data, Mapping) and "StatusCode" in answer.data


def _refusal(message: str) -> FailureKind:
    if "role" in message or "SSL secure connection" in message:
        return FailureKind.NOT_ALLOWED
    if message == "Timed out" or message.lower().startswith("database error"):
        return FailureKind.NOT_STORED
    return FailureKind.REFUSED


def _judge_plain(http_status: int, body: bytes) -> Failure:
    text = _start(body)
    if http_status in (401, 403):
        kind = FailureKind.UNKNOWN_CALL if "is forbidden" in text else FailureKind.NOT_ALLOWED
        return _failure(kind, http_status, text)
    if http_status == 500 and ("unexpected keyword argument" in text or "missing a required" in text):
        return _failure(FailureKind.REFUSED, http_status, text)
    return _failure(FailureKind.SERVER_ERROR, http_status, text)


def _failure(kind: FailureKind, http_status: int, message: str, code: int | None = None) -> Failure:
    return Failure(kind=kind, http_status=http_status, message=message, status_code=code)


def _start(body: bytes) -> str:
    return " ".join(body[: 4 * _BODY_SHOWN].decode("utf-8", "replace").split())[:_BODY_SHOWN]
