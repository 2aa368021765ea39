"""The calls of the PanDA client against a server that answers, refuses, lies or dies."""

import asyncio
import json
import logging
import secrets
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import msgspec
import pytest
from panda_kit import Script, Scripted

from picard_pilot.model.orders import Acquired, Ask, NoJobs, Orders, ServerTrouble
from picard_pilot.model.report import JobStatus, Update
from picard_pilot.model.states import Phase
from picard_pilot.panda.client import PandaClient
from picard_pilot.panda.credentials import Credential
from picard_pilot.system.bearer import Token
from picard_pilot.testing.faulty_server import (
    ERROR_500,
    HTML_PAGE,
    Hang,
    Hangup,
    Reaction,
    Reset,
    Say,
    Seen,
    Slow,
    Truncate,
)

T = TypeVar("T")


def _json(document: object, status: int = 200) -> Say:
    return Say(status=status, body=json.dumps(document).encode())


def _good(data: object) -> Say:
    return _json({"success": True, "message": "", "data": data})


def _refusal(message: str, data: object = None) -> Say:
    return _json({"success": False, "message": message, "data": data})


def _update(job_id: int = 7, **more: Any) -> Update:
    values = {"job_id": job_id, "attempt_nr": 2, "status": JobStatus.RUNNING, "phase": Phase.RUNNING}
    return Update(**(values | more))


JOB: dict[str, object] = {"PandaID": 11, "attemptNr": 3, "transformation": "/bin/true", "jobPars": "x"}
ASK = Ask(site_name="TESTQ", label="unified", memory_mb=2000, node="wn1")


class Bench(Scripted):
    """A scripted server and a client for it."""

    def __init__(self, script: Script, credential: Credential, **options: Any) -> None:
        super().__init__(script, authorise=credential.headers)
        self.client = PandaClient(self.http, self.server.url + "/", **options)

    def run(self, make: Callable[[PandaClient], Coroutine[Any, Any, T]]) -> T:
        return asyncio.run(make(self.client))


