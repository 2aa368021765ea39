"""Kill -9 before and after every journal record, one and two rescuers, and a server that has its own view of the job.

On a virtual clock, with real directories, journals, leases and reports; with real processes and a real server it is
tests/crash. No output is lost silently, none is stored twice, the payload never runs twice, the end is right.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import sweep_kit as kit
from sweep_kit import LOG, OUTPUTS, Scenario, World
from sweep_pilot import Fate

from picard_pilot.model.report import JobStatus
from picard_pilot.model.states import State

HOUR_S = 3600.0

PLAIN = Scenario("plain")

ELSEWHERE = Scenario("elsewhere", alternative=True, register=True, late=("out1", LOG))
"""Storage A takes an output and the log and loses the answer: both go to B, and a catalogue hears of the outputs."""

HELD = Scenario(
    "held",
    mood=lambda endpoint, lfn, now: "down" if now < 2400 else "up",
    wall_s=20 * HOUR_S,
)
"""No storage for the first 40 minutes: the outputs wait, and the pilot takes a long break."""

BEFORE_OUTPUTS = (
    *("JobReceived", "Admitted", "Prepared", "InputStaged", "InputStaged", "InputStaged", "InputsReady"),
    *("PayloadStarted", "PayloadExited", "Diagnosed"),
)

RECORDS = {
    "plain": (
        *(*BEFORE_OUTPUTS, "OutputStored", "OutputStored", "OutputsStored", "LogStored", "ReportAccepted"),
    ),
    "elsewhere": (
        *(*BEFORE_OUTPUTS, "OutputDiverted", "OutputRegistering", "OutputRegistering", "OutputStored"),
        *("OutputStored", "OutputPlaceCleared", "OutputsStored", "OutputDiverted", "OutputRegistering"),
        *("OutputStored", "OutputPlaceCleared", "LogStored", "ReportAccepted"),
    ),
    "held": (
        *(*BEFORE_OUTPUTS, "OutputsHeld", "LogFailed", "BreakOver", "OutputsHeld", "LogFailed", "BreakOver"),
        *("OutputStored", "OutputStored", "OutputsStored", "LogStored", "ReportAccepted"),
    ),
}
"""What each of them writes into its journal where nobody dies."""

SCENARIOS = (PLAIN, ELSEWHERE, HELD)


@pytest.fixture(autouse=True)
def mortal(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Pilots can be killed at their records."""
    kit.install(monkeypatch)
    yield
    kit.uninstall()


class Found(NamedTuple):
    """What a killed pilot left."""

    state: State | None
    """None where its journal holds nothing."""
    files: dict[str, bytes]
    commits: int
    runs: int
    reports: int
    told: int


def found(world: World) -> Found:
    """As it is now."""
    case, panda = world.case(), world.panda
    return Found(
        state=None if case is None else case.state,
        files=dict(world.storages.files),
        commits=len(world.storages.commits),
        runs=world.payload.runs,
        reports=len(panda.reports),
        told=len(panda.told),
    )


# What must be true in the end


def finished(world: World) -> Iterator[str]:
    """What is wrong with a job that should have been rescued."""
    panda, storages = world.panda, world.storages
    if panda.status != "finished" or len(panda.reports) != 1:
        yield f"{panda.status} with {len(panda.reports)} reports"
        return
    (report,) = panda.reports
    if report.status is not JobStatus.FINISHED or report.pilot_error_code:
        yield f"reported {report.status} {report.pilot_error_code}"
    if sorted(file.lfn for file in report.outputs) != sorted((*OUTPUTS, LOG)):
        yield f"reported {[file.lfn for file in report.outputs]}"
    for file in report.outputs:
        content = storages.files.get(file.surl)
        if content is None or len(content) != file.size_bytes:
            yield f"{file.surl} is not there as reported"
        elif content != OUTPUTS.get(file.lfn, content):
            yield f"{file.surl} holds something else"
        if world.scenario.register and storages.registered.get(file.lfn) != [file.surl]:
            yield f"{file.lfn} is registered at {storages.registered.get(file.lfn)}"
    if world.payload.runs != 1:
        yield f"the payload ran {world.payload.runs} times"
    yield from stored_once(world)
    yield from nothing_left(world)


def stored_once(world: World) -> Iterator[str]:
    """No second copy stands anywhere, and nothing was written twice to one place."""
    commits = world.storages.commits
    if len(set(commits)) < len(commits):
        yield f"stored twice: {commits}"
    for lfn in (*OUTPUTS, LOG):
        copies = [surl for surl in world.storages.files if surl.endswith(f"/{lfn}")]
        if len(copies) > 1:
            yield f"copies at {copies}"


def nothing_left(world: World) -> Iterator[str]:
    """The directory is gone, and nothing computes."""
    if world.job_dir.exists():
        yield "its directory is left"
    if world.payload.lives:
        yield "its payload lives"


def disowned(world: World, before: Found) -> Iterator[str]:
    """What is wrong with a job that was not ours any more when it was found."""
    storages, panda = world.storages, world.panda
    if storages.files != before.files or len(storages.commits) != before.commits:
        yield f"stored for nobody: {storages.commits[before.commits :]}"
    if world.payload.runs != before.runs:
        yield "its payload was started"
    if len(panda.reports) != before.reports:
        yield "a report was stored"
    if len(panda.told) != before.told and before.state is not State.CLOSING:
        yield f"told {panda.told[before.told :]}"
    yield from nothing_left(world)


