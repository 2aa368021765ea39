"""The log archive: what is in it, what never is, and that nothing a payload leaves can spoil it."""

import asyncio
import errno
import gc
import os
import tarfile
import zlib
from pathlib import Path

import pytest

from picard_pilot.data import log_text, logs
from picard_pilot.data.logs import make_archive
from picard_pilot.model.bundle import Bundle
from picard_pilot.model.files import FileRole, FileSpec
from picard_pilot.model.job import Job
from picard_pilot.payload.jobdir import bundle_of
from picard_pilot.system.redact import Redactor
from picard_pilot.testing.mover_kit import largest_file_bytes

JOB = Job(
    job_id=42,
    attempt_nr=1,
    inputs=(FileSpec(lfn="in.root", role=FileRole.INPUT),),
    outputs=(FileSpec(lfn="out.log", role=FileRole.OUTPUT),),
    log=FileSpec(lfn="job.log.tgz", role=FileRole.LOG),
)
FOLDER = "tarball_PandaJob_42_QUEUE"


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """The directory of a job that ran."""
    (tmp_path / "pilotlog.txt").write_text("pilot was here\n")
    directory = tmp_path / "PanDA_Pilot-42"
    (directory / "picard").mkdir(parents=True)
    (directory / "picard" / "journal.jsonl").write_text('{"event": "JobReceived"}\n')
    (directory / "picard" / "job.json").write_text("{}\n")
    (directory / "picard" / "reserve").write_bytes(b"\0" * 1000)
    (directory / "payload.stdout").write_text("line 1\nline 2\n")
    (directory / "payload.stderr").write_text("")
    (directory / "jobReport.json").write_text("{}\n")
    (directory / "log.EVNTtoHITS").write_text("step\n")
    (directory / "in.root").write_bytes(b"input")
    (directory / "out.log").write_bytes(b"output, whatever its name")
    (directory / "scratch.dat").write_bytes(b"not a log")
    return bundle_of(directory)


def archive(bundle: Bundle, name: str = "job.log.tgz", redactor: Redactor | None = None) -> dict[str, bytes]:
    """Make the archive and read it back: contents by name without the folder."""
    target = Path(bundle.private, name)
    asyncio.run(make_archive(JOB, "QUEUE", bundle, target, redactor=redactor))
    found: dict[str, bytes] = {}
    with tarfile.open(target) as opened:
        for member in opened:
            assert member.isreg()
            assert member.name.startswith(FOLDER + "/")
            content = opened.extractfile(member)
            assert content is not None
            found[member.name.removeprefix(FOLDER + "/")] = content.read()
    return found


