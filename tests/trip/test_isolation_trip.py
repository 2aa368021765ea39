"""Whole jobs with confined payloads: what a queue requires is given or the job is refused, and nothing else changes."""

import itertools
import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from confined_kit import WAYS, WORK_ON, Confining, each_way, launcher_of, needs

from grid import Grid, wait_for
from picard_pilot.server import control
from picard_pilot.server.info import ServerInfo
from picard_pilot.system import proc
from plain_user import open_folder
from second_user import second_user

_numbers = itertools.count(1)


@pytest.fixture
def confining(grid: Grid) -> Confining:
    """The queue that the tests change."""
    return Confining(grid)


@needs("apptainer")
def test_a_job_with_an_image_runs_in_it_and_its_output_is_stored(confining: Confining) -> None:
    """The payload sees the image; status, output and report are as for any other job."""
    grid = confining.grid
    code = (
        "import os\nopen('out.' + os.environ['PANDAID'] + '.txt', 'w').write(open('/marked/which').read())\n"
    )
    job_id = confining.submit(code, **confining.image("apptainer"))
    assert confining.pilot("apptainer").wait(120) == 0, grid.output()
    assert grid.wait_status(job_id, "finished", "failed") == "finished", (grid.errors(job_id), grid.output())
    assert confining.output(job_id) == "the image\n"
    assert not grid.job_dir(job_id).exists()


def test_an_image_that_nothing_can_run_is_a_refusal(confining: Confining) -> None:
    """1384, with the image and why no way runs it; the payload is never started without."""
    grid = confining.grid
    job_id = confining.submit(WORK_ON, container_name="/images/of/nobody")
    assert confining.pilot("none").wait(60) == 0, grid.output()
    assert grid.wait_status(job_id, "finished", "failed") == "failed"
    code, diag = grid.errors(job_id)["pilot"]
    assert code == 1384
    assert "nothing here can run the image /images/of/nobody" in diag
    assert "none: runs no images" in diag


def secrets_of(grid: Grid) -> tuple[Path, ...]:
    """Where a spy looks: the pilot's token, and its work area."""
    return (control.token_file(Path(grid.info.data_dir), "pilot"), grid.workdir)


@needs("bubblewrap")
def test_a_queue_that_hides_the_pilots_credentials(confining: Confining) -> None:
    """The payload finds token and proxy neither in environment, processes nor files; unconfined it finds them all."""
    grid = confining.grid
    token, workdir = secrets_of(grid)
    confining.secret = token.read_text().strip()
    confining.proxy.write_text(confining.secret)
    places = (token, confining.proxy, workdir)
    naked = confining.spy(*places)
    assert confining.pilot("none").wait(60) == 0, grid.output()
    assert grid.wait_status(naked, "finished", "failed") == "finished", grid.errors(naked)
    seen = set(json.loads(confining.output(naked)))
    assert {str(token), str(confining.proxy), f"{workdir}/pilotlog.txt", "/proc/PID/environ"} <= seen

    confining.queue('required_guarantees = ["hides_pilot_credentials"]')
    hidden = confining.spy(*places)
    assert (
        grid.pilot("--jobs", "1", X509_USER_PROXY=str(confining.proxy), SITE_SECRET=confining.secret).wait(60)
        == 0
    ), grid.output()
    assert grid.wait_status(hidden, "finished", "failed") == "finished", (grid.errors(hidden), grid.output())
    assert json.loads(confining.output(hidden)) == [f"{workdir}/PanDA_Pilot-{hidden}"]


def test_a_guarantee_that_nothing_gives_is_a_refusal(confining: Confining) -> None:
    """1110 with the guarantee, who requires it, each way's reason, and what to do; nothing of the payload runs."""
    grid = confining.grid
    confining.queue('required_guarantees = ["other_identity"]')
    job_id = confining.submit(WORK_ON)
    assert grid.pilot("--jobs", "1").wait(60) == 0, grid.output()
    assert grid.wait_status(job_id, "finished", "failed") == "failed"
    code, diag = grid.errors(job_id)["pilot"]
    assert code == 1110
    assert "nothing here gives other_identity" in diag
    assert "none: does not give other_identity" in diag
    assert "Install what is missing on the node" in grid.output()
    assert f"queue.{grid.queue}.required_guarantees" in grid.output()
    assert not (grid.store / f"out.{job_id}.txt").exists()


