"""Getting at what is left of a job: its directory, or the log archive that was made of it. Nothing in it is trusted.

What is done with the files is up to who asked: `tools.replay`, `tools.diagnose`.
"""

import errno
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from picard_pilot.model.trouble import Trouble

MEMBERS = 5000
"""Files of an archive that are looked at; the pilot's own have some dozen."""
TOTAL_BYTES = 4_000_000_000
"""Of all files of an archive: four times what our pilot puts into one. The rest of a larger one is passed over."""
HEADER_BYTES = 1 << 16
"""Of a header's further part, which is read whole: a path has 4096 bytes at most."""
_CHUNK_BYTES = 1 << 20
_ODD_NAMES = (errno.ENAMETOOLONG, errno.EEXIST, errno.ENOTDIR, errno.EISDIR)


class NoRemains(Trouble):
    """There is nothing of a job at the named place."""


class _Header(tarfile.TarInfo):
    """A member of an archive whose header does not fill the memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_Header":
        """As it is elsewhere. Raises ReadError for a header whose further part is too long."""
        found = super().frombuf(buf, encoding, errors)
        if found.type in _LONG_HEADERS and found.size > HEADER_BYTES:
            raise tarfile.ReadError("a header is longer than any name")
        return found


_LONG_HEADERS = (
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
)


@contextmanager
def remains(path: Path, notes: list[str] | None = None) -> Iterator[Path]:
    """A directory with what is left of a job: `path` itself, or what a log archive there holds, for as long as needed.

    Of an archive that cannot be read to its end it is what comes before; `notes` gets a sentence about that.
    Raises NoRemains where there is neither.
    """
    if _is_directory(path):
        yield path.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="ppilot-") as made:
        folder = Path(made)
        try:
            _unpack(path, folder)
        except FileNotFoundError:
            raise _nothing(path, "there is no such file") from None
        except (OSError, tarfile.TarError, EOFError, zlib.error, ValueError, RecursionError) as error:
            if not any(folder.iterdir()):
                raise _nothing(
                    path, f"it is no directory, and no archive that can be read: {error}"
                ) from None
            if notes is not None:
                notes.append(f"the archive can be read in part only ({error}): what comes after is missing")
        inside = list(folder.iterdir())
        if not inside:
            raise _nothing(path, "the archive holds no file")
        yield inside[0] if len(inside) == 1 and inside[0].is_dir() else folder


def _is_directory(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name that is too long, or a place that is not ours to see
        return False


def _nothing(path: Path, why: str) -> NoRemains:
    return NoRemains(
        f"Nothing of a job is at {path}", why, "Name a job's directory, or its log archive (log.*.tgz)"
    )


def _unpack(path: Path, folder: Path) -> None:
    """Regular files with harmless names only, up to the limits. Raises OSError, ValueError and what tarfile raises."""
    left = TOTAL_BYTES
    if not path.is_file():  # a pipe or a device would be read for ever
        path.stat()
        raise ValueError("it is no plain file")
    with tarfile.open(path, "r|*", tarinfo=_Header) as archive:
        for number, member in enumerate(archive):
            if number >= MEMBERS:
                raise ValueError(f"it has more than {MEMBERS} files")
            left -= _take(archive, member, folder, left)
            if left <= 0:  # before the rest of this one would be read to find the next
                raise ValueError(f"it has more than {TOTAL_BYTES} bytes")


def _take(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, most: int) -> int:
    """Write a harmless file, up to so many bytes; how many were read or have to be passed over. Raises OSError."""
    name = PurePosixPath(member.name)
    if not member.isreg() or name.is_absolute() or ".." in name.parts or not name.parts:
        return member.size
    source = archive.extractfile(member)
    target = folder.joinpath(*name.parts)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        file = target.open("xb")
    except OSError as error:
        if error.errno not in _ODD_NAMES:
            raise
        return member.size  # the name is too long, or another member's
    taken = 0
    with file:
        while source is not None and taken < most and (chunk := source.read(min(_CHUNK_BYTES, most - taken))):
            taken += file.write(chunk)
    return taken
