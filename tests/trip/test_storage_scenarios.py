"""Whole jobs on storages that fail: bad replicas, a site that lost its copy, refusals, hangs, tokens that end.

The storages here are http doors that fail as told; those of a real federation are in `test_federation_scenarios`.
"""

import os
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from storage_kit import HASTY, inputs, log_of, outputs, prefix, queue_of, stored

from disk_kit import small_disk
from grid import Grid, wait_for
from picard_pilot.testing.certificates import Authority
from picard_pilot.testing.faulty_storage import FaultyStorage

CONTENT = bytes(range(256)) * 4000
"""About a megabyte."""

WRITE_OUT = "import os; open('out.dat', 'wb').write(b'result of a night')"
CHECK_IN = f"import zlib; assert zlib.adler32(open('in.dat', 'rb').read()) == {zlib.adler32(CONTENT)}"


@pytest.fixture
def storages(tmp_path: Path) -> Iterator[tuple[FaultyStorage, FaultyStorage, FaultyStorage]]:
    """Three storages, all in working order."""
    with ExitStack() as stack:
        a, b, c = (
            stack.enter_context(FaultyStorage(tmp_path / name, name=name.upper())) for name in ("a", "b", "c")
        )
        yield a, b, c


def authority_in(folder: Path) -> Authority:
    """A certificate authority of this test's own."""
    folder.mkdir()
    return Authority(folder)


def test_first_replica_corrupt_second_missing_third_good(
    grid: Grid, storages: tuple[FaultyStorage, FaultyStorage, FaultyStorage]
) -> None:
    """The job has its input from the third place, and the log says why not from the others."""
    a, b, c = storages
    a.put("in.dat", CONTENT[:-1] + b"x")
    c.put("in.dat", CONTENT)
    queue_of(
        grid,
        {"A": prefix(a), "B": prefix(b), "C": prefix(c)},
        activities={"pr": ["A"], "read_alternative": ["B", "C"], "pw": ["DISK"]},
    )
    job = grid.submit_python(CHECK_IN, **inputs({"in.dat": CONTENT}))
    assert grid.pilot(*HASTY, "--no-cleanup").wait(60) == 0, grid.output()
    assert grid.wait_status(job, "finished", "failed") == "finished", grid.errors(job)
    staged = next(
        record["event"] for record in grid.journal(job) if record["event"]["event"] == "InputStaged"
    )
    assert staged["endpoint"] == "C"
    said = log_of(grid.workdir)
    assert "checksum" in said and "missing" in said
    assert a.count("GET", "in.dat") == 2  # once more from the same place: the way may have changed the bytes
    assert b.count("GET", "in.dat") == 1


def test_the_primary_refuses_and_the_alternative_takes_the_output(
    grid: Grid, storages: tuple[FaultyStorage, FaultyStorage, FaultyStorage]
) -> None:
    """The output goes to the other storage, and the report says where it really is."""
    a, b, _ = storages
    a.fault("PUT", status=403)
    queue_of(
        grid,
        {"PRIMARY": prefix(a), "T1": prefix(b)},
        activities={"pr": ["DISK"], "pw": ["PRIMARY"], "write_alternative": ["T1"]},
        queue_lines='alt_stage_out = "on"',
    )
    job = grid.submit_python(WRITE_OUT, **outputs("out.dat"))
    assert grid.pilot(*HASTY).wait(60) == 0, grid.output()
    assert grid.wait_status(job, "finished", "failed") == "finished", grid.errors(job)
    assert b.read("out.dat") == b"result of a night"
    assert a.read("out.dat") is None
    assert stored(grid, job)["out.dat"]["endpoint"] == "T1"


def test_everything_down_the_job_holds_and_a_later_pilot_ends_it(
    grid: Grid, storages: tuple[FaultyStorage, FaultyStorage, FaultyStorage]
) -> None:
    """No storage answers: the outputs stay on disk, the server knows, and the payload never runs again."""
    a, b, _ = storages
    a.down()
    b.down()
    queue_of(
        grid,
        {"PRIMARY": prefix(a), "T1": prefix(b)},
        activities={"pr": ["DISK"], "pw": ["PRIMARY"], "write_alternative": ["T1"]},
        queue_lines='alt_stage_out = "on"',
    )
    runs = grid.directory / "runs"
    job = grid.submit_python(f"open({str(runs)!r}, 'a').write('x'); {WRITE_OUT}", **outputs("out.dat"))
    first = grid.pilot(*HASTY)
    grid.wait_status(job, "holding")
    first.wait(60)
    kept = grid.job_dir(job) / "out.dat"
    assert kept.read_bytes() == b"result of a night"
    a.up()
    b.up()
    assert grid.pilot(*HASTY).wait(60) == 0, grid.output()
    assert grid.wait_status(job, "finished", "failed") == "finished", grid.errors(job)
    assert a.read("out.dat") == b"result of a night"
    assert b.read("out.dat") is None
    assert runs.read_text() == "x"


