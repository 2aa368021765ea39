"""Traces: for each attempt to move a file one message to the service that a queue names, as Rucio's clients send it.

They are told in the background and given up at the end of the pilot; nothing of a job ever waits for one.
"""

import asyncio
import hashlib
import logging
import re
import socket
from collections import deque
from collections.abc import Mapping
from urllib.parse import urlsplit, urlunsplit

import msgspec

from picard_pilot.data.walk import Attempt
from picard_pilot.model.files import FileRole, FileSpec
from picard_pilot.model.job import Job
from picard_pilot.model.site import Queue
from picard_pilot.model.transfer import FailureClass, Opened, Side, Source, TransferFailure, Transferred
from picard_pilot.model.version import VERSION
from picard_pilot.system.http import HttpClient, HttpError, TlsSettings

log = logging.getLogger("picard.traces")

SEND_LIMIT_S = 10.0
"""For one trace, connecting included: a service that takes longer is not in order."""

PAUSE_S = 30.0
"""After one that could not be sent: a service that is down is not asked by every pilot of a site in every second."""

KEPT = 1000
"""Traces that wait; beyond that the oldest are dropped."""

REASON_CHARACTERS = 500
"""Of a failure's sentence; services keep it in one column."""

ANALYSIS = frozenset({"user", "panda"})
"""Kinds of jobs (`prodSourceLabel`) whose transfers count as analysis."""

SUSPICIOUS = frozenset({FailureClass.CHECKSUM, FailureClass.MISSING})
"""Failures that speak against the copy itself."""

_ADDRESS = re.compile(r"\w[\w+.-]*://\S+")


def trace_of(
    job: Job, queue: Queue, file: FileSpec, attempt: Attempt, *, ended_at: float, host: str, ip: str | None
) -> dict[str, object]:
    """The trace of one attempt. Times are seconds since 1970, UTC; what is unknown is null.

    `eventType` is `get_sm` or `put_sm`, with `_a` for analysis. The user is told as a hash, never as a DN. Names
    that the service declares as texts are empty where unknown. Checks happen while the bytes pass, so there is
    no phase of validation: `validateStart` is the end of a success.
    """
    failure = attempt.outcome if isinstance(attempt.outcome, TransferFailure) else None
    verb = "get_sm" if isinstance(attempt.entry, Source) else "put_sm"
    size_bytes = file.size_bytes
    if isinstance(attempt.outcome, Transferred):
        size_bytes = attempt.outcome.size_bytes
    dataset_scope, _, dataset = (file.dataset or "").rpartition(":")
    return {
        "eventType": f"{verb}_a" if job.label in ANALYSIS else verb,
        "eventVersion": f"picard-{VERSION}",
        "clientState": "DONE" if failure is None else str(failure.kind),
        "stateReason": _reason(attempt),
        "protocol": urlsplit(attempt.entry.surl).scheme,
        "localSite": queue.site or queue.panda_resource,
        "remoteSite": attempt.entry.endpoint.name,
        "pq": queue.name,
        "scope": file.scope or "",
        "filename": file.lfn,
        "filesize": size_bytes,
        "guid": (file.guid or "").replace("-", "").lower() or None,
        "dataset": dataset or (f"log.{job.job_id}" if file.role is FileRole.LOG else ""),
        "datasetScope": dataset_scope,
        "duid": None,
        "version": None,
        "timeStart": attempt.began_at,
        "catStart": attempt.began_at,
        "relativeStart": attempt.began_at,
        "transferStart": attempt.began_at,
        "validateStart": None if failure else ended_at,
        "timeEnd": ended_at,
        "url": without_secrets(attempt.entry.surl),
        "suspicious": failure is not None and failure.side is Side.STORAGE and failure.kind in SUSPICIOUS,
        "hostname": host,
        "ip": ip,
        "usr": _digest(job.owner or ""),
        "appid": job.job_id,
        "taskid": job.task_id,
        "uuid": _digest(f"picard {job.job_id} {job.attempt_nr}"),
    }


