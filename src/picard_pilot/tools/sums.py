"""Comparing a file with the size and checksum that a catalogue gives; movers measure while they move."""

import hashlib
import zlib
from pathlib import Path

_CHUNK_BYTES = 1 << 20


class Wrong(ValueError):
    """The file is another than the one meant; the text says in what."""


def check(path: Path, size_bytes: int | None, checksum: str | None) -> None:
    """Raises Wrong where size or checksum (`ad:` or `md5:` and hexadecimal digits) differ; OSError."""
    size = path.stat().st_size
    if size_bytes is not None and size != size_bytes:
        raise Wrong(f"it has {size} bytes, not {size_bytes}")
    kind, _, wanted = (checksum or "").partition(":")
    if kind not in ("ad", "md5"):
        return
    adler, md5 = 1, hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            if kind == "ad":
                adler = zlib.adler32(chunk, adler)
            else:
                md5.update(chunk)
    found = f"{adler:08x}" if kind == "ad" else md5.hexdigest()
    if found != wanted.lower():
        raise Wrong(f"its checksum is {kind}:{found}, not {checksum}")
