"""Making a directory in which one job's payload can be run again, from what is left of the job.

Running it and comparing the ends is `tools.replay_run`; what was written down at the launch is `model.recipe`.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec

from picard_pilot.data.log_text import Excerpt
from picard_pilot.journal import file as journal_file
from picard_pilot.lifecycle.case import Case
from picard_pilot.lifecycle.fold import fold
from picard_pilot.lifecycle.table import NoSuchTransition
from picard_pilot.model.recipe import RECIPE_NAME, Recipe, RecipeInput
from picard_pilot.model.trouble import Trouble
from picard_pilot.payload import jobdir
from picard_pilot.system.files import read_regular
from picard_pilot.system.redact import Redactor
from picard_pilot.tools import replay_texts
from picard_pilot.tools.sums import Wrong, check

INPUTS = "inputs"
ORIGINAL = "original"
EXPECTED = "expected.json"
JOB = "job.json"

KEPT = ("payload.stdout", "payload.stderr", "pilotlog.txt", "transferlog.txt", "jobReport.json")
"""What is copied beside the recipe, to be looked at."""
_CHUNK_BYTES = 1 << 20
_NAME_BYTES = 255
"""Of a file's name at most, on any file system."""
_TAKEN = frozenset({jobdir.PRIVATE, jobdir.TEMPORARY, "payload.stdout", "payload.stderr"})
"""What is made in the directory of a run; no input has such a name."""


class NoReplay(Trouble):
    """The payload cannot be run again from what is there."""