def test_a_guarantee_that_the_site_requires_by_setting(confining: Confining) -> None:
    """A queue whose description cannot say it is held to it all the same; an unknown way is no setting."""
    grid = confining.grid
    job_id = confining.submit(WORK_ON)
    required = ("--require-guarantee", "own_process_space")
    assert confining.pilot("none", *required).wait(60) == 0, grid.output()
    assert grid.wait_status(job_id, "finished", "failed") == "failed"
    assert "nothing here gives own_process_space" in grid.errors(job_id)["pilot"][1]
    assert confining.pilot("jail").wait(60) not in (0, 1, 2)
    assert "There is no isolation named 'jail'" in grid.output()


@each_way(*WAYS)
def test_a_later_pilot_goes_on_with_a_confined_payload(confining: Confining, way: str) -> None:
    """The pilot is killed with -9: the payload goes on in its confinement, and the next pilot stores its output."""
    grid = confining.grid
    job_id = confining.submit(WORK_ON, **confining.image(way))
    first = confining.pilot(way)
    wait_for(lambda: b"begun" in _stdout(grid, job_id), f"the payload runs; {grid.output()}")
    grid.wait_event(job_id, "PayloadStarted")
    held = launcher_of(grid, job_id)
    first.kill()
    first.wait(60)
    assert proc.is_running(held)
    second = confining.pilot(way)
    grid.wait_event(job_id, "Resumed")
    confining.go(job_id)
    assert second.wait(120) == 0, grid.output()
    assert grid.wait_status(job_id, "finished", "failed") == "finished", (grid.errors(job_id), grid.output())
    assert confining.output(job_id) == "all of it"
    assert not proc.is_running(held)


@each_way(*WAYS)
def test_a_confined_payload_is_asked_to_stop(confining: Confining, way: str) -> None:
    """The server kills the job: the payload gets SIGTERM within its confinement, and its exit code is what it said."""
    grid = confining.grid
    job_id = confining.submit(WORK_ON, **confining.image(way))
    pilot = confining.pilot(way, "--no-cleanup", "--stop-grace", "60")
    wait_for(lambda: b"begun" in _stdout(grid, job_id), f"the payload runs; {grid.output()}")
    status = json.loads((grid.job_dir(job_id) / "picard" / "status.json").read_text())
    grid.kill(job_id)
    assert pilot.wait(120) == 0, grid.output()
    assert (grid.job_dir(job_id) / f"out.{job_id}.txt").read_text() == "told 1"
    ended = next(one["event"] for one in grid.journal(job_id) if one["event"]["event"] == "PayloadExited")
    assert (ended["exit"]["exit_code"], ended["exit"]["stopped_by"]) == (5, "server_kill")
    assert status["isolation"]["held_by"][-1] == "process_group"


@each_way("bubblewrap", "apptainer")
def test_a_crash_of_a_confined_payload_is_told_apart(confining: Confining, way: str) -> None:
    """The programs that confine show a signal as an exit code; the fault says which signal that stands for."""
    grid = confining.grid
    job_id = confining.submit("import os\nos.kill(os.getpid(), 11)\n", **confining.image(way))
    assert confining.pilot(way).wait(120) == 0, grid.output()
    assert grid.wait_status(job_id, "finished", "failed") == "failed"
    code, diag = grid.errors(job_id)["pilot"]
    assert "segmentation fault" in diag, (code, diag)
    assert grid.errors(job_id)["payload"][0] == 139


@each_way("bubblewrap", "apptainer")
def test_a_program_that_is_not_there_is_no_failure_of_the_payload(confining: Confining, way: str) -> None:
    """What the confining program says about it is the cause."""
    grid = confining.grid
    job_id = grid.submit("/nowhere/program", "", **confining.image(way))
    assert confining.pilot(way).wait(120) == 0, grid.output()
    assert grid.wait_status(job_id, "finished", "failed") == "failed"
    code, diag = grid.errors(job_id)["pilot"]
    assert code == 1110, (code, diag)
    assert "/nowhere/program" in diag


@needs("bubblewrap")
def test_the_server_hears_how_a_payload_is_held(confining: Confining) -> None:
    """In job_metrics of the updates, beside what is in status.json."""
    grid = confining.grid
    job_id = confining.submit(WORK_ON)
    pilot = confining.pilot("bubblewrap", "--heartbeat", "0.2")
    wait_for(lambda: b"begun" in _stdout(grid, job_id), "the payload runs")
    wait_for(lambda: "isolation=bubblewrap" in json.dumps(grid.job(job_id)), "the server heard of the way")
    assert "pid_namespace" in json.dumps(grid.job(job_id))
    status = json.loads((grid.job_dir(job_id) / "picard" / "status.json").read_text())
    assert status["isolation"]["way"] == "bubblewrap"
    confining.go(job_id)
    assert pilot.wait(60) == 0, grid.output()


