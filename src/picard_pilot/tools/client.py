"""What tools ask a server for: jobs and their details, submit, kill, retry, debug mode. For people, not for pilots.

PanDA's own calls go to any server; lists and details are calls of the embedded server (`/ui/v1`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple, TypeVar

import msgspec

from picard_pilot.model.trouble import Trouble
from picard_pilot.model.version import VERSION
from picard_pilot.panda.credentials import Credential, discover
from picard_pilot.server import control
from picard_pilot.server.costs import CostSummary
from picard_pilot.server.errors import ErrorSummary
from picard_pilot.server.views import JobDetail, JobList
from picard_pilot.settings.address import server_address
from picard_pilot.settings.environment import credential_environment, server_data_dir
from picard_pilot.settings.settings import Settings
from picard_pilot.system.bearer import Token
from picard_pilot.system.http import JSON_TYPE, HttpAnswer, HttpClient, HttpError, HttpRequest
from picard_pilot.wire import v1
from picard_pilot.wire.encode import prepare, query
from picard_pilot.wire.envelope import Answer, FailureKind, judge
from picard_pilot.wire.fields import Call, WireError

TOOL_ROLE = "production"
"""The role whose token tools take from the data folder of a server on this host: its owner may do everything."""

MAX_BODY_SHOWN = 200
"""Characters of an answer that is none, shown as evidence."""

T = TypeVar("T")


class Reason(StrEnum):
    """Why a call failed, as far as it makes a difference to who asked."""

    UNREACHABLE = "unreachable"
    """No server there, or none of the right kind."""
    NOT_ALLOWED = "not allowed"
    NOT_FOUND = "not found"
    CONFLICT = "conflict"
    REFUSED = "refused"
    TIMED_OUT = "timed out"


class ClientTrouble(Trouble):
    """The server did not do what was asked."""

    def __init__(self, reason: Reason, what: str, evidence: str, next_step: str) -> None:
        super().__init__(what, evidence, next_step)
        self.reason = reason


class Target(NamedTuple):
    """A server and how to meet it. `local` says that it runs on this host and belongs to this user."""

    url: str
    ca: str | None
    credential: Credential
    local: bool


def find_server(settings: Settings, environ: Mapping[str, str]) -> Target:
    """The server that is meant: the one named, else the one that runs on this host.

    A server on this host is trusted by its own authority and entered with its own token, unless others are named.
    Raises ClientTrouble if none is named and none runs, SettingsTrouble for an address that is none.
    """
    data_dir = server_data_dir(environ, settings)
    running = control.status(data_dir)
    url = server_address(settings) if settings.server_url is not None else None
    credentials = credential_environment(environ, settings)
    if running is not None and url in (None, running.url):
        token_file = control.token_file(data_dir, TOOL_ROLE)
        own = Credential(token=Token(str(token_file), path=token_file), source=str(token_file))
        named = bool(settings.token_file or environ.get("BEARER_TOKEN") or environ.get("BEARER_TOKEN_FILE"))
        credential = discover(credentials, euid=os.geteuid()) if named else own
        return Target(running.url, settings.ca or running.ca_file, credential, True)
    if url is None:
        raise ClientTrouble(
            Reason.UNREACHABLE,
            "No server is named, and none runs on this host",
            f"neither --server nor PICARD_SERVER says one, and nothing runs in {data_dir}",
            "Start one with `ppilot server start`, or name one with --server",
        )
    return Target(url, settings.ca, discover(credentials, euid=os.geteuid()), False)


class Client:
    """One server, asked by one person or script. Calls wait; close it when done."""

    def __init__(self, target: Target, *, timeout_s: float, environ: Mapping[str, str] | None = None) -> None:
        self._target = target
        self._timeout_s = timeout_s
        self._http = HttpClient(
            user_agent=f"picard-tools/{VERSION}",
            tls=target.credential.tls(target.ca),
            authorise=target.credential.headers,
            environment=environ,
            threads=1,
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def jobs(self, filters: Mapping[str, str]) -> JobList:
        """Jobs, newest first. Filters: state (comma list), queue, owner, node, since (ISO time), error, fp, finer,
        endpoint, limit, before."""
        return self._ui("GET", "jobs", JobList, filters)

    def job(self, job_id: int) -> JobDetail:
        """One job in full. Raises ClientTrouble (not found)."""
        return self._ui("GET", f"jobs/{job_id}", JobDetail)

    def errors(self, filters: Mapping[str, str]) -> ErrorSummary:
        """What jobs failed of. Filters: queue, owner, node, since (ISO time), error, fp, finer, endpoint."""
        return self._ui("GET", "errors", ErrorSummary, filters)

    def cost(self, filters: Mapping[str, str]) -> CostSummary:
        """What ended attempts took of slots. Filters: queue, owner, since (ISO time)."""
        return self._ui("GET", "cost", CostSummary, filters)

    def retry(self, job_id: int) -> int:
        """The id of a next attempt at the job's work, made beyond its limit if need be."""
        return self._ui("POST", f"jobs/{job_id}/retry", _Retried).job_id

    def submit(self, specs: Sequence[Mapping[str, object]]) -> list[int]:
        """Give jobs to the server, all or none; their ids."""
        text = msgspec.json.encode(list(specs)).decode("utf-8")
        data = self._panda(v1.SUBMIT, {"jobs": text})
        rows = self._convert(data, list[tuple[int, int, str]], v1.SUBMIT.path)
        return [job_id for job_id, _, _ in rows]

    def kill(self, job_ids: Sequence[int]) -> list[bool]:
        """Ask for the end of jobs; per job whether it was done or asked for."""
        return self._convert(self._panda(v1.KILL, {"job_ids": list(job_ids)}), list[bool], v1.KILL.path)

    def set_debug(self, job_id: int, on: bool) -> None:
        """Switch a job's debug mode, which its pilot is told with every answer."""
        self._panda(v1.SET_DEBUG_MODE, {"job_id": job_id, "mode": on})

    def _panda(self, call: Call, values: Mapping[str, object]) -> object:
        """The data of one of PanDA's own calls."""
        try:
            prepared = prepare(call, values)
        except WireError as error:
            raise ClientTrouble(
                Reason.REFUSED, "The request cannot be sent", str(error), "Correct the value"
            ) from None
        address = v1.PREFIX + call.path
        if call.verb == "GET":
            answer = self._exchange("GET", address, query(call, prepared))
        else:
            answer = self._exchange("POST", address, body=msgspec.json.encode(prepared))
        verdict = judge(answer.status, answer.body, call)
        if isinstance(verdict, Answer):
            return verdict.data
        reason = _REASONS.get(verdict.kind, Reason.REFUSED)
        raise ClientTrouble(
            reason,
            f"The server did not accept {call.path}",
            verdict.message or verdict.kind.value,
            _ADVICE[reason],
        )

    def _ui(self, method: str, path: str, kind: type[T], values: Mapping[str, str] | None = None) -> T:
        """The data of one of the embedded server's own calls."""
        answer = self._exchange(method, f"/ui/v1/{path}", list((values or {}).items()))
        try:
            document = msgspec.json.decode(answer.body, type=_Document)
        except (ValueError, RecursionError):  # no JSON, not even text, or nested without end
            raise ClientTrouble(
                Reason.UNREACHABLE,
                "This server cannot be asked for lists and details",
                f"/ui/v1/{path} answered with HTTP {answer.status}: {_start(answer.body)}",
                "They are calls of Picard's own server; look at the monitor of this one instead",
            ) from None
        if document.error is not None:
            reason = _BY_STATUS.get(answer.status, Reason.REFUSED)
            problem = document.error
            raise ClientTrouble(
                reason, problem.message, f"HTTP {answer.status}, {problem.code}", problem.hint
            )
        return self._convert(document.data, kind, path)

    def _exchange(
        self, method: str, path: str, pairs: Sequence[tuple[str, str]] = (), body: bytes | None = None
    ) -> HttpAnswer:
        from urllib.parse import urlencode

        url = self._target.url + path + (f"?{urlencode(pairs)}" if pairs else "")
        headers = (("Content-Type", JSON_TYPE), ("Accept", JSON_TYPE))
        request = HttpRequest(method=method, url=url, body=body, headers=headers, repeatable=method == "GET")
        try:
            return self._http.request_now(request, deadline_s=self._timeout_s)
        except HttpError as error:
            reason, advice = _TROUBLES.get(error.trouble, (Reason.UNREACHABLE, _ADVICE[Reason.UNREACHABLE]))
            raise ClientTrouble(
                reason,
                f"The server {self._target.url} gives no answer",
                f"{error.trouble}: {error.evidence}",
                advice,
            ) from None

    def _convert(self, data: object, kind: type[T], path: str) -> T:
        try:
            return msgspec.convert(data, kind)
        except msgspec.ValidationError as error:
            raise ClientTrouble(
                Reason.UNREACHABLE,
                "The server's answer makes no sense to this Picard",
                f"{path}: {error}",
                f"Use the ppilot that belongs to the server; this is version {VERSION}",
            ) from None