@pytest.fixture
def bench() -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(script: Script, credential: Credential | None = None, **options: Any) -> Bench:
        made.append(Bench(script, credential or Credential(), **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_jobs_are_acquired_as_typed_jobs(bench: Callable[..., Bench]) -> None:
    """The request holds what is known, with its JSON type, and nothing else."""
    one = bench([_good({"StatusCode": 0, "jobs": [JOB]})])
    answer = one.run(lambda client: client.acquire(ASK))
    assert isinstance(answer, Acquired)
    assert [(job.job_id, job.attempt_nr) for job in answer.jobs] == [(11, 3)]
    seen = one.server.seen[0]
    assert (seen.method, seen.target) == ("POST", "/api/v1/pilot/acquire_jobs")
    assert one.bodies()[0] == {
        "site_name": "TESTQ",
        "prod_source_label": "unified",
        "memory": 2000,
        "node": "wn1",
        "n_jobs": 1,
        "timeout": 60,
    }


def test_a_job_that_cannot_be_read_comes_back_beside_the_good_ones(bench: Callable[..., Bench]) -> None:
    """It names the field and can be reported failed; nothing that the server gave is lost."""
    broken = JOB | {"PandaID": 12, "attemptNr": 1, "inFiles": "../../etc/passwd"}
    hopeless: list[object] = [7, {"PandaID": "x"}]
    one = bench([_good({"StatusCode": 0, "jobs": [JOB, broken, *hopeless]})])
    answer = one.run(lambda client: client.acquire(ASK))
    assert isinstance(answer, Acquired)
    assert [job.job_id for job in answer.jobs] == [11]
    first = answer.bad[0]
    assert (first.job_id, first.attempt_nr) == (12, 1)
    assert "inFiles" in first.error
    assert "etc/passwd" in first.error
    assert len(answer.bad) == 3


@pytest.mark.parametrize("reaction", [_refusal("No jobs in PanDA"), _good({"StatusCode": 0, "jobs": []})])
def test_an_empty_queue_is_no_trouble(bench: Callable[..., Bench], reaction: Reaction) -> None:
    """The server says it in two ways."""
    one = bench([reaction])
    assert isinstance(one.run(lambda client: client.acquire(ASK)), NoJobs)


LIES: list[tuple[Reaction, str]] = [
    (HTML_PAGE, "not JSON"),
    (ERROR_500, "server error"),
    (Say(body=b"{'success': True, 'data': None}"), "not JSON"),
    (Say(body=b""), "not JSON"),
    (Say(body=b'{"success":true,"message":"","data":' + b"[" * 100_000), "not JSON"),
    (Say(body=b"\xff\xfe\x00"), "not JSON"),
    (_json([1, 2]), "wrong shape"),
    (_json({"success": "yes", "message": "", "data": None}), "wrong shape"),
    (_good(None), "wrong shape"),
    (_good({"StatusCode": "0"}), "wrong shape"),
    (_good({"StatusCode": 30, "ErrorDiag": "Database error"}), "not stored"),
    (_good({"StatusCode": 10}), "not stored"),
    (_good({"StatusCode": 50}), "refused"),
    (Say(status=403, body=b"You are not allowed"), "not allowed"),
    (Say(status=503, body=b"busy"), "server error"),
    (Truncate(body=b'{"success": tr', announced_bytes=100), "truncated"),
    (Reset(), "reset"),
    (Hangup(), "reset"),
    (Slow(pause_s=30.0), "timeout"),
    (Hang(), "timeout"),
]


@pytest.mark.parametrize(("reaction", "kind"), LIES)
def test_whatever_a_server_does_is_a_typed_trouble(
    bench: Callable[..., Bench], reaction: Reaction, kind: str
) -> None:
    """Never a crash, never a success, for updates and requests alike; the evidence is in the sentence."""
    one = bench([reaction], call_deadline_s=0.5 if kind == "timeout" else 30.0)
    told = one.run(lambda client: client.tell(_update()))
    assert isinstance(told, ServerTrouble)
    assert told.kind == kind
    assert told.evidence
    assert "/api/v1/pilot/update_job" in told.says
    if kind != "timeout":
        assert isinstance(one.run(lambda client: client.acquire(ASK)), ServerTrouble)
        assert isinstance(one.run(lambda client: client.orders_for((7,))), ServerTrouble)


def test_a_server_that_is_down_got_nothing(bench: Callable[..., Bench]) -> None:
    """So a request for a job that was refused a connection lost no job."""
    one = bench([Say()])
    one.server.down()
    answer = one.run(lambda client: client.acquire(ASK))
    assert isinstance(answer, ServerTrouble)
    assert answer.may_pass
    assert not answer.may_have_arrived


@pytest.mark.parametrize(
    ("command", "commands", "word"),
    [
        ("NULL", (), "0"),
        ("tobekilled", ("tobekilled",), "tobekilled"),
        ("alreadydone", ("alreadydone",), "alreadydone"),
        ("debug,tail -n 20 x", ("debug", "tail -n 20 x"), "0"),
        ("debug,tobekilled", ("debug", "tobekilled"), "tobekilled"),
    ],
)
def test_orders_come_comma_joined(
    bench: Callable[..., Bench], command: str, commands: tuple[str, ...], word: str
) -> None:
    """They sit in the data, one level below where today's pilot once looked."""
    one = bench([_good({"StatusCode": 0, "command": command})])
    orders = one.run(lambda client: client.tell(_update()))
    assert isinstance(orders, Orders)
    assert orders.commands == commands
    assert orders.answer == word
    assert orders.kill == ("tobekilled" in commands)
    assert one.bodies()[0]["attempt_nr"] == 2


def test_secrets_in_an_answer_go_nowhere(
    bench: Callable[..., Bench], caplog: pytest.LogCaptureFixture
) -> None:
    """`pilotSecrets` come with every answer in debug mode."""
    caplog.set_level(logging.DEBUG)
    word = secrets.token_urlsafe(16)
    one = bench([_good({"StatusCode": 0, "command": "debug", "pilotSecrets": json.dumps({"key": word})})])
    orders = one.run(lambda client: client.tell(_update()))
    assert word not in repr(orders) + caplog.text


def test_token_and_origin_go_out_and_appear_nowhere_else(
    bench: Callable[..., Bench], caplog: pytest.LogCaptureFixture
) -> None:
    """Also when the server quotes the token in its refusal."""
    caplog.set_level(logging.DEBUG)
    word = secrets.token_urlsafe(24)
    credential = Credential(token=Token("test", text=word), origin="panda_dev.pilot", source="test")
    one = bench(
        lambda seen: Say(status=403, body=f"bad token {seen.headers['authorization']}".encode()), credential
    )
    trouble = one.run(lambda client: client.tell(_update()))
    seen = one.server.seen[0]
    assert seen.headers["authorization"] == f"Bearer {word}"
    assert seen.headers["origin"] == "panda_dev.pilot"
    assert isinstance(trouble, ServerTrouble)
    assert word not in repr(trouble) + trouble.says + caplog.text + repr(credential)
    assert word not in seen.target


def test_a_field_that_an_older_server_does_not_know_is_left_out_from_then_on(
    bench: Callable[..., Bench],
) -> None:
    """It refuses the whole call, naming one field at a time; nothing was done then, so it is safe to go on."""
    unknown = {"job_metrics", "n_input_files"}

    def script(seen: Seen) -> Reaction:
        for name in sorted(json.loads(seen.body)):
            if name in unknown:
                return Say(status=500, body=f"got an unexpected keyword argument '{name}'".encode())
        return _good({"StatusCode": 0, "command": "NULL"})

    one = bench(script)
    update = _update(n_input_files=3, metrics={"nEvents": "5"}, node="wn1")
    for _ in range(2):
        assert isinstance(one.run(lambda client: client.tell(update)), Orders)
    bodies = one.bodies()
    assert len(bodies) == 4, "two refusals once, then one request for each update"
    assert unknown.isdisjoint(bodies[-1])
    assert bodies[-1]["node"] == "wn1"
    assert one.client.unknown_fields == {"pilot/update_job": unknown}


def test_a_server_that_refuses_for_ever_is_trouble(bench: Callable[..., Bench]) -> None:
    """A required field cannot be left out, and one that was left out cannot be refused again."""
    for text in ("got an unexpected keyword argument 'job_id'", "got an unexpected keyword argument 'node'"):
        one = bench([Say(status=500, body=text.encode())])
        assert isinstance(one.run(lambda client: client.tell(_update(node="wn1"))), ServerTrouble)
        assert len(one.server.seen) <= 2


def test_many_updates_travel_together_and_are_answered_one_by_one(bench: Callable[..., Bench]) -> None:
    """A bad entry spoils only itself."""
    entries = [
        {"success": True, "message": "", "data": {"StatusCode": 0, "command": "tobekilled"}},
        {"success": True, "message": "", "data": {"StatusCode": 30, "ErrorDiag": "Database error"}},
        {"success": False, "message": "got an unexpected keyword argument 'node'", "data": None},
    ]

    def script(seen: Seen) -> Reaction:
        if seen.target.endswith("update_jobs_bulk"):
            return _good(entries)
        return _good({"StatusCode": 0, "command": "NULL"})

    one = bench(script)
    updates = tuple(_update(job_id, node="wn1") for job_id in (1, 2, 3))
    first, second, third = one.run(lambda client: client.tell_many(updates))
    assert isinstance(first, Orders)
    assert first.kill
    assert isinstance(second, ServerTrouble)
    assert second.kind == "not stored"
    assert isinstance(third, Orders)
    assert [len(one.bodies()[0]["job_list"]), one.bodies()[1]["job_id"]] == [3, 3]
    assert "node" not in one.bodies()[1]


@pytest.mark.parametrize("data", [None, [], [{}, {}, {}], "x"])
def test_bulk_answers_that_do_not_fit_are_trouble_for_all(bench: Callable[..., Bench], data: object) -> None:
    """Nobody is told a success that was another's."""
    one = bench([_good(data)])
    answers = one.run(lambda client: client.tell_many((_update(1), _update(2))))
    assert [type(answer) for answer in answers] == [ServerTrouble, ServerTrouble]


def test_standing_and_waiting_orders_are_asked_for(bench: Callable[..., Bench]) -> None:
    """Two calls: one knows attempts, the other commands."""

    def script(seen: Seen) -> Reaction:
        if "get_job_status" in seen.target:
            return _good([{"job_id": 5, "status": "running", "attempt_number": 2}])
        return _good(
            [{"status": "running", "command": "NULL"}, {"status": "unknown", "command": "tobekilled"}]
        )

    one = bench(script)
    standing = one.run(lambda client: client.status((5,)))
    assert isinstance(standing, tuple)
    assert (standing[0].job_id, standing[0].attempt_nr) == (5, 2)
    orders = one.run(lambda client: client.orders_for((5, 6)))
    assert isinstance(orders, tuple)
    assert [(row.job_id, row.commands) for row in orders] == [(5, ()), (6, ("tobekilled",))]
    assert one.server.seen[1].target == "/api/v1/job/get_status?job_ids=5&job_ids=6"
    assert one.run(lambda client: client.orders_for(())) == ()


def test_the_worker_is_told_of_only_with_harvesters_ids(bench: Callable[..., Bench]) -> None:
    """A pilot that no Harvester submitted is nobody's worker."""
    one = bench([_good(None)], harvester_id="H1", worker_id=4, node="wn1")
    assert one.run(lambda client: client.worker_status("started")) is None
    assert one.bodies()[0] == {"worker_id": 4, "harvester_id": "H1", "status": "started", "node_id": "wn1"}
    alone = bench([_good(None)])
    assert alone.run(lambda client: client.worker_status("started")) is None
    assert not alone.server.seen
    assert alone.run(lambda client: client.is_alive()) is None


def test_a_hostile_update_still_leaves_as_json(bench: Callable[..., Bench]) -> None:
    """NUL, lone surrogates and endless texts of a payload are cleaned and cut, not fatal."""
    one = bench([_good({"StatusCode": 0, "command": "NULL"})])
    update = _update(
        pilot_error_diag="a\0b\ud800" + "x" * 5000,
        pilot_error_code=2**40,
        node="n" * 500,
        scheduler_id="s" * 500,
    )
    assert isinstance(one.run(lambda client: client.tell(update)), Orders)
    body = msgspec.json.decode(one.server.seen[0].body)
    assert len(body["pilot_error_diag"]) == 500
    assert "\0" not in body["pilot_error_diag"]
    assert len(body["scheduler_id"]) == 128
    assert body["pilot_error_code"] == 2**31 - 1