# The server's views


async def ours(world: World, rescuers: int) -> Iterator[str]:
    """The server waits for the job."""
    await world.live(*[None] * rescuers)
    return finished(world) if world.case_was is not None else nobody_knows(world)


def nobody_knows(world: World) -> Iterator[str]:
    """The pilot was killed before it could write down that it had the job: the server will notice."""
    if world.panda.status != "sent" or world.storages.commits:
        yield f"{world.panda.status}, stored {world.storages.commits}"
    yield from nothing_left(world)


async def failed(world: World, rescuers: int) -> Iterator[str]:
    """The server has given the job up."""
    if world.panda.reports:
        return await ours(world, rescuers)
    world.panda.status = "failed"
    before = found(world)
    await world.live(*[None] * rescuers)
    return disowned(world, before)


async def reassigned(world: World, rescuers: int) -> Iterator[str]:
    """The server is at the next attempt."""
    if world.panda.reports:
        return await ours(world, rescuers)
    world.panda.attempt_nr += 1
    before = found(world)
    await world.live(*[None] * rescuers)
    return disowned(world, before)


async def unreachable(world: World, rescuers: int) -> Iterator[str]:
    """Nobody can be asked for ten minutes; then somebody can, and another pilot comes."""
    await _outage(world, rescuers)
    return await ours(world, rescuers)


async def unreachable_and_reassigned(world: World, rescuers: int) -> Iterator[str]:
    """And when it can be asked again, it is at the next attempt."""
    if world.panda.reports:
        return await unreachable(world, rescuers)
    before = found(world)
    world.panda.attempt_nr += 1
    await _outage(world, rescuers)
    await world.live(*[None] * rescuers)
    return disowned(world, before._replace(told=len(world.panda.told)))


async def unknown(world: World, rescuers: int) -> Iterator[str]:
    """It is the wrong server; the right one is asked later."""
    if world.panda.reports:
        return await ours(world, rescuers)
    before, events = found(world), world.events()
    world.panda.known = False
    await world.live(*[None] * rescuers)
    problems = [] if found(world) == before and world.events() == events else ["it was touched"]
    if world.case_was is not None and not any("does not know the job" in line for line in world.lines):
        problems.append("no word why")
    world.panda.known = True
    return iter([*problems, *await ours(world, rescuers)])


async def _outage(world: World, rescuers: int) -> None:
    """Pilots come and go, or wait, while the server is away: nothing is begun or stored meanwhile."""
    before = found(world)
    world.panda.down = True
    await world.live_until(world.clock.monotonic() + 600, *[None] * rescuers)
    meanwhile = found(world)
    assert (meanwhile.files, meanwhile.runs) == (before.files, before.runs)
    world.panda.down = False
    await world.all_gone()


VIEWS = [
    pytest.param(view, rescuers, id=f"{view.__name__}-{rescuers}")
    for view in (ours, failed, reassigned, unreachable, unreachable_and_reassigned, unknown)
    for rescuers in (1, 2)
    if (view, rescuers) != (unknown, 2)  # the second one leaves it as the first one does
]


def matrix(verdicts: dict[tuple[int, str], str], records: tuple[str, ...]) -> str:
    """One line per record."""
    lines = []
    for number, name in enumerate(records, start=1):
        said = [f"{when}: {verdicts[number, when] or 'good'}" for when in ("before", "after")]
        lines.append(f"{number:3} {name:20} {'; '.join(said)}")
    return "\n".join(lines)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_the_records_where_nobody_dies_are_the_expected_ones(tmp_path: Path, scenario: Scenario) -> None:
    """If a record is added, the sweep goes over it by itself; this says that it did change."""
    world = World(tmp_path / "world", scenario)

    async def story(world: World) -> None:
        await world.live(None, cleanup=False)

    kit.play(world, story)
    assert tuple(world.events()) == RECORDS[scenario.name]
    shutil.rmtree(world.job_dir)
    assert [*finished(world)] == []


@pytest.mark.parametrize(("view", "rescuers"), VIEWS)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_killed_around_every_record(
    tmp_path: Path, scenario: Scenario, view: Callable[..., object], rescuers: int
) -> None:
    """A matrix of verdicts, all of them good."""
    records, verdicts = RECORDS[scenario.name], {}
    for number in range(1, len(records) + 1):
        for when in ("before", "after"):
            world = World(tmp_path / f"{when}-{number}", scenario)
            problems: list[str] = []

            async def story(world: World, fate: Fate, problems: list[str]) -> None:
                await world.live(fate)
                world.case_was = world.case()
                problems += await view(world, rescuers)  # type: ignore[misc]

            kit.play(world, lambda world: story(world, Fate(when, number), problems))  # noqa: B023
            verdicts[number, when] = ", ".join(problems)
            shutil.rmtree(world.directory)
    if any(verdicts.values()):
        pytest.fail("\n" + matrix(verdicts, records), pytrace=False)
