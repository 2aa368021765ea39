"""Getting at what is left of a job: its directory, or the log archive that was made of it. Nothing in it is trusted.

What is done with the files is up to who asked: `tools.replay`, `tools.diagnose`.
"""

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
_CHUNK_BYTES = 1 << 20


class NoRemains(Trouble):
    """There is nothing of a job at the named place."""


@contextmanager
def remains(path: Path) -> Iterator[Path]:
    """A directory with what is left of a job: `path` itself, or what a log archive there holds, for as long as needed.

    Raises NoRemains where there is neither.
    """
    if path.is_dir():
        yield path.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="ppilot-") as made:
        folder = Path(made)
        try:
            _unpack(path, folder)
        except FileNotFoundError:
            raise _nothing(path, "there is no such file") from None
        except (OSError, tarfile.TarError, EOFError, zlib.error, ValueError) as error:
            raise _nothing(path, f"it is no directory, and no archive that can be read: {error}") from None
        inside = list(folder.iterdir())
        if not inside:
            raise _nothing(path, "the archive holds no file")
        yield inside[0] if len(inside) == 1 and inside[0].is_dir() else folder


def _nothing(path: Path, why: str) -> NoRemains:
    return NoRemains(
        f"Nothing of a job is at {path}", why, "Name a job's directory, or its log archive (log.*.tgz)"
    )


def _unpack(path: Path, folder: Path) -> None:
    """Regular files with harmless names only, up to the limits. Raises OSError and what tarfile raises."""
    left = TOTAL_BYTES
    if not path.is_file():  # a pipe or a device would be read for ever
        path.stat()
        raise ValueError("it is no plain file")
    with tarfile.open(path, "r|*") as archive:
        for number, member in enumerate(archive):
            if number >= MEMBERS or left <= 0:
                return
            name = PurePosixPath(member.name)
            if not member.isreg() or name.is_absolute() or ".." in name.parts or not name.parts:
                continue
            target = folder.joinpath(*name.parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            source = archive.extractfile(member)
            if source is None or target.exists():
                continue
            with target.open("xb") as file:
                while left > 0 and (chunk := source.read(min(_CHUNK_BYTES, left))):
                    file.write(chunk)
                    left -= len(chunk)
