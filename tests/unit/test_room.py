"""Room for inputs: what fits, what is read directly instead, and what cannot be."""

import pytest

from picard_pilot.data.room import RESERVE_BYTES, NoRoom, Room, Wanted, reserve_of

MB = 1 << 20


def wanted(*sizes: int, direct: str = "") -> list[Wanted]:
    """Inputs named a, b, c ... of these sizes; those in `direct` may be read directly."""
    return [Wanted(name, size, name in direct) for name, size in zip("abcdefgh", sizes, strict=False)]


def test_everything_fits() -> None:
    """Nothing is decided, and the room is reserved."""
    room = Room(1000 * MB, None)
    assert room.plan(wanted(10 * MB, 20 * MB, direct="ab")) == ()
    assert room.left_bytes == 1000 * MB - reserve_of(1000 * MB) - 30 * MB
    assert room.left_for("a") is None
    assert room.left_for("other") == room.left_bytes


def test_the_largest_are_read_directly_first() -> None:
    """That leaves most copies, and no more are read directly than must be."""
    room = Room(100 * MB, None)
    assert room.plan(wanted(60 * MB, 90 * MB, 30 * MB, direct="abc")) == ("b",)
    assert room.left_for("a") is None
    left = room.left_for("b")
    assert left is not None and left < 90 * MB


def test_what_must_be_copied_and_does_not_fit() -> None:
    """The largest is named, and the disk blamed."""
    with pytest.raises(NoRoom, match="the largest, a, has 100") as raised:
        Room(50, None).plan(wanted(100, 90, direct="b"))
    assert raised.value.fault == "NOLOCALSPACE"
    assert "that cannot be read directly" in raised.value.says


def test_the_queues_limit_counts_copies_of_earlier_pilots_too() -> None:
    """1168 says that the queue, not the disk, is too small."""
    with pytest.raises(NoRoom) as raised:
        Room(10**12, 100, already_bytes=60).plan(wanted(50))
    assert raised.value.fault == "SIZETOOLARGE"
    assert "maxinputsize" in raised.value.says
    assert Room(10**12, 100, already_bytes=60).plan(wanted(50, direct="a")) == ("a",)
    assert Room(10**12, 100, already_bytes=60).plan(wanted(40)) == ()


def test_unknown_room_is_no_bound() -> None:
    """Where nothing is known, nothing is refused."""
    room = Room(None, None)
    assert room.plan(wanted(10**15)) == ()
    assert room.take("a", 10**15)
    assert room.left_for("a") is None


def test_what_was_given_back_can_be_taken_again() -> None:
    """A file reserves once; one of unknown size reserves nothing."""
    room = Room(None, 100)
    assert room.take("a", 70)
    assert room.take("a", 70)
    assert room.left_bytes == 30
    assert not room.take("b", 31)
    assert room.take("c", None)
    room.give_back("a")
    room.give_back("a")
    assert room.left_bytes == 100


@pytest.mark.parametrize(("free", "reserve"), [(0, 0), (100, 5), (10**12, RESERVE_BYTES)])
def test_the_reserve_suits_the_disk(free: int, reserve: int) -> None:
    """A small disk keeps a part, a large one a fixed amount."""
    assert reserve_of(free) == reserve