class Expected(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the payload ended, and what the pilot made of it."""

    exit_code: int | None = None
    signal: int | None = None
    stopped_by: str | None = None
    """Who ended it, if not itself: a replay stops nobody."""
    error: str | None = None
    code: int | None = None
    says: str | None = None
    rule: str | None = None
    fingerprint: str | None = None
    finished: bool = False
    """The payload did what it should."""


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A directory that was made: where, of which job, and which inputs are not in it."""

    directory: str
    job_id: int
    attempt_nr: int
    expected: Expected
    missing: tuple[RecipeInput, ...]


def make(folder: Path, target: Path, more_inputs: tuple[Path, ...] = ()) -> Made:
    """Write a replay directory at `target`, which must not exist, from what `folder` has of the job.

    Inputs come from `folder`, from the directories in `more_inputs`, or from addresses on this host. Each is compared
    with its size and checksum. Raises NoReplay.
    """
    recipe, case = recipe_of(folder), _case(folder)
    try:
        target.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        raise NoReplay(
            f"{target} exists", "nothing is overwritten", "Name another directory with --dir"
        ) from None
    except OSError as error:
        raise NoReplay(f"{target} cannot be made", str(error.strerror), "Name another directory") from None
    try:
        missing = _fill(target, folder, more_inputs, recipe, case)
    except (OSError, KeyboardInterrupt) as error:
        shutil.rmtree(target, ignore_errors=True)
        if not isinstance(error, OSError):
            raise
        raise NoReplay(
            f"{target} cannot be written", str(error.strerror), "Name another directory, or make room"
        ) from None
    return Made(
        directory=str(target),
        job_id=recipe.job_id,
        attempt_nr=recipe.attempt_nr,
        expected=expected_of(case),
        missing=missing,
    )


def _fill(
    target: Path, folder: Path, more_inputs: tuple[Path, ...], recipe: Recipe, case: Case
) -> tuple[RecipeInput, ...]:
    """Write all of a replay directory; the inputs that are not in it. Raises OSError."""
    expected = expected_of(case)
    (target / INPUTS).mkdir()
    missing = tuple(one for one in recipe.inputs if not _bring(one, target / INPUTS, (folder, *more_inputs)))
    _keep(folder, target / ORIGINAL)
    for name, value in ((RECIPE_NAME, recipe), (EXPECTED, expected), (JOB, case.job)):
        told = Redactor().data(msgspec.json.decode(msgspec.json.encode(value)))
        _write(target / name, msgspec.json.format(msgspec.json.encode(told), indent=2))
    _write(target / "inputs.txt", replay_texts.inputs(recipe, missing).encode())
    _write(target / "environment.txt", replay_texts.environment(recipe).encode())
    _write(target / "settings.txt", replay_texts.settings(recipe).encode())
    _write(target / "README.txt", replay_texts.readme(recipe, expected, missing, case).encode())
    _write(target / "run.sh", replay_texts.script(recipe, expected).encode())
    (target / "run.sh").chmod(0o755)
    return missing


def recipe_of(folder: Path) -> Recipe:
    """The recipe in a job's directory, or in a replay directory. Raises NoReplay."""
    places = (folder / RECIPE_NAME, folder / jobdir.PRIVATE / RECIPE_NAME)
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise NoReplay(
            "There is no recipe of the payload",
            f"{places[1]} is not there: the payload was never started, or another pilot ran the job",
            "`ppilot diagnose` tells what is known of it",
        )
    try:
        recipe = msgspec.json.decode(read_regular(found), type=Recipe)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NoReplay(
            f"{found} cannot be read", str(error), "Take another copy of the log archive"
        ) from None
    if (wrong := next(_wrong(recipe), None)) is not None:
        raise NoReplay(
            f"{found} is no recipe that a pilot wrote", wrong, "Take another copy of the log archive"
        )
    return recipe


def _wrong(recipe: Recipe) -> Iterator[str]:
    """Why nothing is made of this recipe: its names and words become files and processes here."""
    for one in recipe.inputs:
        plain = one.lfn not in ("", ".", "..") and "/" not in one.lfn and "\0" not in one.lfn
        if not plain or len(one.lfn.encode()) > _NAME_BYTES or one.lfn in _TAKEN:
            yield f"{one.lfn!r} is no name of an input"
    if not recipe.argv or not recipe.argv[0] or any("\0" in word for word in recipe.argv):
        yield "its command is none"
    for name, value in recipe.environment.items():
        if not name or "=" in name or "\0" in name + value:
            yield f"{name!r} is no variable"


def _case(folder: Path) -> Case:
    path = folder / jobdir.PRIVATE / journal_file.NAME
    try:
        case = fold((record.event, record.at) for record in journal_file.read_copy(path))
    except (OSError, NoSuchTransition) as error:
        raise NoReplay("The job's journal cannot be read", f"{path}: {error}", "Take another copy") from None
    if case is None:
        raise NoReplay("The job's journal is empty", str(path), "Take another copy")
    return case


def expected_of(case: Case) -> Expected:
    """How the payload ended, by the journal."""
    ended = case.exit
    cause = case.faults[0] if case.faults else None
    return Expected(
        exit_code=None if ended is None else ended.exit_code,
        signal=None if ended is None else ended.signal,
        stopped_by=None if ended is None else ended.stopped_by,
        error=None if cause is None else cause.name,
        code=None if cause is None else cause.code,
        says=None if cause is None else cause.says,
        rule=None if cause is None else cause.rule,
        fingerprint=None if cause is None else cause.fingerprint,
        finished=ended is not None and ended.exit_code == 0 and cause is None,
    )


def _bring(one: RecipeInput, folder: Path, places: tuple[Path, ...]) -> bool:
    """Whether the input is in `folder` now, or was read directly and needs not be."""
    target = folder / one.lfn
    candidates = [place / one.lfn for place in places]
    if one.surl is not None and one.surl.startswith("file://"):
        candidates.append(Path("/" + one.surl.removeprefix("file://").lstrip("/")))
    for candidate in candidates:
        try:
            if not candidate.is_file():
                continue
            check(candidate, one.size_bytes, None)
            shutil.copyfile(candidate, target)
            check(target, one.size_bytes, one.checksum)
        except (OSError, Wrong):
            target.unlink(missing_ok=True)
            continue
        return True
    return False


def _keep(folder: Path, target: Path) -> None:
    """The original logs without secrets, to compare with; what cannot be read is left out. Raises OSError."""
    target.mkdir()
    redactor = Redactor()
    for name in KEPT:
        try:
            excerpt = Excerpt(folder / name, redactor, lambda: None)
        except OSError:
            continue
        left = excerpt.size_bytes
        with (target / name).open("xb") as copy:
            while left > 0:
                left -= copy.write(excerpt.read(min(_CHUNK_BYTES, left)))
        excerpt.close()


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data if data.endswith(b"\n") else data + b"\n")
