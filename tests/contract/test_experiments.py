"""Every experiment passes its conformance suite, and the suite finds what is wrong with bad ones."""

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from picard_pilot.experiments import KNOWN
from picard_pilot.experiments.base import Experiment
from picard_pilot.experiments.generic import Generic
from picard_pilot.experiments.hooks import HookFailed, call_hook
from picard_pilot.model.bundle import Bundle, Command, Outcome
from picard_pilot.model.command import PayloadExit
from picard_pilot.model.job import Job
from picard_pilot.model.policy import CredentialNeeds, Refusal
from picard_pilot.model.rule import Rule, Where
from picard_pilot.model.site import LocalFiles, Queue, Site
from picard_pilot.plugins.loader import PluginError, describe, find, list_plugins, load
from picard_pilot.testing.experiment_suite import CANARY, EXITS, GOLDEN_JOBS, HOOKS, examine, failures

SITE = Site(queue=Queue(name="Q", panda_resource="Q"))
JOB = Job(job_id=1, attempt_nr=1, transformation="echo")


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """An empty job directory."""
    (tmp_path / "picard").mkdir()
    return Bundle(
        directory=str(tmp_path),
        private=str(tmp_path / "picard"),
        stdout=str(tmp_path / "payload.stdout"),
        stderr=str(tmp_path / "payload.stderr"),
        job_report=str(tmp_path / "jobReport.json"),
    )


@pytest.mark.parametrize("name", KNOWN)
def test_every_experiment_of_picard_passes_the_suite(name: str) -> None:
    """All checks on all golden jobs."""
    plugin = load("experiment", name)
    assert failures(plugin) == ()
    assert len(examine(plugin)) > 100


class Sloppy(Experiment):
    """An experiment that breaks every rule of the interface."""

    name = "sloppy"
    local_patterns = (LocalFiles(names="DBRelease-(.*)", path="/cvmfs/{2}"),)

    def check(self, job: Job, site: Site) -> Refusal | None:
        """Refuses with an error of its own invention."""
        return Refusal(error="MADEUP", field="x", says="no", next_step="none") if job.job_id == 3 else None

    def environment(self, job: Job, site: Site, bundle: Bundle) -> dict[str, str]:
        """Hands the pilot's token on, and changes the process."""
        os.environ["LEFT_BEHIND"] = "1"
        return {"TOKEN": os.environ["BEARER_TOKEN"], "A=B": "x"}

    def command(self, job: Job, site: Site, bundle: Bundle) -> Command:
        """Another answer each time, and a folder that is not its own."""
        Path(bundle.private, "mine").touch()
        return Command(argv=("echo", str(time.monotonic_ns())))

    def outcome(self, job: Job, bundle: Bundle) -> Any:  # type: ignore[override]
        """Another signature."""

    def metrics(self, job: Any, bundle: Any, usage: Any) -> Any:
        """The wrong type."""
        return {"leak": 5}

    def rules(self) -> tuple[Rule, ...]:
        """One of an error that is none, one that misses its own sample, one that the core's rules are before."""
        missing = Rule(
            error="PAYLOADEXECUTIONFAILURE",
            where=Where.STDERR,
            when="x",
            says="s",
            advice="a",
            sample="y",
            counter_sample="x",
        )
        return (
            missing,
            msgspec.structs.replace(missing, error="MADEUP"),
            msgspec.structs.replace(missing, sample="x std::bad_alloc", counter_sample="y"),
        )


def test_the_suite_finds_what_is_wrong() -> None:
    """Each broken rule is named, and the process is as before."""
    found = "\n".join(failures(Sloppy))
    for words in (
        "which interface it is for",
        "files of the node have usable patterns (local_patterns): the path '/cvmfs/{2}' asks for {2}",
        "the interface's signature (outcome)",
        "a refusal names an error of the catalogue",
        "it changed the environment",
        "the payload gets no credential that was not asked for",
        "variables can be given to a program",
        "the same answer twice (command",
        "the pilot's own folder is left alone",
        "right type, in time (metrics",
        "a rule finds its sample",
        "a rule does not find its counter-sample",
        "a rule can be used",
        "a rule is the first to find its sample (rule x): memory.bad_alloc",
    ):
        assert words in found
    assert "LEFT_BEHIND" not in os.environ
    assert os.environ.get("BEARER_TOKEN") != CANARY


