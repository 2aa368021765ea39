"""Running a payload again in a replay directory, and saying whether it ended as it did on the grid.

Making such a directory is `tools.replay`.
"""

import asyncio
import time
from pathlib import Path
from typing import TypeVar

import msgspec

from picard_pilot.experiments.report_files import read_reports
from picard_pilot.model.bundle import Bundle
from picard_pilot.model.command import CommandResult, EndedBy, PayloadExit
from picard_pilot.model.ending import SIGNAL_BASE
from picard_pilot.model.fault import Fault
from picard_pilot.model.job import Job
from picard_pilot.model.recipe import JOB_DIRECTORY, Recipe
from picard_pilot.payload import jobdir
from picard_pilot.pilot.diagnosing import Left, explain
from picard_pilot.plugins.loader import PluginError, load
from picard_pilot.system.files import read_regular
from picard_pilot.system.redact import Redactor
from picard_pilot.system.run import run
from picard_pilot.tools.replay import EXPECTED, INPUTS, JOB, Expected, NoReplay, recipe_of
from picard_pilot.tools.sums import Wrong, check

T = TypeVar("T")


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was compared."""

    what: str
    job: str
    here: str
    same: bool


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """How the payload ended here, beside how it ended in the job."""

    directory: str
    """Where it ran."""
    compared: tuple[Compared, ...]
    faults: tuple[Fault, ...]
    """What is made of it here, the cause first."""

    @property
    def same(self) -> bool:
        """Whether it ended the same way in all that was compared."""
        return all(one.same for one in self.compared)


async def replay(folder: Path, *, time_limit_s: float | None = None) -> Replayed:
    """Run the payload of the replay directory `folder` in a new directory inside it, and compare. Raises NoReplay.

    Every process that it leaves behind is killed at its end, and all of them when this process dies.
    """
    recipe = recipe_of(folder)
    expected = _read(folder / EXPECTED, Expected)
    try:
        bundle = _prepare(recipe, folder)
    except OSError as error:
        raise NoReplay(
            f"It cannot be run in {folder}", str(error), "Copy the directory to a place with room"
        ) from None
    environment = {name: _placed(value, bundle) for name, value in recipe.environment.items()}
    began = time.time()
    result = await run(
        [_placed(word, bundle) for word in recipe.argv],
        cwd=Path(bundle.directory),
        env=environment,
        stdout=Path(bundle.stdout),
        stderr=Path(bundle.stderr),
        time_limit_s=time_limit_s,
        output_limit_bytes=recipe.output_limit_bytes,
    )
    ended = _record(result, began)
    faults = _explained(folder, recipe, ended, bundle)
    return Replayed(
        directory=bundle.directory, compared=tuple(_compare(expected, ended, faults)), faults=faults
    )


def _explained(folder: Path, recipe: Recipe, ended: PayloadExit, bundle: Bundle) -> tuple[Fault, ...]:
    """What the rules of the core and of the experiment, where that is installed here, say of this end."""
    try:
        experiment = load("experiment", recipe.experiment)()
    except PluginError:
        return explain(Left(ended, bundle, read_reports(bundle)), (), Redactor())
    outcome = experiment.outcome(_job(folder), bundle, ended)
    return explain(Left(ended, bundle, outcome), experiment.rules(), Redactor())


def _job(folder: Path) -> Job:
    return _read(folder / JOB, Job)


def _read(path: Path, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(read_regular(path), type=kind)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NoReplay(
            f"{path.parent} is no replay directory",
            f"{path.name}: {error}",
            "Make one with `ppilot job replay ID`",
        ) from None


def _prepare(recipe: Recipe, folder: Path) -> Bundle:
    """A new directory with the inputs in it. Raises NoReplay where one is missing or is another file."""
    number = 1
    while (directory := folder / f"run-{number}").exists():
        number += 1
    directory.mkdir()
    for one in recipe.inputs:
        place = folder / INPUTS / one.lfn
        if one.turl is not None and not place.exists():
            continue  # the payload reads it where it is
        try:
            check(place, one.size_bytes, one.checksum)
            (directory / one.lfn).symlink_to(place.resolve())
        except (OSError, Wrong) as error:
            raise NoReplay(
                f"The input {one.lfn} is not there",
                f"{place}: {error}",
                f"Bring it from {one.surl or 'its storage'}; inputs.txt has its checksum",
            ) from None
    bundle = jobdir.bundle_of(directory)
    Path(bundle.private).mkdir()
    jobdir.temporary(bundle)
    return bundle


def _placed(text: str, bundle: Bundle) -> str:
    return text.replace(JOB_DIRECTORY, bundle.directory)


def _record(result: CommandResult, began: float) -> PayloadExit:
    """The end in the form in which the pilot knows it."""
    return PayloadExit(
        started_at=began,
        ended_at=began + result.wall_s,
        wall_s=result.wall_s,
        exit_code=result.exit_code,
        signal=result.signal,
        stopped_by=None if result.ended_by is EndedBy.ITSELF else result.ended_by.value,
        start_error=result.start_error,
    )


def _compare(expected: Expected, ended: PayloadExit, faults: tuple[Fault, ...]) -> list[Compared]:
    cause = faults[0] if faults else None
    pairs = [
        ("end", _end(expected.exit_code, expected.signal), _end(ended.exit_code, ended.signal)),
        ("verdict", expected.error or "none", cause.name if cause else "none"),
        ("found by", expected.rule or "nothing", cause.rule if cause else "nothing"),
    ]
    if expected.fingerprint is not None:
        pairs.append(("fingerprint", expected.fingerprint, (cause.fingerprint if cause else None) or "none"))
    return [Compared(what=what, job=job, here=here, same=job == here) for what, job, here in pairs]


def _end(exit_code: int | None, signal: int | None) -> str:
    """As a shell shows it: what was confined may have seen a signal as 128 and its number."""
    if signal is not None:
        return f"exit status {SIGNAL_BASE + signal}"
    return "not known" if exit_code is None else f"exit status {exit_code}"


def replay_now(folder: Path, *, time_limit_s: float | None = None) -> Replayed:
    """The same, for callers without a loop."""
    return asyncio.run(replay(folder, time_limit_s=time_limit_s))
