"""The server as a process: start, state file, stop, and a death by SIGKILL in the middle of its work."""

import contextlib
import json
import os
import signal
import stat
import threading

import pytest
import urllib3

from picard_pilot.server import control
from picard_pilot.server.control import ControlError
from picard_pilot.server.settings import ServerSettings
from picard_pilot.system import proc
from picard_pilot.testing.server import ServerClient, server_process, wait_for
from picard_pilot.wire import v1


def kill(server):
    """End the server as a crash does, and wait for that."""
    assert proc.send_signal(server.process, signal.SIGKILL)
    os.waitpid(server.process.pid, 0)


def test_start_status_stop(tmp_path):
    """The state file says where it is and goes with it."""
    data_dir = tmp_path / "new" / "server"
    assert control.status(data_dir) is None
    with server_process(data_dir) as server:
        assert control.status(data_dir) == server
        assert server.url == f"https://127.0.0.1:{server.port}"
        text = (data_dir / "server.json").read_text()
        assert control.token(data_dir, "pilot") not in text
        assert control.stop(data_dir) is True
        assert not proc.is_running(server.process)
        assert not (data_dir / "server.json").exists()
    assert control.stop(data_dir) is False


def test_an_idle_kept_alive_connection_does_not_hold_up_the_stop(tmp_path):
    """The server ends as soon as no call is under way, event streams included."""
    with server_process(tmp_path) as server, ServerClient(server, "pilot") as pilot:
        pilot.submit()
        with urllib3.PoolManager(ca_certs=server.ca_file, retries=False) as pool:
            stream = pool.request(
                "GET", f"{server.url}/ui/v1/events", headers=pilot.credentials, preload_content=False
            )
            # SIGTERM alone must do: the second step of the ladder would come after ten seconds.
            assert control.stop(tmp_path, timeout_s=8) is True
            stream.close()
    log = (tmp_path / "server.log").read_text()
    assert "timeout graceful shutdown exceeded" not in log
    assert "Traceback" not in log


def test_one_server_per_directory(tmp_path):
    """A second one says what to do and leaves the first alone."""
    with server_process(tmp_path) as server:
        with pytest.raises(ControlError, match=r"runs in .* already"):
            control.start_detached(ServerSettings(data_dir=str(tmp_path)))
        assert control.status(tmp_path) == server


def test_a_port_in_use(tmp_path):
    """The reason stands in the message."""
    with server_process(tmp_path / "a") as server, pytest.raises(ControlError, match="in use"):
        control.start_detached(ServerSettings(data_dir=str(tmp_path / "b"), port=server.port))


def test_secrets_are_readable_by_their_owner_only(tmp_path):
    """Keys, tokens, the directory itself."""
    with server_process(tmp_path / "server"):
        pass
    data_dir = tmp_path / "server"
    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700
    private = [*data_dir.glob("tls/*.key"), *data_dir.glob("tokens/*"), data_dir / "server.log"]
    assert len(private) == 7
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}


def test_certificates_and_tokens_survive_a_restart(tmp_path):
    """Pilots keep theirs."""
    with server_process(tmp_path):
        before = {path: path.read_bytes() for path in [*tmp_path.glob("tls/*"), *tmp_path.glob("tokens/*")]}
    with server_process(tmp_path):
        assert {path: path.read_bytes() for path in before} == before


def test_no_token_in_the_log(tmp_path):
    """Whatever is sent, good and bad."""
    with server_process(tmp_path) as server, ServerClient(server, "pilot") as pilot:
        token = control.token(tmp_path, "pilot")
        pilot.submit()
        pilot.raw(
            "POST",
            "/api/v1/pilot/acquire_jobs",
            b"{",
            {**pilot.credentials, "Content-Type": "application/json"},
        )
        pilot.raw("GET", "/login?token=" + token)
        pilot.raw("GET", f"/api/v1/{token}")
    assert token not in (tmp_path / "server.log").read_text()


def test_an_unknown_role_has_no_token(tmp_path):
    """Three lines say so."""
    with pytest.raises(ControlError) as caught:
        control.token(tmp_path, "admin")
    assert len(str(caught.value).splitlines()) == 3
    with pytest.raises(ControlError):
        control.login_url(tmp_path)


def test_a_login_address_signs_in_once(tmp_path):
    """Made by another process than the server's."""
    with server_process(tmp_path) as server, ServerClient(server, "pilot") as pilot:
        path = control.login_url(tmp_path).removeprefix(server.url)
        answers = [pilot._pool.request("GET", server.url + path, redirect=False) for _ in range(2)]
    assert "picard_session=" in answers[0].headers["set-cookie"]
    assert [answer.status for answer in answers] == [303, 403]


class Load(threading.Thread):
    """Pilots' updates, one after another, until the server is gone; remembers which were acknowledged."""

    def __init__(self, server, job_ids):
        super().__init__()
        self.server, self.job_ids = server, job_ids
        self.acknowledged = {}
        self.submitted = []
        self.finished = []

    def run(self):
        """Heartbeats with a growing number, submissions, and final updates."""
        with ServerClient(self.server, "pilot") as pilot, contextlib.suppress(urllib3.exceptions.HTTPError):
            for number in range(1, 100_000):
                job_id = self.job_ids[number % len(self.job_ids)]
                pilot.data(v1.UPDATE_JOB, job_id=job_id, attempt_nr=1, job_status="running", n_events=number)
                self.acknowledged[job_id] = number
                if number % 10 == 0:
                    self.submitted.append(pilot.submit(computingSite="later"))
                    job = pilot.acquire(site_name="later")
                    pilot.data(v1.UPDATE_JOB, job_id=job["PandaID"], attempt_nr=1, job_status="finished")
                    self.finished.append(job["PandaID"])


def test_every_acknowledged_update_survives_sigkill(tmp_path):
    """Killed in the middle of its work and started again, the server has all it ever confirmed."""
    settings = ServerSettings(data_dir=str(tmp_path))
    server = control.start_detached(settings)
    with ServerClient(server, "pilot") as pilot:
        spec = json.dumps([{"computingSite": "Q", "transformation": "x"}] * 8)
        job_ids = [entry[0] for entry in pilot.data(v1.SUBMIT, jobs=spec)]
        pilot.data(v1.ACQUIRE_JOBS, site_name="Q", n_jobs=8)
    loads = [Load(server, job_ids[half::2]) for half in (0, 1)]
    for load in loads:
        load.start()
    wait_for(lambda: all(len(load.finished) >= 5 for load in loads))
    kill(server)
    for load in loads:
        load.join()
    assert control.status(tmp_path) is None

    with server_process(tmp_path) as server, ServerClient(server, "pilot") as pilot:
        for load in loads:
            for job_id, number in load.acknowledged.items():
                assert pilot.job(job_id)["usage"]["n_events"] >= number
            known = pilot.data(v1.GET_JOB_STATUS, job_ids=load.submitted)
            assert all(entry["status"] != "not found" for entry in known)
            # What the adder had not done before the crash it does now.
            wait_for(lambda load=load: all(pilot.status(job_id) == "finished" for job_id in load.finished))