def test_a_credential_may_be_handed_on_when_it_is_asked_for() -> None:
    """The suite obeys `credentials`."""

    class Asks(Experiment):
        api = 1
        name = "asks"

        def credentials(self, job: Job) -> CredentialNeeds:
            return CredentialNeeds(variables=("BEARER_TOKEN",))

        def environment(self, job: Job, site: Site, bundle: Bundle) -> dict[str, str]:
            return {"BEARER_TOKEN": os.environ["BEARER_TOKEN"]}

    assert failures(Asks) == ()


def test_every_hook_of_the_interface_has_a_contract() -> None:
    """And the interface has the hooks that the design names."""
    assert set(HOOKS) == {
        *(
            "check",
            "prepare",
            "command",
            "environment",
            "container",
            "local_files",
            "input_policy",
            "output_policy",
        ),
        *("outcome", "rules", "metrics", "recovery_policy", "credentials"),
    }
    assert all(getattr(Experiment, hook).__doc__ for hook in HOOKS)


def test_a_hook_gives_its_answer(bundle: Bundle) -> None:
    """In a thread of its own, while the loop goes on."""
    command = asyncio.run(call_hook(5, Generic().command, JOB, SITE, bundle))
    assert command.argv[0].endswith("/echo")


def test_a_hook_that_overruns_fails_in_time_and_by_name(bundle: Bundle) -> None:
    """The plug-in and the hook are named; the thread is left to itself."""
    from threading import Event

    release = Event()

    class Slow(Experiment):
        api = 1
        name = "slow"

        def command(self, job: Job, site: Site, bundle: Bundle) -> Command:
            release.wait(60)
            return Command(argv=("echo",))

    try:
        with pytest.raises(
            HookFailed, match=r"command of the experiment slow(.|\n)*not done after 0.05 s"
        ) as caught:
            asyncio.run(call_hook(0.05, Slow().command, JOB, SITE, bundle))
    finally:
        release.set()
    assert (caught.value.plugin, caught.value.hook) == ("slow", "command")


@pytest.mark.parametrize(
    "answer", [None, "echo", Command(argv=("echo", 5)), Command(argv=("echo",), environment={"A": 1})]
)  # type: ignore[arg-type,dict-item]
def test_a_hook_that_answers_with_something_else_fails(bundle: Bundle, answer: object) -> None:
    """The field of the answer is named too."""

    class Wrong(Experiment):
        api = 1
        name = "wrong"

        def command(self, job: Job, site: Site, bundle: Bundle) -> Any:
            return answer

    with pytest.raises(HookFailed, match="it returned"):
        asyncio.run(call_hook(5, Wrong().command, JOB, SITE, bundle))


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), KeyboardInterrupt(), RecursionError()])
def test_a_hook_that_raises_fails(bundle: Bundle, error: BaseException) -> None:
    """Even with what would end a program."""

    class Raises(Experiment):
        api = 1
        name = "raises"

        def rules(self) -> tuple[Rule, ...]:
            raise error

    with pytest.raises(HookFailed, match=type(error).__name__):
        asyncio.run(call_hook(5, Raises().rules))


def _outcome(bundle: Bundle, report: str | None = None, error_report: str | None = None) -> Outcome:
    if report is not None:
        Path(bundle.job_report).write_text(report, encoding="utf-8")
    if error_report is not None:
        Path(bundle.directory, "payload_error_report.json").write_text(error_report, encoding="utf-8")
    exit: PayloadExit = EXITS["exit 7"]
    return Generic().outcome(GOLDEN_JOBS["files"], bundle, exit)


def test_a_job_report_is_read(bundle: Bundle) -> None:
    """Exit code, acronym and message, events, GUIDs, and the whole text for the server."""
    report = (
        '{"exitCode": 65, "exitAcronym": "TRF_EXC", "exitMsg": "no geometry", "nEvents": 12, "files": {"output": '
        '[{"subFiles": [{"name": "histogram.root", "file_guid": "AA-BB", "nentries": 12}, {"name": 5}, 7]}, null]}}'
    )
    assert _outcome(bundle, report) == Outcome(
        exe_error_code=65,
        exe_error_diag="TRF_EXC: no geometry",
        n_events=12,
        guids={"histogram.root": "AA-BB"},
        metadata=report,
    )


def test_a_good_job_report_gives_no_error(bundle: Bundle) -> None:
    """Exit code 0 is none, whatever the message says."""
    outcome = _outcome(bundle, '{"exitCode": 0, "exitMsg": "OK"}')
    assert (outcome.exe_error_code, outcome.exe_error_diag) == (None, None)


