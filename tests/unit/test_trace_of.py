"""What a trace tells of one attempt: the fields that Rucio's service wants, and nothing that is secret."""

import json
import secrets

import msgspec
import pytest

from picard_pilot.data.traces import trace_of, without_secrets
from picard_pilot.data.walk import Attempt
from picard_pilot.model.files import Checksum, ChecksumKind, FileRole, FileSpec
from picard_pilot.model.job import Job
from picard_pilot.model.site import Endpoint, Queue
from picard_pilot.model.transfer import (
    Destination,
    FailureClass,
    How,
    Opened,
    Side,
    Source,
    TransferFailure,
    Transferred,
)

OWNER = "/DC=org/DC=example/CN=Some Body"
JOB = Job(job_id=77, attempt_nr=2, task_id=5, owner=OWNER, label="managed")
QUEUE = Queue(name="TEST_QUEUE", panda_resource="TEST", site="TEST-SITE")
INPUT = FileSpec(
    lfn="in.root", role=FileRole.INPUT, scope="mc", guid="AB-CD", dataset="mc:mc.set", size_bytes=9
)
SECRET = secrets.token_urlsafe(16)
SURL = f"https://user:{SECRET}@door.example:1443/a/in.root?X-Amz-Signature={SECRET}"
SOURCE = Source(surl=SURL, endpoint=Endpoint(name="DISK"), reason="near")
DONE = Transferred(
    surl=SURL,
    size_bytes=9,
    checksum=Checksum(ChecksumKind.ADLER32, "00000001"),
    seconds=1.0,
    how=How.COPY,
    mover="http",
)

TEXTS = (
    *("eventType", "eventVersion", "clientState", "stateReason", "localSite", "remoteSite"),
    *("scope", "dataset", "filename", "uuid", "usr"),
)
"""Fields that Rucio's schemas for `get_sm` and `put_sm` need or declare as texts."""


def _trace(
    outcome: Transferred | Opened | TransferFailure, job: Job = JOB, **file: object
) -> dict[str, object]:
    attempt = Attempt(SOURCE, outcome, 1000.0, 1)
    told = trace_of(
        job,
        QUEUE,
        msgspec.structs.replace(INPUT, **file),
        attempt,
        ended_at=1002.5,
        host="node",
        ip="10.0.0.1",
    )
    return json.loads(msgspec.json.encode(told))  # type: ignore[no-any-return]


def test_a_good_fetch() -> None:
    """Every field, as a service that knows Rucio's traces reads them."""
    trace = _trace(DONE)
    assert {name: trace[name] for name in trace if name not in ("usr", "uuid", "eventVersion")} == {
        "eventType": "get_sm",
        "clientState": "DONE",
        "stateReason": "OK",
        "protocol": "https",
        "localSite": "TEST-SITE",
        "remoteSite": "DISK",
        "pq": "TEST_QUEUE",
        "scope": "mc",
        "filename": "in.root",
        "filesize": 9,
        "guid": "abcd",
        "dataset": "mc.set",
        "datasetScope": "mc",
        "duid": None,
        "version": None,
        "timeStart": 1000.0,
        "catStart": 1000.0,
        "relativeStart": 1000.0,
        "transferStart": 1000.0,
        "validateStart": 1002.5,
        "timeEnd": 1002.5,
        "url": "https://door.example:1443/a/in.root",
        "suspicious": False,
        "hostname": "node",
        "ip": "10.0.0.1",
        "appid": 77,
        "taskid": 5,
    }


@pytest.mark.parametrize(("label", "ending"), [("managed", ""), ("user", "_a"), ("panda", "_a"), (None, "")])
def test_the_kind_of_event(label: str | None, ending: str) -> None:
    """Reading and storing, production and analysis."""
    job = msgspec.structs.replace(JOB, label=label)
    assert _trace(DONE, job)["eventType"] == f"get_sm{ending}"
    there = Destination(surl="root://door//b/out", endpoint=Endpoint(name="TAPE"), reason="meant")
    told = trace_of(job, QUEUE, INPUT, Attempt(there, DONE, 1.0, 1), ended_at=2.0, host="n", ip=None)
    assert (told["eventType"], told["protocol"], told["remoteSite"]) == (f"put_sm{ending}", "root", "TAPE")


def test_a_failure_tells_its_class_and_no_secret() -> None:
    """The sentence without the queries of the addresses in it; a bad copy is suspicious."""
    failure = TransferFailure(
        kind=FailureClass.CHECKSUM, says=f"{SURL} and root://a//b?authz=Bearer%20ey.x gave other bytes"
    )
    trace = _trace(failure)
    assert trace["clientState"] == "checksum" and trace["suspicious"] is True
    assert trace["validateStart"] is None
    assert "gave other bytes" in str(trace["stateReason"]) and "door.example" in str(trace["stateReason"])
    for secret in (SECRET, "Signature", "authz", "user:"):
        assert secret not in json.dumps(trace), secret


@pytest.mark.parametrize(
    ("kind", "side", "suspicious"),
    [
        (FailureClass.MISSING, Side.STORAGE, True),
        (FailureClass.CONTACT, Side.STORAGE, False),
        (FailureClass.CHECKSUM, Side.NODE, False),
    ],
)
def test_only_the_copy_itself_is_suspicious(kind: FailureClass, side: Side, suspicious: bool) -> None:
    """A door that does not answer says nothing about the file behind it."""
    assert _trace(TransferFailure(kind=kind, side=side, says="no"))["suspicious"] is suspicious


def test_the_user_is_a_hash() -> None:
    """No DN and no name leaves with a trace; one user's traces still belong together."""
    trace = _trace(DONE)
    assert "Some Body" not in json.dumps(trace) and "usrdn" not in trace
    assert trace["usr"] == _trace(Opened(surl=SURL, seconds=0.1, mover="http"))["usr"]
    assert len(str(trace["usr"])) == 32


def test_the_traces_of_one_job_belong_together() -> None:
    """One number per attempt at a job."""
    again = msgspec.structs.replace(JOB, attempt_nr=3)
    assert _trace(DONE)["uuid"] == _trace(DONE)["uuid"] != _trace(DONE, again)["uuid"]


def test_what_is_unknown_is_an_empty_text_where_a_text_is_wanted() -> None:
    """A service refuses a null there."""
    trace = _trace(DONE, msgspec.structs.replace(JOB, owner=None), scope=None, guid=None, dataset=None)
    assert all(isinstance(trace[name], str) for name in TEXTS)
    assert trace["guid"] is None and trace["dataset"] == ""


def test_addresses_without_what_may_be_secret() -> None:
    """User, password, query and fragment."""
    assert without_secrets(SURL) == "https://door.example:1443/a/in.root"
    assert without_secrets("root://door:1094//a/b?authz=x#y") == "root://door:1094//a/b"
    assert without_secrets("file:///a/b") == "file:///a/b"
