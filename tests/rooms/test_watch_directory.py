"""Measuring a work directory: its size, its changes, and what payloads do to it."""

import os
import subprocess
from pathlib import Path

from picard_pilot.model.usage import DirectorySample
from picard_pilot.watch.directory import measure


def look(top: Path, **options: object) -> DirectorySample:
    """The directory, which is there."""
    found = measure(top, 3.0, **options)  # type: ignore[arg-type]
    assert found is not None
    return found


def test_the_size_is_that_of_blocks_and_not_of_holes(tmp_path: Path) -> None:
    """A sparse file takes no room; one with two names takes it once."""
    empty = look(tmp_path)
    (tmp_path / "data").write_bytes(os.urandom(1_000_000))
    os.link(tmp_path / "data", tmp_path / "again")
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(10**12)
    found = look(tmp_path)
    assert (found.at, found.files, found.whole) == (3.0, 2, True)
    assert 1_000_000 <= found.size_bytes - empty.size_bytes < 1_200_000


def test_links_are_not_followed(tmp_path: Path) -> None:
    """Neither out of the directory nor round in it."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "data").write_bytes(bytes(5_000_000))
    top = tmp_path / "top"
    top.mkdir()
    (top / "out").symlink_to(outside)
    (top / "round").symlink_to(top)
    (top / "file").symlink_to(outside / "data")
    found = look(top)
    assert found.files == 3
    assert found.size_bytes < 1_000_000
    assert measure(top / "out", 0.0) is None


def test_the_stamp_changes_with_every_change_of_a_file(tmp_path: Path) -> None:
    """Written, made, removed, touched; not read, and not by time passing."""
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "a").write_text("one")
    stamps = [look(tmp_path).stamp]
    assert look(tmp_path).stamp == stamps[0]
    (tmp_path / "deep" / "er" / "a").write_text("three")
    stamps.append(look(tmp_path).stamp)
    (tmp_path / "b").touch()
    stamps.append(look(tmp_path).stamp)
    os.utime(tmp_path / "b", ns=(5, 5))
    stamps.append(look(tmp_path).stamp)
    (tmp_path / "b").unlink()
    (tmp_path / "deep" / "er" / "a").unlink()
    stamps.append(look(tmp_path).stamp)
    assert len(set(stamps)) == len(stamps)


def test_what_the_pilot_writes_is_no_life_of_the_payload(tmp_path: Path) -> None:
    """It takes room all the same. Only at the top: a payload may use the same names below."""
    private = tmp_path / "picard"
    private.mkdir()
    names = ("picard", "summary.json")
    before = look(tmp_path, not_progress=names)
    (private / "journal.jsonl").write_bytes(os.urandom(100_000))
    (tmp_path / "summary.json").write_text("{}")
    after = look(tmp_path, not_progress=names)
    assert after.stamp == before.stamp
    assert after.size_bytes >= before.size_bytes + 100_000
    (tmp_path / "own" / "picard").mkdir(parents=True)
    (tmp_path / "own" / "picard" / "x").touch()
    assert look(tmp_path, not_progress=names).stamp != before.stamp


def test_a_directory_with_too_much_in_it_is_measured_as_far_as_it_goes(tmp_path: Path) -> None:
    """A lower bound that says so; as many entries as allowed are still the whole."""
    for number in range(20):
        (tmp_path / f"{number}").write_bytes(b"x" * 5000)
    whole, part = look(tmp_path, most_entries=21), look(tmp_path, most_entries=10)
    assert whole.whole
    assert not part.whole
    assert part.files == 10
    assert 0 < part.size_bytes < whole.size_bytes


def test_a_very_deep_directory_is_no_trouble(tmp_path: Path) -> None:
    """Deeper than a recursion could follow, as far as a path may be long."""
    top = tmp_path
    try:
        for _ in range(1200):
            top = top / "d"
            top.mkdir()
        (top / "leaf").touch()
        found = look(tmp_path)
    finally:
        # A later run, which removes what earlier ones left, could not follow it either.
        subprocess.run(["rm", "-rf", str(tmp_path / "d")], check=True)
    assert (found.files, found.whole) == (1, True)


def test_a_directory_that_is_gone_is_unknown_and_one_out_of_reach_makes_a_lower_bound(tmp_path: Path) -> None:
    """A path longer than the kernel takes is out of reach even for root; it is reached step by step."""
    assert measure(tmp_path / "gone", 0.0) is None
    (tmp_path / "file").touch()
    assert measure(tmp_path / "file", 0.0) is None
    at = os.open(tmp_path, os.O_RDONLY)
    try:
        for _ in range(25):
            os.mkdir("d" * 200, dir_fd=at)
            below = os.open("d" * 200, os.O_RDONLY, dir_fd=at)
            os.close(at)
            at = below
    finally:
        os.close(at)
    found = look(tmp_path)
    assert (found.files, found.whole) == (1, False)
