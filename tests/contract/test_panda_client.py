"""The PanDA client and the embedded server keep the same contract, over TLS and with the server's own tokens."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import msgspec
import pytest

from picard_pilot.model.files import Checksum, ChecksumKind, StoredFile
from picard_pilot.model.job import Job
from picard_pilot.model.orders import Acquired, Ask, NoJobs, Orders, ServerTrouble
from picard_pilot.model.report import JobStatus, Update
from picard_pilot.model.states import Phase
from picard_pilot.panda.client import PandaClient
from picard_pilot.panda.credentials import discover
from picard_pilot.panda.outbox import Accepted, Outbox
from picard_pilot.server import control
from picard_pilot.server.info import ServerInfo
from picard_pilot.server.settings import ServerSettings
from picard_pilot.system.backoff import Backoff
from picard_pilot.system.clock import RealClock
from picard_pilot.system.http import HttpClient, HttpError, TlsSettings

DEADLINE_S = 30.0
QUEUE = "TESTQ"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerInfo]:
    folder = tmp_path_factory.mktemp("server")
    yield control.start_detached(ServerSettings(data_dir=str(folder), pages=False))
    control.stop(folder)


@asynccontextmanager
async def _http(server: ServerInfo, role: str) -> AsyncIterator[HttpClient]:
    """A client with the token of a role, found as a pilot finds it: one variable that names the file."""
    token_file = control.token_file(Path(server.data_dir), role)
    credential = discover({"BEARER_TOKEN_FILE": str(token_file)}, euid=os.geteuid())
    if role == "user":
        credential.origin = "picard.user"
    client = HttpClient(
        user_agent="picard-test", tls=credential.tls(server.ca_file), authorise=credential.headers
    )
    try:
        yield client
    finally:
        client.close(wait_s=5.0)


async def _submit(server: ServerInfo, queue: str, **fields: object) -> int:
    spec = {"computingSite": queue, "transformation": "/bin/true", "prodSourceLabel": "user", **fields}
    async with _http(server, "production") as http:
        document = json.dumps({"jobs": json.dumps([spec])}).encode()
        answer = await http.post_json(f"{server.url}/api/v1/job/submit", document, deadline_s=DEADLINE_S)
    envelope = json.loads(answer.body)
    assert envelope["success"], envelope
    return int(envelope["data"][0][0])


async def _kill(server: ServerInfo, job_id: int) -> None:
    async with _http(server, "production") as http:
        document = json.dumps({"job_ids": [job_id]}).encode()
        await http.post_json(f"{server.url}/api/v1/job/kill", document, deadline_s=DEADLINE_S)


def _update(job: Job, status: JobStatus, phase: Phase, **more: object) -> Update:
    known = {"job_id": job.job_id, "attempt_nr": job.attempt_nr, "status": status, "phase": phase}
    return msgspec.convert(known | more, Update)


async def _acquire(client: PandaClient, queue: str) -> Job:
    answer = await client.acquire(Ask(site_name=queue, label="user"))
    assert isinstance(answer, Acquired), answer
    return answer.jobs[0]


def test_a_job_travels_the_whole_way(server: ServerInfo) -> None:
    """Asked for, told of in every phase, reported with its output, and finished in the server's eyes."""

    async def run() -> None:
        job_id = await _submit(
            server, QUEUE, outFiles="out.txt", scopeOut="user.test", ddmEndPointOut="LOCAL"
        )
        async with _http(server, "pilot") as http:
            client = PandaClient(http, server.url, node="wn1")
            job = await _acquire(client, QUEUE)
            assert job.job_id == job_id
            assert [file.lfn for file in job.outputs] == ["out.txt"]
            for status, phase in ((JobStatus.STARTING, Phase.STAGEIN), (JobStatus.RUNNING, Phase.RUNNING)):
                told = await client.tell(_update(job, status, phase, node="wn1", core_count=1))
                assert told == Orders()
            stored = StoredFile(
                lfn="out.txt",
                guid="11111111-2222-3333-4444-555555555555",
                size_bytes=5,
                checksum=Checksum(ChecksumKind.ADLER32, "062c0215"),
                surl="file:///se/out.txt",
                endpoint="LOCAL",
            )
            report = msgspec.structs.replace(
                _update(
                    job, JobStatus.FINISHED, Phase.FINISHED, pilot_error_code=0, timing_s=(0, 1, 2, 3, 4, 5)
                ),
                outputs=(stored,),
            )
            assert await client.tell(report) == Orders()
            async with asyncio.timeout(DEADLINE_S):
                while (await client.status((job_id,)))[0].status != "finished":  # type: ignore[index]  # noqa: ASYNC110
                    await asyncio.sleep(0.05)  # the adder is another process
            again = await client.tell(report)
            assert isinstance(again, Orders)
            assert again.answer in ("alreadydone", "tobekilled"), (
                "a repeated report is settled, not stored twice"
            )

    asyncio.run(run())


