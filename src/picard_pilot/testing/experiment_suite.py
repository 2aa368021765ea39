"""The conformance suite for experiment plug-ins: run by `ppilot plugin check`, or from a plug-in's own tests.

It calls the hooks with golden jobs and with what hostile payloads leave behind; no job is run.
"""

import asyncio
import inspect
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from picard_pilot.diagnosis.catalogue.codes import BY_NAME
from picard_pilot.diagnosis.rulebook import CORE_RULES
from picard_pilot.diagnosis.rulecheck import flaws
from picard_pilot.experiments.base import Experiment
from picard_pilot.experiments.hooks import HookFailed, call_hook
from picard_pilot.model.bundle import Bundle, Command, Node
from picard_pilot.model.command import PayloadExit, StartError, StartErrorKind
from picard_pilot.model.files import FileRole, FileSpec
from picard_pilot.model.job import Job, Requirements
from picard_pilot.model.policy import Refusal
from picard_pilot.model.report import UsageSummary
from picard_pilot.model.site import LocalFiles, Queue, Site
from picard_pilot.model.templates import TemplateError, check_template

HOOK_LIMIT_S = 30.0
"""Longer than any hook needs for the golden jobs; a plug-in that really sets up a release passes its own limit."""

CANARY = "picard-canary-4f1b"
"""A made-up secret that stands in the environment while the hooks are called."""

HOOKS = tuple(
    name for name, value in vars(Experiment).items() if callable(value) and not name.startswith("_")
)


class Finding(NamedTuple):
    """One check: which rule, what it was tried on, whether it holds, and if not, what was found."""

    check: str
    subject: str
    holds: bool
    says: str = ""


SITE = Site(queue=Queue(name="GOLDEN_QUEUE", panda_resource="GOLDEN_QUEUE", site="GOLDEN-SITE"))
NODE = Node(host="golden.example.org", cores=8, memory_mb=16000, free_disk_mb=50000)

_INPUT = FileSpec(
    lfn="events.root", role=FileRole.INPUT, scope="golden", dataset="golden.events", size_bytes=1000
)
_OUTPUT = FileSpec(lfn="histogram.root", role=FileRole.OUTPUT, scope="golden")
_LOG = FileSpec(lfn="job.log.tgz", role=FileRole.LOG, scope="golden")

GOLDEN_JOBS: dict[str, Job] = {
    "plain": Job(job_id=1, attempt_nr=1, transformation="echo", parameters="hello world", log=_LOG),
    "files": Job(
        job_id=2,
        attempt_nr=3,
        task_id=7,
        label="managed",
        transformation="python3",
        parameters="analysis.py --input events.root --output histogram.root",
        requirements=Requirements(cores=8, memory_mb=16000, walltime_s=3600),
        inputs=(_INPUT,),
        outputs=(_OUTPUT,),
        log=_LOG,
    ),
    "bare": Job(job_id=3, attempt_nr=0),
    "address": Job(job_id=4, attempt_nr=1, transformation="https://example.org/run.sh", parameters="-p x"),
    "shell text": Job(
        job_id=5, attempt_nr=1, transformation="echo", parameters="$(id) `id`; rm -rf / & | > x"
    ),
    "open quote": Job(job_id=6, attempt_nr=1, transformation="echo", parameters="it's"),
    "binary": Job(
        job_id=7, attempt_nr=1, transformation="echo", parameters="a\0b \ud83d\x1b[2J", software_release="\0"
    ),
}
"""Jobs that every experiment must survive: it may refuse them, and may not break."""

EXITS: dict[str, PayloadExit] = {
    "exit 0": PayloadExit(started_at=1.0, ended_at=2.0, wall_s=1.0, exit_code=0),
    "exit 7": PayloadExit(started_at=1.0, ended_at=2.0, wall_s=1.0, exit_code=7),
    "signal 9": PayloadExit(started_at=1.0, ended_at=2.0, wall_s=1.0, signal=9, stopped_by="signal_15"),
    "never started": PayloadExit(
        started_at=1.0,
        ended_at=1.0,
        wall_s=0.0,
        start_error=StartError(kind=StartErrorKind.NOT_FOUND, evidence="echo"),
    ),
}


def examine(plugin: type[Experiment], limit_s: float = HOOK_LIMIT_S) -> tuple[Finding, ...]:
    """Try the plug-in; each check with whether it holds. Nothing that the plug-in does raises here."""
    return (*_declarations(plugin), *_signatures(plugin), *_behaviour(plugin, limit_s))


def failures(plugin: type[Experiment], limit_s: float = HOOK_LIMIT_S) -> tuple[str, ...]:
    """The checks that do not hold, as sentences; empty for a good plug-in. For a plug-in's own tests."""
    found = examine(plugin, limit_s)
    return tuple(f"{item.check} ({item.subject}): {item.says}" for item in found if not item.holds)


