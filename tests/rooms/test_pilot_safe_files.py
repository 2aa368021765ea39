"""What a job gives up on a full disk: nothing that is not safe elsewhere."""

from pathlib import Path

import msgspec
from pilot_kit import work_for

from picard_pilot.model.files import Checksum, ChecksumKind, FileRole, FileSpec, StoredFile
from picard_pilot.model.job import Job
from picard_pilot.testing.clock import VirtualClock


def test_inputs_and_stored_outputs_go_and_nothing_else(tmp_path: Path) -> None:
    """An output that was written over an input stays until it is stored; so do all other files."""
    inputs = tuple(FileSpec(lfn=lfn, role=FileRole.INPUT) for lfn in ("in", "both", "away"))
    outputs = tuple(FileSpec(lfn=lfn, role=FileRole.OUTPUT) for lfn in ("out", "both", "done"))
    work = work_for(tmp_path, VirtualClock())
    done = StoredFile(
        lfn="done",
        guid="G",
        size_bytes=1,
        checksum=Checksum(ChecksumKind.ADLER32, "00000001"),
        surl="s",
        endpoint="E",
    )
    job = Job(job_id=5, attempt_nr=1, inputs=inputs, outputs=outputs)
    work.case = msgspec.structs.replace(work.case, job=job, stored={"done": done})
    for name in ("in", "both", "out", "done", "payload.stdout"):
        (tmp_path / name).write_text(name)
    assert work.remove_what_is_safe()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["both", "out", "payload.stdout"]
    assert not work.remove_what_is_safe()