def without_secrets(surl: str) -> str:
    """An address without what may be secret in it: query, fragment, user and password."""
    try:
        parts = urlsplit(surl)
    except ValueError:  # a bracket without its other half
        return surl.partition("?")[0].rpartition("@")[2]
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _reason(attempt: Attempt) -> str:
    match attempt.outcome:
        case TransferFailure(says=says):
            return _ADDRESS.sub(lambda found: without_secrets(found[0]), says)[:REASON_CHARACTERS]
        case Opened():
            return "opened where it is: the payload reads it there"
        case _:
            return "OK"


def _digest(text: str) -> str:
    """32 hexadecimal digits that tell equal texts apart from others; protects nothing by itself."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


class TraceSender:
    """Sends traces one after another. Use as an async context; `offer` never waits and never raises.

    It has a client of its own: the service is shown no token and no certificate.
    """

    def __init__(
        self,
        url: str,
        *,
        ca_file: str | None = None,
        ca_dir: str | None = None,
        environment: Mapping[str, str] | None = None,
        send_limit_s: float = SEND_LIMIT_S,
        pause_s: float = PAUSE_S,
        kept: int = KEPT,
    ) -> None:
        """`url` takes a POST of one JSON object; `environment` gives the proxies."""
        self._url = url
        self._http = HttpClient(
            user_agent=f"picard-pilot/{VERSION}",
            tls=TlsSettings(ca_file=ca_file, ca_dir=ca_dir),
            environment=environment,
            threads=1,
            connect_timeout_s=send_limit_s,
            read_timeout_s=send_limit_s,
        )
        self._send_limit_s = send_limit_s
        self._pause_s = pause_s
        self._waiting: deque[dict[str, object]] = deque(maxlen=kept)
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.sent = 0
        self.failed = 0
        self.dropped = 0
        self._host = socket.gethostname()
        self._ip = _own_address()

    async def __aenter__(self) -> "TraceSender":
        return self

    async def __aexit__(self, *_: object) -> None:
        """Give up at once what is not sent yet, and say how it went."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._http.close()
        if self.sent + self.failed + self.dropped + len(self._waiting):
            log.info(
                "traces: %d sent, %d failed, %d dropped, %d given up at the end",
                self.sent, self.failed, self.dropped, len(self._waiting),
            )  # fmt: skip

    def attempted(self, job: Job, queue: Queue, file: FileSpec, attempt: Attempt, ended_at: float) -> None:
        """Queue the trace of an attempt that has just ended."""
        self.offer(
            trace_of(job, queue, file, attempt, ended_at=ended_at, host=self._host, ip=self._ip),
        )

    def offer(self, trace: dict[str, object]) -> None:
        """Queue one trace; if too many wait, the oldest is dropped."""
        if len(self._waiting) == self._waiting.maxlen:
            if not self.dropped:
                log.warning(
                    "traces: more than %d wait to be sent; the oldest are dropped", len(self._waiting)
                )
            self.dropped += 1
        self._waiting.append(trace)
        self._news.set()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._send_all(), name="send traces")

    async def _send_all(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._waiting:
                if not await self._send(self._waiting.popleft()):
                    await asyncio.sleep(self._pause_s)

    async def _send(self, trace: dict[str, object]) -> bool:
        """Send one, at most once: a trace that counts twice is worse than one that is missing."""
        try:
            document = msgspec.json.encode(trace)
            answer = await self._http.post_json(self._url, document, deadline_s=self._send_limit_s)
            trouble = None if 200 <= answer.status < 300 else f"the service answered {answer.status}"
        except (HttpError, UnicodeEncodeError) as error:
            trouble = str(error)
        if trouble is None:
            self.sent += 1
            return True
        if not self.failed:
            log.warning("a trace could not be sent: %s; further ones are only counted", trouble)
        self.failed += 1
        return False


def _own_address() -> str | None:
    """The address from which this node goes out; None where it has none. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # RFC 5737: an address for documentation, where nobody is
            return str(probe.getsockname()[0])
        except OSError:
            return None