def _declarations(plugin: type[Experiment]) -> Iterator[Finding]:
    api = next(
        (vars(part)["api"] for part in plugin.__mro__ if part is not Experiment and "api" in vars(part)), None
    )
    ours = plugin.__module__.startswith("picard_pilot.")
    holds = api == Experiment.api or (ours and api is None)
    yield Finding(
        "the class says which interface it is for", "api", holds, f"api is {api!r}, not {Experiment.api}"
    )
    named = isinstance(plugin.name, str) and plugin.name != Experiment.name and plugin.name.isprintable()
    yield Finding("the class has a name of its own", "name", named, f"name is {plugin.name!r}")
    wrong = _wrong_pattern(plugin.local_patterns)
    yield Finding("files of the node have usable patterns", "local_patterns", wrong is None, wrong or "")


def _wrong_pattern(patterns: object) -> str | None:
    """What is wrong with an experiment's patterns of files that lie on the node; None if nothing."""
    if not isinstance(patterns, tuple):
        return f"it is {type(patterns).__name__}, not a tuple"
    for pattern in patterns:
        if not isinstance(pattern, LocalFiles):
            return f"it holds {pattern!r}, which is no LocalFiles"
        try:
            check_template(pattern)
        except TemplateError as error:
            return str(error)
    return None


def _signatures(plugin: type[Experiment]) -> Iterator[Finding]:
    for hook in HOOKS:
        wanted = list(inspect.signature(getattr(Experiment, hook)).parameters)
        method = getattr(plugin, hook)
        has = list(inspect.signature(method).parameters) if callable(method) else []
        holds = has == wanted and not inspect.iscoroutinefunction(method)
        says = f"it takes ({', '.join(has)}), not ({', '.join(wanted)})" if has != wanted else "it is async"
        yield Finding("the hook has the interface's signature", hook, holds, says)


def _behaviour(plugin: type[Experiment], limit_s: float) -> Iterator[Finding]:
    try:
        experiment = plugin()
    except Exception as error:  # noqa: BLE001 - the plug-in border
        yield Finding(
            "the class can be made without arguments", "class", False, f"{type(error).__name__}: {error}"
        )
        return
    for name, job in GOLDEN_JOBS.items():
        with _directory() as bundle:
            yield from _one_job(experiment, name, job, bundle, limit_s)
    with _directory() as bundle:
        yield from _debris(experiment, bundle, limit_s)
    yield from _rules(experiment, limit_s)


class _Caller:
    """Calls hooks and notes what they do beside answering."""

    def __init__(self, subject: str, limit_s: float) -> None:
        self.subject = subject
        self.limit_s = limit_s
        self.findings: list[Finding] = []

    def __call__(self, hook: Callable[..., Any], *args: Any) -> Any:
        """The hook's answer, or None if it failed."""
        subject = f"{hook.__name__}, {self.subject}"
        before = _surroundings()
        try:
            first = asyncio.run(call_hook(self.limit_s, hook, *args))
            second = asyncio.run(call_hook(self.limit_s, hook, *args))
        except HookFailed as failed:
            self.note("the hook answers with the right type, in time", subject, failed.why)
            return None
        finally:
            after = _surroundings()
            _restore(before)
        self.note("the hook answers with the right type, in time", subject)
        self.note(
            "the hook gives the same answer twice",
            subject,
            "" if first == second else f"first {first!r}, then {second!r}",
        )
        changed = [what for what in before if before[what] != after[what]]
        self.note(
            "the hook leaves the process as it was",
            subject,
            f"it changed {', '.join(changed)}" if changed else "",
        )
        return first

    def note(self, check: str, subject: str, says: str = "") -> None:
        """Remember a check, which holds if there is nothing to say."""
        self.findings.append(Finding(check, subject, not says, says))


def _one_job(
    experiment: Experiment, name: str, job: Job, bundle: Bundle, limit_s: float
) -> Iterator[Finding]:
    """The hooks in the order in which the pilot calls them. A job that is refused goes no further."""
    call = _Caller(f"job {name!r}", limit_s)
    refusal = call(experiment.check, job, SITE)
    if isinstance(refusal, Refusal):
        known = refusal.error in BY_NAME
        call.note(
            "a refusal names an error of the catalogue",
            f"check, {call.subject}",
            "" if known else refusal.error,
        )
    if refusal is None and not any(not finding.holds for finding in call.findings):
        call(experiment.prepare, job, SITE, NODE)
        call(experiment.local_files, job)
        call(experiment.input_policy, job, SITE)
        needs = call(experiment.credentials, job)
        call(experiment.container, job, SITE)
        environment = call(experiment.environment, job, SITE, bundle) or {}
        command = call(experiment.command, job, SITE, bundle)
        _check_start(call, environment, command, needs.variables if needs else ())
        for what, exit in EXITS.items():
            call.subject = f"job {name!r}, {what}"
            call(experiment.outcome, job, bundle, exit)
        call(experiment.metrics, job, bundle, UsageSummary())
        call(experiment.output_policy, job, SITE)
        call(experiment.recovery_policy, job)
    written = sorted(path.name for path in Path(bundle.private).iterdir())
    call.note(
        "the pilot's own folder is left alone",
        call.subject,
        f"it holds {', '.join(written)}" if written else "",
    )
    yield from call.findings