def test_a_storage_that_hangs_for_ever_costs_one_time_limit(
    grid: Grid, storages: tuple[FaultyStorage, FaultyStorage, FaultyStorage]
) -> None:
    """The transfer is ended from outside, and the other place gives the file."""
    a, b, _ = storages
    a.put("in.dat", CONTENT)
    b.put("in.dat", CONTENT)
    a.fault("GET", hang_at=100_000)
    queue_of(
        grid,
        {"A": prefix(a), "B": prefix(b)},
        activities={"pr": ["A"], "read_alternative": ["B"], "pw": ["DISK"]},
    )
    job = grid.submit_python(CHECK_IN, **inputs({"in.dat": CONTENT}))
    impatient = str(Path(__file__).with_name("impatient_pilot.py"))
    assert grid.pilot(*HASTY, "--no-cleanup", program=(impatient,)).wait(90) == 0, grid.output()
    assert grid.wait_status(job, "finished", "failed") == "finished", grid.errors(job)
    assert "timeout" in log_of(grid.workdir)
    assert a.count("GET", "in.dat") == 1


def test_a_disk_that_fills_during_stage_in(
    grid: Grid, storages: tuple[FaultyStorage, FaultyStorage, FaultyStorage]
) -> None:
    """It is the node's trouble and told as such; nothing half is left under the input's name."""
    a, _, _ = storages
    big = os.urandom(12 << 20)
    a.put("in.dat", big)
    queue_of(grid, {"A": prefix(a)}, activities={"pr": ["A"], "pw": ["DISK"]})
    with small_disk(grid.directory / "small", "9m") as disk:
        said = inputs({"in.dat": big})
        said["fsize"] = "0"  # nobody said how large it is, so only the disk can tell
        job = grid.submit("/bin/true", **said)
        grid.pilot(*HASTY, "--no-cleanup", workdir=disk.place).wait(60)
        assert grid.wait_status(job, "finished", "failed") == "failed"
        code, diag = grid.errors(job)["pilot"]
        assert (code, "in.dat" in diag) == (1098, True), diag
        assert not list(disk.place.rglob("in.dat"))


def test_a_token_that_ends_between_two_files_is_renewed(grid: Grid, tmp_path: Path) -> None:
    """A new token in the same file counts at once; neither token shows anywhere."""
    authority = authority_in(tmp_path / "ca")
    token_file = tmp_path / "token"
    tokens: list[str] = []

    def rotate(_: float) -> None:
        storage.rules.tokens[tokens[-1]] = 0.0
        tokens.append(storage.token())
        token_file.write_text(tokens[-1])

    with FaultyStorage(
        tmp_path / "s", tls=authority.server_context("localhost"), host="localhost", pause=rotate
    ) as storage:
        tokens.append(storage.token())
        token_file.write_text(tokens[-1])
        token_file.chmod(0o600)
        storage.put("in.dat", CONTENT)
        storage.put("more.dat", CONTENT)
        storage.fault("GET", "more.dat", delay_s=1.0, last=1)
        queue_of(grid, {"A": prefix(storage)}, activities={"pr": ["A"], "pw": ["DISK"]})
        bundle = tmp_path / "both.pem"
        bundle.write_bytes(authority.ca_file.read_bytes() + Path(str(grid.info.ca_file)).read_bytes())
        job = grid.submit_python(CHECK_IN, **inputs({"in.dat": CONTENT, "more.dat": CONTENT}))
        pilot = grid.pilot(
            *HASTY, "--no-cleanup", "--storage-token-file", str(token_file), "--ca", str(bundle)
        )
        assert pilot.wait(60) == 0, grid.output()
        assert grid.wait_status(job, "finished", "failed") == "finished", grid.errors(job)
        assert storage.count("GET", "more.dat") == 2
    written = [path for path in grid.workdir.rglob("*") if path.is_file()]
    for token in tokens:
        assert not [path for path in written if token.encode() in path.read_bytes()]
        assert token not in grid.output()


def test_a_token_that_ended_is_named(grid: Grid, tmp_path: Path) -> None:
    """Nothing renews it: the job fails with the credential's name and its end, not with a permission."""
    authority = authority_in(tmp_path / "ca")
    token_file = tmp_path / "token"
    with FaultyStorage(
        tmp_path / "s", tls=authority.server_context("localhost"), host="localhost"
    ) as storage:
        token_file.write_text(storage.token(life_s=-60))
        token_file.chmod(0o600)
        storage.put("in.dat", CONTENT)
        queue_of(grid, {"A": prefix(storage)}, activities={"pr": ["A"], "pw": ["DISK"]})
        bundle = tmp_path / "both.pem"
        bundle.write_bytes(authority.ca_file.read_bytes() + Path(str(grid.info.ca_file)).read_bytes())
        job = grid.submit("/bin/true", **inputs({"in.dat": CONTENT}))
        grid.pilot(*HASTY, "--storage-token-file", str(token_file), "--ca", str(bundle)).wait(60)
        assert grid.wait_status(job, "finished", "failed") == "failed"
        _, diag = grid.errors(job)["pilot"]
        assert "token" in diag and "expired" in diag, diag


def test_a_storage_that_is_away_for_a_moment(
    grid: Grid, storages: tuple[FaultyStorage, FaultyStorage, FaultyStorage]
) -> None:
    """The only source comes back after two refusals: the job never notices."""
    a, _, _ = storages
    a.put("in.dat", CONTENT)
    a.fault("GET", "in.dat", status=503, last=2)
    queue_of(grid, {"A": prefix(a)}, activities={"pr": ["A"], "pw": ["DISK"]})
    job = grid.submit_python(CHECK_IN, **inputs({"in.dat": CONTENT}))
    assert grid.pilot(*HASTY).wait(60) == 0, grid.output()
    assert grid.wait_status(job, "finished", "failed") == "finished", grid.errors(job)
    wait_for(lambda: a.count("GET", "in.dat") == 3, "three requests")
