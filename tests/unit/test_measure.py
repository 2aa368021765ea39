"""Checksums while bytes pass: the same answer from either library, and no more work than a catalogue asks for."""

import hashlib
import sys
import zlib

import pytest

from picard_pilot.model.files import Checksum, ChecksumKind
from picard_pilot.movers.measure import measure

PIECES = [bytes(range(256)) * 1000, b"", b"\xff" * 70_001, b"end"]


def of_pieces(kind: ChecksumKind) -> Checksum:
    """The checksum of all pieces, one after the other."""
    measuring = measure(kind)
    for piece in PIECES:
        measuring.update(memoryview(piece))
    return measuring.result()


@pytest.mark.parametrize("fast", [True, False], ids=["zlib-ng", "the standard library"])
def test_adler32_with_and_without_the_fast_library(monkeypatch: pytest.MonkeyPatch, fast: bool) -> None:
    """A node without zlib-ng is only slower."""
    if fast:
        pytest.importorskip("zlib_ng")
    else:
        monkeypatch.setitem(sys.modules, "zlib_ng", None)  # as if it were not installed
    expected = f"{zlib.adler32(b''.join(PIECES)):08x}"
    assert of_pieces(ChecksumKind.ADLER32) == Checksum(ChecksumKind.ADLER32, expected)
    assert measure(ChecksumKind.ADLER32).result().value == "00000001"


def test_md5() -> None:
    """The other kind that catalogues give."""
    expected = hashlib.md5(b"".join(PIECES), usedforsecurity=False).hexdigest()
    assert of_pieces(ChecksumKind.MD5) == Checksum(ChecksumKind.MD5, expected)


def test_md5_is_not_computed_where_adler32_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """It costs several times as much as the copy."""

    def computed(*_: object, **__: object) -> None:
        raise AssertionError("md5")

    monkeypatch.setattr(hashlib, "md5", computed)
    of_pieces(ChecksumKind.ADLER32)
    with pytest.raises(AssertionError, match="md5"):
        of_pieces(ChecksumKind.MD5)