def _check_start(
    call: _Caller, environment: dict[str, str], command: Command | None, asked: tuple[str, ...]
) -> None:
    """What would be started can be started, and takes no secret with it that was not asked for."""
    variables = {**environment, **(command.environment if command else {})}
    bad = [name for name, value in variables.items() if not name or "=" in name or "\0" in name + value]
    call.note("variables can be given to a program", call.subject, ", ".join(map(repr, bad)))
    leaked = [name for name, value in variables.items() if CANARY in value and name not in asked]
    call.note("the payload gets no credential that was not asked for", call.subject, ", ".join(leaked))
    if command is not None:
        senseless = not command.argv or not command.argv[0] or any("\0" in word for word in command.argv)
        call.note(
            "the command can be started", call.subject, f"argv is {command.argv!r}" if senseless else ""
        )
        told = [word for word in command.argv if CANARY in word]
        call.note("no credential is on the command line", call.subject, "it is" if told else "")


_DEBRIS: dict[str, Callable[[Path], object]] = {
    "empty report": lambda path: path.write_bytes(b""),
    "report that is no JSON": lambda path: path.write_bytes(b"\xff{not json"),
    "report with wrong types": lambda path: path.write_text(
        '{"exitCode": [1], "exitMsg": 5, "files": 7, "nEvents": -1}'
    ),
    "report of nested brackets": lambda path: path.write_bytes(b"[" * 100_000),
    "report that is a link": lambda path: path.symlink_to("/etc/passwd"),
    "report that is a pipe": os.mkfifo,
    "report that is a folder": lambda path: path.mkdir(),
    "report of 200 MB": lambda path: _sparse(path, 200 << 20),
}


def _debris(experiment: Experiment, bundle: Bundle, limit_s: float) -> Iterator[Finding]:
    """`outcome` on what payloads leave behind instead of a job report."""
    report = Path(bundle.job_report)
    for what, leave in _DEBRIS.items():
        leave(report)
        call = _Caller(what, limit_s)
        call(experiment.outcome, GOLDEN_JOBS["files"], bundle, EXITS["exit 7"])
        report.rmdir() if report.is_dir() and not report.is_symlink() else report.unlink()
        yield from call.findings


def _rules(experiment: Experiment, limit_s: float) -> Iterator[Finding]:
    """Each rule by its samples, among the core's rules, as it will be tried."""
    call = _Caller("rules", limit_s)
    rules = call(experiment.rules) or ()
    found = list(flaws(rules, CORE_RULES))
    for rule, flaw in found:
        call.note(flaw.demand, rule.id, flaw.says)
    for rule in rules:
        if rule not in [one for one, _ in found]:
            call.note("a rule is proved by its samples", rule.id)
    yield from call.findings


def _sparse(path: Path, size_bytes: int) -> None:
    with path.open("wb") as stream:
        stream.truncate(size_bytes)


def _surroundings() -> dict[str, object]:
    mask = os.umask(0o022)
    os.umask(mask)
    return {
        "the current directory": str(Path.cwd()),
        "the environment": dict(os.environ),
        "the file mode mask": mask,
    }


def _restore(before: dict[str, Any]) -> None:
    os.chdir(before["the current directory"])
    os.umask(before["the file mode mask"])
    environment = before["the environment"]
    if dict(os.environ) != environment:
        os.environ.clear()
        os.environ.update(environment)


@contextmanager
def _directory() -> Iterator[Bundle]:
    """A job's directory, with a made-up credential in the environment while it exists."""
    name = "BEARER_TOKEN"
    old = os.environ.get(name)
    os.environ[name] = CANARY
    try:
        with tempfile.TemporaryDirectory(prefix="picard-suite-") as folder:
            private = Path(folder, "picard")
            private.mkdir()
            Path(folder, "events.root").write_bytes(b"0" * 1000)
            yield Bundle(
                directory=folder,
                private=str(private),
                stdout=str(Path(folder, "payload.stdout")),
                stderr=str(Path(folder, "payload.stderr")),
                job_report=str(Path(folder, "jobReport.json")),
            )
    finally:
        if old is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = old
