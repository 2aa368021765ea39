"""Apptainer for real: the machine's own, or the one that scripts/setup_isolation.sh puts into a tree of its own."""

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from confining import INSTALL, apptainer, lacks_namespaces, skeleton
from picard_pilot.isolation.base import Isolation
from picard_pilot.model.isolation import CannotConfine
from picard_pilot.payload import launcher
from picard_pilot.payload.launch import Exited, LaunchSpec
from picard_pilot.plugins.loader import load
from picard_pilot.testing.isolation_kit import WorkArea
from picard_pilot.testing.isolation_suite import IsolationSuite

PROGRAM = apptainer()
REASON = lacks_namespaces() if PROGRAM else f"there is no apptainer here; {INSTALL}"
pytestmark = pytest.mark.skipif(REASON is not None, reason=REASON or "")


@pytest.fixture
def isolation() -> Isolation:
    """The way under test."""
    made: Isolation = load("isolation", f"apptainer:{PROGRAM}")(os.environ)
    return made


@pytest.fixture
def image(tmp_path: Path) -> str:
    """An image as a directory."""
    return str(skeleton(tmp_path))


def area_in(folder: Path) -> WorkArea:
    """A work area for payloads in the image, which has no /usr of its own."""
    made = WorkArea(folder)
    made.image_needs = ("/usr",)
    return made


class TestApptainer(IsolationSuite):
    """The whole suite in an image."""

    isolation_name = "apptainer"

    @pytest.fixture
    def isolation(self, isolation: Isolation) -> Isolation:
        """The one that is here."""
        return isolation

    @pytest.fixture
    def image(self, image: str) -> str:
        """A directory."""
        return image

    @pytest.fixture
    def area(self, tmp_path: Path) -> WorkArea:
        """A fresh work area."""
        return area_in(tmp_path / "area")


def test_the_payload_is_in_the_image(isolation: Isolation, image: str, tmp_path: Path) -> None:
    """It sees the image's files and its own directory as home, and none of the node's other folders."""
    area = area_in(tmp_path / "area")
    script = "cat /marked/which; echo $HOME; pwd; ls /; ls /etc"
    ended = area.run(isolation, area.request("/bin/sh", "-c", script, image=image))
    assert ended.exit_code == 0, ended
    lines = ended.stdout.splitlines()
    assert lines[:3] == ["the image", str(area.job), str(area.job)]
    assert "boot" not in lines


async def pipe_is_written(path: Path) -> None:
    """Return when somebody has written to a named pipe."""
    fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    loop = asyncio.get_running_loop()
    written = asyncio.Event()
    loop.add_reader(fd, written.set)
    try:
        await written.wait()
    finally:
        loop.remove_reader(fd)
        os.close(fd)


def test_a_payload_is_asked_before_it_is_killed(isolation: Isolation, image: str, tmp_path: Path) -> None:
    """SIGTERM reaches the payload and not the programs that hold it; its own end is what is told."""
    area = area_in(tmp_path / "area")
    polite = "trap 'echo told >told; exit 5' TERM; echo run >ready; while :; do sleep 0.05; done"
    wrapped = isolation.wrap(area.request("/bin/sh", "-c", polite, image=image))
    spec = LaunchSpec(
        directory=str(area.private / "launch"),
        argv=wrapped.argv,
        cwd=str(area.job),
        env=wrapped.environment,
        stdout=str(area.job / "payload.stdout"),
        stderr=str(area.job / "payload.stderr"),
        own_process_space=True,
    )

    async def story() -> Exited:
        handle = await launcher.launch(spec)
        async with asyncio.timeout(60):
            await pipe_is_written(area.job / "ready")
        launcher.stop(handle, 60.0, "limit")
        ended = await launcher.wait(handle)
        assert isinstance(ended, Exited), ended
        return ended

    ended = asyncio.run(story()).exit
    assert (ended.exit_code, ended.stopped_by, ended.survivors) == (5, "limit", 0), ended
    assert (area.job / "told").exists()


def test_an_image_in_one_file(isolation: Isolation, tmp_path: Path) -> None:
    """A SIF file is made from a directory, and runs."""
    area = area_in(tmp_path / "area")
    sif = tmp_path / "image.sif"
    built = subprocess.run(
        (str(PROGRAM), "build", "--userns", str(sif), str(skeleton(tmp_path))),
        capture_output=True,
        text=True,
        env={**os.environ, "APPTAINER_TMPDIR": str(tmp_path), "APPTAINER_CACHEDIR": str(tmp_path / "cache")},
    )
    assert built.returncode == 0, built.stderr
    ended = area.run(isolation, area.request("/bin/cat", "/marked/which", image=str(sif)))
    assert (ended.exit_code, ended.stdout) == (0, "the image\n"), ended


@pytest.mark.parametrize("image", [None, "docker://somewhere/image", "/nowhere/image.sif"])
def test_an_image_that_is_not_there_is_refused(
    isolation: Isolation, image: str | None, tmp_path: Path
) -> None:
    """No image, one that would be fetched from the network, one that does not exist: said before a start."""
    area = area_in(tmp_path / "area")
    with pytest.raises(CannotConfine, match=r"image"):
        isolation.wrap(area.request("/bin/true", image=image, read_only=()))


def test_a_name_that_cannot_be_bound_is_refused(isolation: Isolation, image: str, tmp_path: Path) -> None:
    """A colon or a comma in a path would be read as something else."""
    odd = tmp_path / "with,comma"
    odd.mkdir()
    area = area_in(tmp_path / "area")
    with pytest.raises(CannotConfine, match="comma"):
        isolation.wrap(area.request("/bin/true", image=image, read_only=(str(odd),)))


def test_a_program_that_is_not_in_the_image_is_a_clear_fault(
    isolation: Isolation, image: str, tmp_path: Path
) -> None:
    """Apptainer's own words, told apart from the payload's end."""
    area = area_in(tmp_path / "area")
    ended = area.run(isolation, area.request("/nowhere/program", image=image))
    fault = isolation.fault(ended.exit_code or 0, ended.stderr)
    assert fault is not None, ended
    assert (fault.error, "/nowhere/program" in fault.says) == ("SETUPFAILURE", True)


def test_where_there_is_none_it_is_said(tmp_path: Path) -> None:
    """A node without it, and a program that is something else."""
    probed = asyncio.run(load("isolation", "apptainer")({"PATH": str(tmp_path)}).probe())
    assert (probed.usable, probed.says) == (False, "there is no apptainer on this node")
    broken = tmp_path / "apptainer"
    broken.write_text("#!/bin/sh\necho broken >&2; exit 3\n")
    broken.chmod(0o755)
    probed = asyncio.run(load("isolation", "apptainer")({"PATH": str(tmp_path)}).probe())
    assert not probed.usable
    assert probed.says.endswith("does not start: broken")