class _Problem(msgspec.Struct):
    code: str = ""
    message: str = ""
    hint: str = ""


class _Document(msgspec.Struct):
    """An answer of `/ui/v1`."""

    data: object = None
    error: _Problem | None = None


class _Retried(msgspec.Struct):
    job_id: int


_BY_STATUS = {
    401: Reason.NOT_ALLOWED,
    403: Reason.NOT_ALLOWED,
    404: Reason.NOT_FOUND,
    409: Reason.CONFLICT,
    500: Reason.UNREACHABLE,
    503: Reason.UNREACHABLE,
}
_REASONS = {
    FailureKind.NOT_ALLOWED: Reason.NOT_ALLOWED,
    FailureKind.UNKNOWN_CALL: Reason.UNREACHABLE,
    FailureKind.SERVER_ERROR: Reason.UNREACHABLE,
    FailureKind.NOT_JSON: Reason.UNREACHABLE,
    FailureKind.WRONG_SHAPE: Reason.UNREACHABLE,
}
_ADVICE = {
    Reason.UNREACHABLE: "Check the address, and that the server is up: `ppilot server status`",
    Reason.NOT_ALLOWED: "Check the credential: name one with --token-file, or use `ppilot server token`",
    Reason.NOT_FOUND: "`ppilot job list` shows the jobs",
    Reason.CONFLICT: "`ppilot job describe ID` shows the job's state",
    Reason.REFUSED: "Correct what the server complains about",
    Reason.TIMED_OUT: "Give it more time with --timeout, or look whether the server is overloaded",
}
_TROUBLES = {
    "timeout": (Reason.TIMED_OUT, _ADVICE[Reason.TIMED_OUT]),
    "tls": (
        Reason.UNREACHABLE,
        "Name the authority to trust with --ca; a local server's is in its data folder, tls/ca.pem",
    ),
    "credential": (Reason.NOT_ALLOWED, _ADVICE[Reason.NOT_ALLOWED]),
}


def _start(body: bytes) -> str:
    return (
        " ".join(body[: 4 * MAX_BODY_SHOWN].decode("utf-8", "replace").split())[:MAX_BODY_SHOWN] or "nothing"
    )