def test_the_payloads_own_error_report_wins(bundle: Bundle) -> None:
    """It was written for exactly this."""
    outcome = _outcome(
        bundle, '{"exitCode": 65}', '{"error_code": 17, "error_diag": "bad magnet\\u0000 data"}'
    )
    assert (outcome.exe_error_code, outcome.exe_error_diag) == (17, "bad magnet data")


@pytest.mark.parametrize(
    "report", ["", "[]", "null", "{", '{"exitCode": "7"}', '{"exitCode": 1e400}', "[" * 100_000]
)
def test_a_senseless_report_says_nothing(bundle: Bundle, report: str) -> None:
    """No error, no events, no GUIDs."""
    outcome = _outcome(bundle, report, report)
    assert (outcome.exe_error_code, outcome.n_events, outcome.guids) == (None, None, {})


def test_a_count_that_the_server_could_not_store_is_dropped(bundle: Bundle) -> None:
    """A report with it would be refused for as long as it is told, which is for ever."""
    assert _outcome(bundle, f'{{"nEvents": {2**63}}}').n_events is None
    assert _outcome(bundle, f'{{"nEvents": {2**40}}}').n_events == 2**40


def test_an_error_code_that_the_server_could_not_store_is_dropped(bundle: Bundle) -> None:
    """It would make the server lose the whole update."""
    assert _outcome(bundle, '{"exitCode": 4294967296}').exe_error_code is None


def test_a_report_that_is_a_link_is_not_followed(bundle: Bundle, tmp_path: Path) -> None:
    """A payload must not make the pilot read what it cannot read itself."""
    secret = tmp_path / "secret.json"
    secret.write_text('{"exitCode": 7, "exitMsg": "secret"}')
    Path(bundle.job_report).symlink_to(secret)
    assert Generic().outcome(JOB, bundle, EXITS["exit 0"]) == Outcome()


def test_unknown_names_are_told_with_the_nearest() -> None:
    """Three lines."""
    with pytest.raises(PluginError, match="nearest: generic") as caught:
        load("experiment", "genric")
    assert len(str(caught.value).splitlines()) == 3


def test_an_import_path_loads_a_class() -> None:
    """For a plug-in without a package."""
    assert load("experiment", "picard_pilot.experiments.generic:Generic") is Generic


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("no_such_module_at_all:Thing", "importing no_such_module_at_all: ModuleNotFoundError"),
        ("picard_pilot.experiments.generic:Generik", "nearest: Generic"),
        ("picard_pilot.model.job:Job", "is not an experiment"),
        (":", "not an import path"),
        ("a:", "not an import path"),
    ],
)
def test_a_plug_in_that_cannot_be_loaded_says_why(path: str, words: str) -> None:
    """Missing module, missing class, wrong class, no path."""
    with pytest.raises(PluginError, match=words):
        load("experiment", path)


@pytest.mark.parametrize(
    ("declares", "words"),
    [("", "does not say which version"), ("api = 2", "is for version 2"), ("api = 0", "is for version 0")],
)
def test_another_version_of_the_interface_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, declares: str, words: str
) -> None:
    """Before any hook is called."""
    module = f"other_api_{abs(hash(declares))}"
    (tmp_path / f"{module}.py").write_text(
        "from picard_pilot.experiments.base import Experiment\n"
        f"class Other(Experiment):\n    name = 'o'\n    {declares}\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(PluginError, match=words):
        load("experiment", f"{module}:Other")


def test_a_plug_in_whose_import_raises_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it raises."""
    (tmp_path / "raising_plugin.py").write_text("raise RuntimeError('half installed')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(PluginError, match="RuntimeError: half installed"):
        load("experiment", "raising_plugin:Thing")


def test_lists_and_descriptions() -> None:
    """Every kind has its table; a description says which hook comes from where."""
    assert [found.name for found in list_plugins("experiment") if found.source == "picard-pilot"] == list(
        KNOWN
    )
    assert find("mover", "local").path.startswith("picard_pilot.movers.local:")
    hooks = {hook.name: hook for hook in describe("experiment", "generic")}
    assert set(hooks) == set(HOOKS)
    assert (
        not hooks["command"].overridden
        and hooks["command"].origin == "picard_pilot.experiments.base:Experiment"
    )
    with pytest.raises(PluginError, match="no kind of plug-in"):
        load("engine", "slurm")