def test_an_empty_queue_has_no_jobs(server: ServerInfo) -> None:
    """An unknown queue gets the same answer."""

    async def run() -> object:
        async with _http(server, "pilot") as http:
            return await PandaClient(http, server.url).acquire(Ask(site_name="NOBODYS"))

    assert isinstance(asyncio.run(run()), NoJobs)


def test_a_kill_arrives_with_the_poll_and_with_the_update(server: ServerInfo) -> None:
    """And a wrong attempt is told to end, too."""

    async def run() -> None:
        job_id = await _submit(server, "KILLQ")
        async with _http(server, "pilot") as http:
            client = PandaClient(http, server.url)
            job = await _acquire(client, "KILLQ")
            running = _update(job, JobStatus.RUNNING, Phase.RUNNING)
            stranger = msgspec.structs.replace(running, attempt_nr=job.attempt_nr + 7)
            assert await client.tell_many((running, stranger)) == (Orders(), Orders(commands=("tobekilled",)))
            await _kill(server, job_id)
            standing = await client.orders_for((job_id,))
            assert isinstance(standing, tuple)
            assert standing[0].commands == ("tobekilled",)
            told = await client.tell(running)
            assert isinstance(told, Orders)
            assert told.kill

    asyncio.run(run())


def test_hostile_texts_do_not_lose_the_report(server: ServerInfo) -> None:
    """NUL, lone surrogates, lengths and numbers beyond the columns are made fit before they leave."""

    async def run() -> None:
        await _submit(server, "HOSTILEQ")
        async with _http(server, "pilot") as http:
            client = PandaClient(http, server.url)
            job = await _acquire(client, "HOSTILEQ")
            report = _update(
                job,
                JobStatus.FAILED,
                Phase.FAILED,
                pilot_error_code=2**40,
                pilot_error_diag="a\0b" + "x" * 5000,
                scheduler_id="s" * 999,
                batch_id="b" * 999,
                pilot_log="line\n" * 5000,
                trans_exit_code=7,
                metrics={"key": "v" * 900},
            )
            assert await client.tell(report) == Orders()

    asyncio.run(run())


def test_the_server_is_alive_and_wants_a_credential_for_the_rest(server: ServerInfo) -> None:
    """Without one, or with a user's, a pilot is refused in words and nothing crashes."""

    async def run() -> None:
        nobody = HttpClient(user_agent="picard-test", tls=TlsSettings(ca_file=server.ca_file))
        client = PandaClient(nobody, server.url)
        assert await client.is_alive() is None
        refused = await client.acquire(Ask(site_name=QUEUE))
        assert isinstance(refused, ServerTrouble)
        assert refused.kind == "not allowed"
        nobody.close(wait_s=5.0)
        async with _http(server, "user") as http:
            update = Update(job_id=1, attempt_nr=1, status=JobStatus.RUNNING, phase=Phase.RUNNING)
            refused = await PandaClient(http, server.url).tell(update)
            assert isinstance(refused, ServerTrouble)
            assert refused.kind == "not allowed"

    asyncio.run(run())


def test_the_servers_authority_must_be_known(server: ServerInfo) -> None:
    """A pilot that was not given the CA's path talks to nobody."""
    stranger = HttpClient(user_agent="picard-test")
    with pytest.raises(HttpError) as caught:
        asyncio.run(stranger.get_json(f"{server.url}/api/v1/system/is_alive", deadline_s=DEADLINE_S))
    stranger.close(wait_s=5.0)
    assert caught.value.trouble == "tls"


def test_a_report_survives_kill_9_of_the_server(tmp_path: Path) -> None:
    """It is told until the server, started again on the same data, has it."""
    settings = ServerSettings(data_dir=str(tmp_path / "server"), pages=False)
    server = control.start_detached(settings)

    async def run() -> None:
        await _submit(server, QUEUE)
        async with _http(server, "pilot") as http:
            client = PandaClient(http, server.url)
            job = await _acquire(client, QUEUE)
            await client.tell(_update(job, JobStatus.RUNNING, Phase.RUNNING))
            os.kill(server.process.pid, signal.SIGKILL)
            await asyncio.to_thread(os.waitpid, server.process.pid, 0)
            pauses = Backoff(first_s=0.05, longest_s=0.2)
            outbox = Outbox(client, RealClock(), Random(1), pauses=pauses)
            report = _update(job, JobStatus.FINISHED, Phase.FINISHED)
            delivery = asyncio.create_task(outbox.deliver(report, tmp_path / "report.json"))
            again = msgspec.structs.replace(settings, port=server.port)
            await asyncio.to_thread(control.start_detached, again)
            async with asyncio.timeout(DEADLINE_S):
                delivered = await delivery
            assert isinstance(delivered, Accepted)
            assert delivered.answer == "0"

    try:
        asyncio.run(run())
    finally:
        control.stop(tmp_path / "server")