# Another local user, as whom the pilot cannot be root's child alone: sudo makes it so


@pytest.fixture
def reachable(shared_server: ServerInfo) -> Iterator[Confining]:
    """A grid in a folder where another user can come, and where nobody else changes the folders above."""
    with open_folder() as folder:
        made = Grid(folder, shared_server, queue=f"REACHABLE{next(_numbers)}")
        yield Confining(made)
        made.close()


@pytest.fixture
def user() -> Iterator[str]:
    """The payload's user."""
    with second_user() as name:
        yield name


@needs("sudo")
def test_a_payload_runs_as_another_user(reachable: Confining, user: str) -> None:
    """Required by the queue: its output is stored although it closed everything, and nothing is left."""
    grid = reachable.grid
    reachable.queue('required_guarantees = ["other_identity", "hides_pilot_credentials"]')
    code = (
        "import os, pwd\nos.umask(0o77)\nos.mkdir('closed')\nopen('closed/file', 'w').close()\nos.chmod('closed', 0)\n"
        "name = 'out.' + os.environ['PANDAID'] + '.txt'\n"
        "with open(name, 'w') as file: file.write(pwd.getpwuid(os.getuid()).pw_name)\nos.chmod(name, 0)\n"
    )
    job_id = reachable.submit(code)
    assert reachable.pilot(f"none,sudo:{user}").wait(60) == 0, grid.output()
    assert grid.wait_status(job_id, "finished", "failed") == "finished", (grid.errors(job_id), grid.output())
    assert reachable.output(job_id) == user
    assert not grid.job_dir(job_id).exists()


OWNER = "/DC=org/DC=example/CN=an owner"


@needs("sudo")
def test_a_payload_runs_as_the_account_of_its_owner(reachable: Confining, user: str) -> None:
    """By gLExec's interface; the pilot's own proxy is neither used for it nor seen by it."""
    grid = reachable.grid
    program, owners = grid.directory / "glexec", grid.directory / "credentials" / "owners_proxy"
    shutil.copy(Path(__file__).parents[1] / "glexec_stand_in.py", program)
    program.chmod(0o755)
    program.with_name("mapped").write_text(f"{OWNER} {user}\n")
    owners.write_text(f"{OWNER}\n")
    owners.chmod(0o600)
    reachable.queue('required_guarantees = ["other_identity"]')
    code = (
        "import json, os, pwd\nproxy = os.environ['X509_USER_PROXY']\n"
        "told = [pwd.getpwuid(os.getuid()).pw_name, open(proxy).read()]\n"
        "json.dump(told, open('out.' + os.environ['PANDAID'] + '.txt', 'w'))\n"
    )
    job_id = reachable.submit(code)
    pilot = reachable.pilot(f"none,glexec:{program}", GLEXEC_CLIENT_CERT=str(owners))
    assert pilot.wait(60) == 0, grid.output()
    assert grid.wait_status(job_id, "finished", "failed") == "finished", (grid.errors(job_id), grid.output())
    assert json.loads(reachable.output(job_id)) == [user, f"{OWNER}\n"]
    assert not grid.job_dir(job_id).exists()


@needs("sudo")
def test_a_later_pilot_stops_another_users_payload(reachable: Confining, user: str) -> None:
    """The rescuer has other settings: how the payload is confined it knows from the job's directory."""
    grid = reachable.grid
    job_id = reachable.submit(WORK_ON.replace("SIGTERM, told", "SIGTERM, signal.SIG_IGN"))
    first = reachable.pilot(f"sudo:{user}")
    wait_for(lambda: b"begun" in _stdout(grid, job_id), f"the payload runs; {grid.output()}")
    grid.wait_event(job_id, "PayloadStarted")
    held = launcher_of(grid, job_id)
    inside = proc.descendants(held.pid)
    first.send_signal(signal.SIGKILL)
    first.wait(60)
    second = reachable.pilot("none", "--stop-grace", "0.2")
    grid.wait_event(job_id, "Resumed")
    grid.kill(job_id)
    assert second.wait(120) == 0, grid.output()
    assert not any(map(proc.is_running, [held, *inside]))
    assert not grid.job_dir(job_id).exists()


def _stdout(grid: Grid, job_id: int) -> bytes:
    path = grid.job_dir(job_id) / "payload.stdout"
    return path.read_bytes() if path.exists() else b""
