"""Stage-out of whole jobs with a real worker and local storages."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from staging_kit import Ground, an_output, ground, with_worker

from picard_pilot.data.worker import TransferWorker
from picard_pilot.model.files import StoredFile
from picard_pilot.testing.mover_kit import CONTENT, adler32

__all__ = ["ground"]  # the fixture


def test_outputs_are_stored_with_what_the_report_needs(ground: Ground) -> None:
    """GUID (the payload's, the job's, or a new one), size, checksum and the place where each really is."""

    async def test(worker: TransferWorker) -> None:
        for name in ("a", "b", "c"):
            (ground.directory / name).write_bytes(CONTENT)
        given = "6BB3A5B9-4F7B-4F59-B6EE-7F8C0C7B1111"
        result = await ground.stage_out(
            worker,
            an_output("a", guid=given),
            an_output("b", guid=given),
            an_output("c"),
            guids={"b": "FROM-PAYLOAD"},
        )
        assert result.faults == ()
        stored = {event.file.lfn: event.file for event in ground.stored}
        assert stored["a"].guid == given
        assert stored["b"].guid == "FROM-PAYLOAD"
        assert re.fullmatch(r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}", stored["c"].guid)
        assert stored["a"] == StoredFile(
            lfn="a",
            guid=given,
            size_bytes=len(CONTENT),
            checksum=adler32(CONTENT),
            surl=f"file://{ground.at('A', 'a')}",
            endpoint="A",
        )
        assert ground.at("A", "a").read_bytes() == CONTENT

    with_worker(test)


def test_stage_out_after_a_crash(ground: Ground) -> None:
    """What the journal knows is not touched; what was stored but not written down counts as stored."""

    async def test(worker: TransferWorker) -> None:
        for name in ("known", "unknown"):
            (ground.directory / name).write_bytes(CONTENT)
        files = (an_output("known"), an_output("unknown"))
        await ground.stage_out(worker, *files)
        done = {event.file.lfn: event.file for event in ground.stored if event.file.lfn == "known"}
        ground.stored.clear()
        ground.at("A", "known").unlink()
        result = await ground.stage_out(worker, *files, done=done)
        assert result.faults == ()
        assert [event.reason for event in ground.stored] == ["endpoint 1 of queue Q for pw; already there"]
        assert not ground.at("A", "known").exists()

    with_worker(test)


def make_directory(path: Path) -> None:
    """An output that is a directory."""
    path.mkdir()


def make_empty(path: Path) -> None:
    """An output without bytes."""
    path.touch()


def make_escape(path: Path) -> None:
    """An output that is a link to something of the pilot's."""
    path.symlink_to("/etc/hostname")


def make_loop(path: Path) -> None:
    """An output that is a link to itself."""
    path.symlink_to(path)


def make_dangling(path: Path) -> None:
    """An output that is a link to nothing."""
    path.symlink_to("nowhere")


def make_nothing(path: Path) -> None:
    """An output that the payload forgot."""


@pytest.mark.parametrize(
    ("make", "code", "word"),
    [
        (make_nothing, 1165, "did not write"),
        (make_empty, 1191, "no bytes"),
        (make_directory, 1303, "a directory"),
        (os.mkfifo, 1303, "a FIFO"),
        (make_escape, 1303, "out of the job's directory"),
        (make_loop, 1303, ""),
        (make_dangling, 1303, "link to nothing"),
    ],
)
def test_an_output_that_cannot_be_stored(
    ground: Ground, make: Callable[[Path], None], code: int, word: str
) -> None:
    """Named with its kind and number; the good output beside it is stored all the same."""

    async def test(worker: TransferWorker) -> None:
        make(ground.directory / "bad")
        (ground.directory / "good").write_bytes(CONTENT)
        result = await ground.stage_out(worker, an_output("bad"), an_output("good"))
        assert [fault.code for fault in result.faults] == [code]
        assert word in result.faults[0].says
        assert [event.file.lfn for event in ground.stored] == ["good"]

    with_worker(test)


def test_a_link_inside_the_directory_is_an_output(ground: Ground) -> None:
    """Payloads like to write elsewhere below their directory and link the result."""

    async def test(worker: TransferWorker) -> None:
        (ground.directory / "sub").mkdir()
        (ground.directory / "sub" / "real").write_bytes(CONTENT)
        (ground.directory / "out").symlink_to("sub/real")
        assert (await ground.stage_out(worker, an_output("out"))).faults == ()
        assert ground.at("A", "out").read_bytes() == CONTENT
        assert not ground.at("A", "out").is_symlink()

    with_worker(test)


def test_an_output_that_may_be_absent(ground: Ground) -> None:
    """The job permits it: no fault, and the decision says so."""

    async def test(worker: TransferWorker) -> None:
        result = await ground.stage_out(worker, an_output("out", may_be_absent=True))
        assert (result.faults, result.absent) == ((), ("out",))
        assert "which the job permits" in result.decisions[0]

    with_worker(test)


def test_another_file_at_the_target(ground: Ground) -> None:
    """1221, both sizes in the sentence, and nothing was overwritten."""

    async def test(worker: TransferWorker) -> None:
        ground.replica("A", "out", b"another job's")
        (ground.directory / "out").write_bytes(CONTENT)
        result = await ground.stage_out(worker, an_output("out"))
        assert [fault.code for fault in result.faults] == [1221]
        assert "13 bytes there" in result.faults[0].evidence[0].text
        assert ground.at("A", "out").read_bytes() == b"another job's"

    with_worker(test)


def test_an_endpoint_that_nobody_knows(ground: Ground) -> None:
    """A job that names one, at a queue that names none: 1133 and what was probably meant."""

    async def test(worker: TransferWorker) -> None:
        result = await ground.stage_out(worker, an_output("out", endpoint="AA"))
        assert [fault.code for fault in result.faults] == [1165]
        (ground.directory / "out").write_bytes(CONTENT)
        result = await ground.stage_out(worker, an_output("out", endpoint="AA"))
        assert [fault.code for fault in result.faults] == [1133]
        assert "endpoint AA" in result.faults[0].says

    with_worker(test)