def test_no_file_stays_open(bundle: Bundle) -> None:
    """Also of those in which something had to be replaced, of which no more is read than their size says: a pilot makes
    archives by the thousand, and on NFS a directory stays in which a file was removed while it was open."""
    secret = os.urandom(12).hex()
    for name in ("jobReport.json", "picard/journal.jsonl", "payload.stdout"):
        Path(bundle.directory, name).write_text(f'{{"token": "{secret}"}}\n')
    redactor = Redactor()
    redactor.register(secret)
    gc.disable()
    try:
        found = archive(bundle, redactor=redactor)
        opened = {os.path.realpath(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")}  # noqa: PTH208
    finally:
        gc.enable()
    assert secret.encode() not in b"".join(found.values())
    assert [path for path in opened if path.startswith(bundle.directory)] == []


def test_what_is_in_it(bundle: Bundle) -> None:
    """The pilot's log and records, what the payload said, its reports; no input, no output, nothing else."""
    found = archive(bundle)
    assert set(found) == {
        "pilotlog.txt",
        "picard/job.json",
        "picard/journal.jsonl",
        "payload.stdout",
        "payload.stderr",
        "jobReport.json",
        "log.EVNTtoHITS",
    }
    assert found["payload.stdout"] == b"line 1\nline 2\n"
    assert sorted(path.name for path in Path(bundle.private).iterdir()) == [
        "job.json",
        "job.log.tgz",
        "journal.jsonl",
        "reserve",
    ]


def test_the_log_about_this_job_alone_goes_first(bundle: Bundle) -> None:
    """What the pilot said about its other jobs is not this job's business."""
    Path(bundle.directory, "pilotlog.txt").write_text("about job 42\n")
    assert archive(bundle)["pilotlog.txt"] == b"about job 42\n"


def test_an_uncompressed_one(bundle: Bundle) -> None:
    """The name decides."""
    archive(bundle, "job.log.tar")
    with tarfile.open(Path(bundle.private, "job.log.tar"), "r:") as opened:
        assert opened.getnames()


def test_secrets_stay_out(bundle: Bundle) -> None:
    """Registered ones and those that look like one, in any file."""
    secret = os.urandom(12).hex()
    redactor = Redactor()
    redactor.register(secret)
    Path(bundle.stdout).write_text(f"my key is {secret}\n" * 3 + "Authorization: Bearer abcdefgh12345678\n")
    Path(bundle.private, "journal.jsonl").write_text('{"note": "' + secret + '"}\n')
    found = archive(bundle, redactor=redactor)
    assert secret.encode() not in b"".join(found.values())
    assert b"abcdefgh12345678" not in found["payload.stdout"]
    assert found["payload.stdout"].count(b"[redacted]") == 4


def test_a_secret_is_found_in_files_of_any_size(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small ones are looked at as a whole, larger ones line by line; both end the same."""
    secret = os.urandom(12).hex()
    redactor = Redactor()
    redactor.register(secret)
    Path(bundle.stdout).write_text(f"before {secret} after\n" + "much ado\n" * 1000)
    whole = archive(bundle, redactor=redactor)["payload.stdout"]
    monkeypatch.setattr(log_text, "WHOLE_BYTES", 100)
    assert archive(bundle, "again.log.tgz", redactor=redactor)["payload.stdout"] == whole
    assert whole.startswith(b"before [redacted] after\nmuch ado\n")


@pytest.mark.parametrize("block_bytes", [1, 7, 64, 1000, 10**6])
def test_a_secret_is_found_wherever_a_block_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_bytes: int
) -> None:
    """Blocks end with lines, and a private key may go on for several of them."""
    log = tmp_path / "payload.stdout"
    key = "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEabcdefgh\n" * 9 + "-----END RSA PRIVATE KEY-----\n"
    log.write_text(
        "y\n" * 50 + "password=hidden-from-all\n" + "y\n" * 50 + key + "the last line without an end"
    )
    monkeypatch.setattr(log_text, "WHOLE_BYTES", 0)
    monkeypatch.setattr(log_text, "BLOCK_BYTES", block_bytes)
    excerpt = log_text.Excerpt(log, Redactor(), lambda: None)
    text = b"".join(excerpt.read(1) for _ in range(excerpt.size_bytes)).decode()
    assert (
        text
        == "y\n" * 50 + "password=[redacted]\n" + "y\n" * 50 + "[redacted]\n\nthe last line without an end"
    )


def test_bytes_that_are_no_text_come_through(bundle: Bundle) -> None:
    """A payload may print anything."""
    noise = bytes(range(256)) * 1000
    Path(bundle.stdout).write_bytes(noise)
    assert archive(bundle)["payload.stdout"] == noise


def test_a_long_file_is_cut_in_its_middle(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beginning and end are kept, the cut is said in the file and in a note."""
    monkeypatch.setattr(log_text, "HEAD_BYTES", 1000)
    monkeypatch.setattr(log_text, "TAIL_BYTES", 2000)
    text = b"".join(b"line %06d\n" % number for number in range(10_000))
    Path(bundle.stdout).write_bytes(text)
    found = archive(bundle)
    cut = found["payload.stdout"]
    assert cut.startswith(text[:1000])
    assert cut.endswith(text[-2000:])
    assert b"117000 bytes are left out here" in cut
    assert b"payload.stdout is cut: 117000 bytes" in found["archive_notes.txt"]


def test_what_is_no_regular_file_is_left_out(bundle: Bundle) -> None:
    """A link could lead to anything, a FIFO would hang for ever; a note says what was left out."""
    directory = Path(bundle.directory)
    (directory / "log.link").symlink_to("/etc/hostname")
    os.mkfifo(directory / "log.fifo")
    (directory / "log.folder").mkdir()
    Path(bundle.stderr).unlink()
    Path(bundle.stderr).symlink_to("/etc/hostname")
    found = archive(bundle)
    assert not {"log.link", "log.fifo", "log.folder", "payload.stderr"} & set(found)
    notes = found["archive_notes.txt"].decode()
    for name in ("log.link", "log.fifo", "log.folder", "payload.stderr"):
        assert f"{name} is left out: it is no regular file" in notes


def test_names_that_are_no_text(bundle: Bundle) -> None:
    """In the archive under their own bytes, in its notes readable."""
    directory = os.fsencode(bundle.directory)
    Path(os.fsdecode(directory + b"/a\xff.log")).write_text("one\n")
    Path(os.fsdecode(directory + b"/b\xff.log")).symlink_to("/etc/hostname")
    found = archive(bundle)
    assert found[os.fsdecode(b"a\xff.log")] == b"one\n"
    assert b"b\\udcff.log is left out" in found["archive_notes.txt"]


def test_a_payload_with_a_thousand_logs(bundle: Bundle) -> None:
    """The first ones, and a note for each of the others."""
    for number in range(1000):
        Path(bundle.directory, f"log.{number:04}").write_text("x")
    found = archive(bundle)
    assert len(found) == 201
    assert found["archive_notes.txt"].count(b"more than 200 files") == 1007 - 200
    assert "payload.stdout" in found


def test_an_archive_that_is_there_is_kept(bundle: Bundle) -> None:
    """It may have been stored before a crash; another one would not be the stored one any more."""
    target = Path(bundle.private, "job.log.tgz")
    archive(bundle)
    before = zlib.crc32(target.read_bytes())
    Path(bundle.stdout).write_text("changed")
    archive(bundle)
    assert zlib.crc32(target.read_bytes()) == before


def test_an_archive_is_on_the_disk_before_it_stands(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """Since it is kept: half of one, left by a power cut, would be the log for ever."""
    target, synced = Path(bundle.private, "job.log.tgz"), []

    def note(fd: int) -> None:
        synced.append((os.fstat(fd).st_ino, os.fstat(fd).st_size, target.exists()))

    monkeypatch.setattr(logs.os, "fsync", note)
    archive(bundle)
    assert synced == [(target.stat().st_ino, target.stat().st_size, False)]


def test_after_everything_else_failed(bundle: Bundle) -> None:
    """No payload ever ran, no log exists: there is still an archive with the journal."""
    for path in Path(bundle.directory).iterdir():
        if path.is_file():
            path.unlink()
    Path(bundle.directory).parent.joinpath("pilotlog.txt").unlink()
    assert set(archive(bundle)) == {"picard/job.json", "picard/journal.jsonl"}


def test_a_full_disk_leaves_no_half_archive(bundle: Bundle) -> None:
    """The error is the system's, and the temporary file is gone."""
    Path(bundle.stdout).write_bytes(os.urandom(500_000))
    target = Path(bundle.private, "job.log.tgz")
    with largest_file_bytes(100_000), pytest.raises(OSError, match="too large"):
        asyncio.run(make_archive(JOB, "QUEUE", bundle, target))
    assert sorted(path.name for path in Path(bundle.private).iterdir()) == [
        "job.json",
        "journal.jsonl",
        "reserve",
    ]


def test_cancelling_leaves_nothing(bundle: Bundle) -> None:
    """The pilot must leave: the thread stops at once and takes its temporary file with it."""
    Path(bundle.stdout).write_bytes(b"a line that is short\n" * 2_000_000)
    target = Path(bundle.private, "job.log.tgz")

    async def run() -> None:
        work = asyncio.create_task(make_archive(JOB, "QUEUE", bundle, target))
        await asyncio.sleep(0)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work

    asyncio.run(run())
    assert sorted(path.name for path in Path(bundle.private).iterdir()) == [
        "job.json",
        "journal.jsonl",
        "reserve",
    ]


def test_an_archive_has_a_largest_size(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest of the payload's own logs stay out, with a note; what explains a failure never does."""
    monkeypatch.setattr(logs, "ARCHIVE_LIMIT_BYTES", 40_000)
    for number, size in enumerate((5_000, 30_000, 20_000, 100)):
        Path(bundle.directory, f"log.step{number}").write_text("x" * size)
    Path(bundle.stdout).write_text("y" * 18_000)
    found = archive(bundle)
    assert {"log.step0", "log.step3", "payload.stdout", "picard/journal.jsonl", "pilotlog.txt"} <= set(found)
    assert not {"log.step1", "log.step2"} & set(found)
    notes = found["archive_notes.txt"].decode()
    assert "log.step1 is left out: the archive would be larger than 40000 bytes" in notes
    assert len(found["payload.stdout"]) == 18_000


def test_a_full_disk_gets_a_small_archive(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beginning and end of each file, where the whole does not fit; a note says why."""
    random = os.urandom(150_000).hex()
    Path(bundle.stdout).write_text("the beginning\n" + random + "\nthe end\n")
    write = logs._Maker._write
    tried: list[bool] = []

    def full_at_first(maker: logs._Maker, temporary: Path, mode: str) -> None:
        tried.append(maker._small)
        write(maker, temporary, mode)
        if not maker._small:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(logs._Maker, "_write", full_at_first)
    found = archive(bundle)
    assert tried == [False, True]
    assert found["payload.stdout"].startswith(b"the beginning\n")
    assert found["payload.stdout"].endswith(b"the end\n")
    assert len(found["payload.stdout"]) < 70_000
    assert b"the disk is full" in found["archive_notes.txt"]
    assert found["picard/journal.jsonl"]
