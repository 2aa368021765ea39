"""The jobs of the demonstration: what each runs, how it must end, and one sentence for people.

Data only; submitting them, watching them and comparing their ends is `tools.demo`.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from picard_pilot.model.trouble import nearest
from picard_pilot.settings.read import SettingsTrouble
from picard_pilot.tools.scenarios import pi
from picard_pilot.wire.jobspec import PLACEHOLDER

#: In a job spec, this becomes the job's number: a retry never writes where the attempt before it did.
JOB = PLACEHOLDER.decode()

#: Names in the demonstration's site.
QUEUE, ENDPOINT, SCOPE = "PICARD_DEMO", "DEMO_DISK", "demo"

#: A payload that signal n ended is told to the server as 128 + n.
KILLED = 128 + 9


class StoredInput(msgspec.Struct, frozen=True, kw_only=True):
    """An input as it lies in the demonstration's storage."""

    lfn: str
    size_bytes: int
    adler32: str


class End(msgspec.Struct, frozen=True, kw_only=True):
    """How a job has to end: the server's state, the pilot's error code and the payload's exit status.

    None for `exit_status`: the payload must not have run.
    """

    status: str
    pilot_code: int = 0
    exit_status: int | None = 0


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of job: its name, its sentence, its spec (given the storage's inputs), and its end."""

    name: str
    says: str
    spec: Callable[[Sequence[StoredInput]], dict[str, object]]
    end: End


def _spec(
    name: str, words: Sequence[str | Path], *, outputs: Sequence[str] = (), inputs: Sequence[StoredInput] = ()
) -> dict[str, object]:
    program, *rest = map(str, words)
    log = f"{name}.{JOB}.log.tgz"
    files = [*outputs, log]
    return {
        "computingSite": QUEUE,
        "jobName": name,
        "prodSourceLabel": "user",
        "transformation": shlex.quote(program),
        "jobPars": shlex.join(rest),
        "inFiles": [file.lfn for file in inputs],
        "scopeIn": [SCOPE for _ in inputs],
        "fsize": [file.size_bytes for file in inputs],
        "checksum": [f"ad:{file.adler32}" for file in inputs],
        "ddmEndPointIn": [ENDPOINT for _ in inputs],
        "outFiles": files,
        "scopeOut": [SCOPE for _ in outputs],
        "ddmEndPointOut": [ENDPOINT for _ in files],
        "logFile": log,
        "scopeLog": SCOPE,
    }


def _dimuon(inputs: Sequence[StoredInput]) -> dict[str, object]:
    # Found by path: the payload's Python need not know this package, and must not import its neighbours.
    script = Path(__file__).parent / "dimuon" / "analysis.py"
    histogram, figure = f"dimuon.{JOB}.root", f"dimuon.{JOB}.png"
    events = inputs[0]
    words: list[str | Path] = [
        sys.executable,
        script,
        events.lfn,
        "--histogram",
        histogram,
        "--figure",
        figure,
        "--sample",
        "CMS",
    ]
    return _spec("dimuon", words, outputs=(histogram, figure), inputs=(events,))


def _exit7(_: Sequence[StoredInput]) -> dict[str, object]:
    return _spec("exit7", ["/bin/sh", "-c", "echo 'calibration constants not found' >&2; exit 7"])


def _signal(_: Sequence[StoredInput]) -> dict[str, object]:
    return _spec("signal", ["/bin/sh", "-c", "echo 'my node is about to fail'; sleep 0.5; kill -KILL $$"])


def _missing_input(_: Sequence[StoredInput]) -> dict[str, object]:
    absent = StoredInput(lfn="no-such-events.root", size_bytes=1_000_000, adler32="0badcafe")
    return _spec("missing-input", ["/bin/cat", absent.lfn], inputs=(absent,))


def _pi(_: Sequence[StoredInput]) -> dict[str, object]:
    output = f"pi.{JOB}.txt"
    return _spec("pi", [sys.executable, pi.__file__, output, "--seed", JOB], outputs=(output,))


FIRST = Scenario(
    name="dimuon",
    says="finds the Z boson in recorded muon pairs, and must store a histogram and a picture",
    spec=_dimuon,
    end=End(status="finished"),
)

FAILING = (
    Scenario(
        name="exit7",
        says="gives up with exit status 7, and must be reported so, with its last words",
        spec=_exit7,
        end=End(status="failed", pilot_code=1305, exit_status=7),
    ),
    Scenario(
        name="signal",
        says="is killed by SIGKILL half a second into its work, and must be reported so",
        spec=_signal,
        end=End(status="failed", pilot_code=1305, exit_status=KILLED),
    ),
    Scenario(
        name="missing-input",
        says="wants an input that the storage does not have, and must fail before its payload starts",
        spec=_missing_input,
        end=End(status="failed", pilot_code=1331, exit_status=None),
    ),
)

FURTHER = Scenario(
    name="pi",
    says="estimates pi from six million random points, and must store its result",
    spec=_pi,
    end=End(status="finished"),
)

#: The word that asks for no failing job.
NO_FAILURE = "none"


def chosen(jobs: int, fail: Sequence[str]) -> list[Scenario]:
    """The scenarios of one demonstration: the physics, then the failures asked for, then good ones up to `jobs`.

    Raises SettingsTrouble for a failure that is not in the table.
    """
    known = {scenario.name: scenario for scenario in FAILING}
    names = [name for name in fail if name != NO_FAILURE]
    for name in names:
        if name not in known:
            near = nearest(name, tuple(known))
            raise SettingsTrouble(
                f"There is no failure named {name!r} in the demonstration",
                f"nearest: {', '.join(near)}" if near else f"there are: {', '.join(known)}, {NO_FAILURE}",
                f"Try --fail {','.join(near or known)}",
            )
    found = [FIRST, *(known[name] for name in dict.fromkeys(names))]
    found += [FURTHER] * (jobs - len(found))
    return found[:jobs]
