"""A payload that is confined by a program of its own, under the launcher that outlives the pilot."""

import os
import signal
from pathlib import Path

import pytest
from launch_kit import payload, runs
from process_kit import go, until_async

from confining import lacks_bubblewrap
from picard_pilot.isolation.bubblewrap import Bubblewrap
from picard_pilot.model.isolation import ConfineRequest
from picard_pilot.payload import launcher
from picard_pilot.payload.launch import Exited, LaunchSpec
from picard_pilot.system import cgroup, proc

REASON = lacks_bubblewrap()
needs_bubblewrap = pytest.mark.skipif(REASON is not None, reason=REASON or "")

POLITE = "trap 'echo told >told; exit 5' TERM; echo run >ready; while :; do sleep 0.05; done"


def confined(folder: Path, script: str) -> LaunchSpec:
    """A payload in bubblewrap, as the pilot would launch it."""
    job = folder / "job"
    scratch = job / "picard"
    scratch.mkdir(parents=True)
    wrapped = Bubblewrap(os.environ).wrap(
        ConfineRequest(
            argv=("/bin/sh", "-c", script),
            cwd=str(job),
            environment={"PATH": "/usr/bin:/bin"},
            job_directory=str(job),
            scratch=str(scratch),
            hidden=(str(folder),),
        )
    )
    return LaunchSpec(
        directory=str(scratch / "launch"),
        argv=wrapped.argv,
        cwd=str(job),
        env=wrapped.environment,
        stdout=str(job / "payload.stdout"),
        stderr=str(job / "payload.stderr"),
        own_process_space=True,
    )


@needs_bubblewrap
def test_a_confined_payload_is_asked_before_it_is_killed(tmp_path: Path) -> None:
    """SIGTERM reaches the payload and not the program that holds it, which would take the payload with it at once."""
    spec = confined(tmp_path, POLITE)

    async def story() -> Exited:
        handle = await launcher.launch(spec)
        await until_async(lambda: (tmp_path / "job" / "ready").exists(), "the payload runs")
        launcher.stop(handle, 60.0, "limit")
        ended = await launcher.wait(handle)
        assert isinstance(ended, Exited), ended
        return ended

    ended = go(story())
    assert (ended.exit.exit_code, ended.exit.signal, ended.exit.stopped_by) == (5, None, "limit")
    assert (tmp_path / "job" / "told").exists()


@needs_bubblewrap
def test_a_confined_payload_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    """After the grace all of it goes, the holding program included."""
    spec = confined(tmp_path, "trap '' TERM; echo run >ready; while :; do sleep 0.05; done")

    async def story() -> Exited:
        handle = await launcher.launch(spec)
        await until_async(lambda: (tmp_path / "job" / "ready").exists(), "the payload runs")
        launcher.stop(handle, 0.2, "limit")
        ended = await launcher.wait(handle)
        assert isinstance(ended, Exited), ended
        return ended

    ended = go(story())
    assert (ended.exit.exit_code, ended.exit.signal, ended.exit.survivors) == (None, 9, 0)


@pytest.mark.parametrize("by_order", [True, False])
def test_another_users_payload_is_asked_by_him_who_orders_the_stop(tmp_path: Path, by_order: bool) -> None:
    """Else it would be asked twice, since sudo passes on what it is told. A batch system's SIGTERM is passed on."""
    spec = payload(tmp_path, POLITE, other_user=os.geteuid(), grace_s=60.0)

    async def story() -> Exited:
        handle = await launcher.launch(spec)
        await until_async(lambda: (tmp_path / "ready").exists(), "the payload runs")
        if by_order:
            launcher.stop(handle, 0.2, "limit")
        else:
            proc.send_signal(handle.launcher, signal.SIGTERM)
        ended = await launcher.wait(handle)
        assert isinstance(ended, Exited), ended
        return ended

    ended = go(story())
    assert (ended.exit.exit_code, ended.exit.signal) == ((None, 9) if by_order else (5, None))
    assert (tmp_path / "told").exists() is not by_order


def test_a_payload_starts_although_its_group_is_gone(tmp_path: Path) -> None:
    """A control group is a help and no condition: one that cannot be entered costs no job."""
    ended = go(_to_the_end(payload(tmp_path, "exit 3", cgroup=str(tmp_path / "no" / "group"))))
    assert (ended.exit.exit_code, runs(tmp_path)) == (3, 1)


def test_a_payload_is_in_its_group(tmp_path: Path) -> None:
    """It is there from its first instruction, and its daemons are; afterwards the group is empty and can go."""
    place = cgroup.find_place()
    if not isinstance(place, cgroup.Place):
        pytest.skip(f"{place.says}; a guest has them, see test_cgroup_guest")
    group = cgroup.make(place, f"picard-test-{os.getpid()}")
    try:
        ended = go(_to_the_end(payload(tmp_path, "cat /proc/self/cgroup", cgroup=str(group.path))))
        assert ended.exit.exit_code == 0
        assert f"/{group.path.name}\n" in (tmp_path / "payload.stdout").read_text()
        assert cgroup.is_empty(group.path)
    finally:
        assert cgroup.remove(group.path)
    assert cgroup.remove(group.path)
    assert not cgroup.kill(group.path)


async def _to_the_end(spec: LaunchSpec) -> Exited:
    ended = await launcher.wait(await launcher.launch(spec))
    assert isinstance(ended, Exited), ended
    return ended
