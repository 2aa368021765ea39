"""Rules for transforms: their arguments, the acronyms of their job report, steps that were cut off.

The acronyms are those of PyJobTransforms' exit codes; what Athena says in a step's log is in `athena` and tells more.
"""

from typing import NamedTuple

from picard_pilot.experiments.atlas.job_report import failing_step, step_name, telling
from picard_pilot.experiments.atlas.seen import hit, is_wrapped, report_with
from picard_pilot.experiments.report_files import error_code, words_of
from picard_pilot.model.facts import Facts, at
from picard_pilot.model.fault import Blame, Evidence, Retry
from picard_pilot.model.rule import Hit, Rule, Specificity, Where
from picard_pilot.model.samples import failed

_ARGUMENTS = (
    "Mend the argument in the task's command; `<transform> --help` of the same release lists what it takes."
)
_EXPERTS = "Give the log of the step to the experts of the transform; neither site nor author of the task can mend it."
_INPUT = "Check the input's checksum and its number of events; if the replica is bad, declare it so."


class Kind(NamedTuple):
    """What one acronym means to people."""

    says: str
    error: str
    blame: Blame
    advice: str
    specificity: int = Specificity.FAILURE + 7
    retry: Retry | None = None


_BAD_ARGUMENT = ("UNRECOGNIZEDTRFARGUMENTS", Blame.USER_INPUT, _ARGUMENTS, Specificity.CAUSE + 3)

ACRONYMS: dict[str, Kind] = {
    "TRF_ARG_CONV_FAIL": Kind("an argument of the transform has the wrong type", *_BAD_ARGUMENT),
    "TRF_ARG_OUT_OF_RANGE": Kind("an argument of the transform is out of range", *_BAD_ARGUMENT),
    "TRF_ARG_ERROR": Kind("the transform does not understand an argument", *_BAD_ARGUMENT),
    "TRF_ARG_DATASET": Kind("the list of inputs names inconsistent datasets", *_BAD_ARGUMENT),
    "TRF_ARG_CHOICES_FAIL": Kind("an argument of the transform is none of the permitted ones", *_BAD_ARGUMENT),
    "TRF_ARG_MISSING": Kind("an argument that the transform needs is missing", *_BAD_ARGUMENT),
    "TRF_REDUCTION_CONFIG_ERROR": Kind("the reduction that the task names is not configured", *_BAD_ARGUMENT),
    "TRF_EXECUTION_PATH_ERROR": Kind("no chain of steps leads from these inputs to these outputs", *_BAD_ARGUMENT),
    "TRF_GRAPH_STEERING_ERROR": Kind("the steering of the transform's steps does not fit", *_BAD_ARGUMENT),
    "TRF_NOEVENTS": Kind("the job skips more events than its input has", *_BAD_ARGUMENT),
    "TRF_SETUP": Kind("the transform could not set itself up", "SETUPFAILURE", Blame.EXPERIMENT, _EXPERTS),
    "TRF_EXEC_SETUP_FAIL": Kind("the set-up of a step failed", "SETUPFAILURE", Blame.EXPERIMENT, _EXPERTS),
    "TRF_EXEC_SETUP_WRAPPER": Kind("the script around a step broke", "SETUPFAILURE", Blame.EXPERIMENT, _EXPERTS),
    "TRF_DBRELEASE_PROBLEM": Kind("the database release could not be set up", "DBRELEASEFAILURE", Blame.EXPERIMENT,
                                  "Check that the DBRelease that the task names is on CVMFS."),
    "TRF_INPUT_FILE_ERROR": Kind("the transform cannot use an input file", "UNKNOWNTRFFAILURE", Blame.STORAGE, _INPUT,
                                 retry=Retry.ELSEWHERE),
    "TRF_INPUT_FILE_VALIDATION_FAIL": Kind("an input file is damaged", "UNKNOWNTRFFAILURE", Blame.STORAGE, _INPUT,
                                           retry=Retry.ELSEWHERE),
    "TRF_AMI_ERROR": Kind("the transform could not ask AMI for its tag", "SERVICENOTAVAILABLE", Blame.SERVER,
                          "Check that AMI answers; give the transform its arguments instead of a tag.",
                          retry=Retry.HERE),
    "TRF_EXEC_TIMEOUT": Kind("a step took longer than the transform allows", "UNKNOWNTRFFAILURE", Blame.EXPERIMENT,
                             "Look what the step waited for; a slow node or conditions database may be behind it."),
}  # fmt: skip
"""Acronyms that tell what went wrong. Those of a step that failed (TRF_EXEC_FAIL, TRF_EXEC_LOGERROR ...) only say that
one did: the log tells why."""

_SEGFAULT = "TRF_SIG_SIGSEGV"
_STEP_FAILED = "atlas.step_failed"


class Acronym:
    """The function of the rule for one acronym."""

    def __init__(self, acronym: str) -> None:
        self.acronym = acronym
        self.__name__ = acronym.lower()

    def __call__(self, facts: Facts) -> Hit | None:
        if at(facts.report, "exitAcronym") != self.acronym:
            return None
        said = words_of(at(facts.report, "exitMsg"))
        return hit(_evidence(f"{self.acronym}: {said}" if said else self.acronym))


def _segfault(facts: Facts) -> Hit | None:
    said = words_of(at(facts.report, "exitMsg")) or ""
    acronym = at(facts.report, "exitAcronym")
    if acronym != _SEGFAULT and "got a SIGSEGV signal" not in said:
        return None
    step = failing_step(facts.report)
    return hit(_evidence(said or _SEGFAULT), step=step_name(step) if step else "a step")


class StepFailed:
    """A step ended badly, and nothing tells more: the software's own affair, or a user's where a wrapper ran it."""

    def __init__(self, wrapped: bool) -> None:
        self._wrapped = wrapped
        self.__name__ = "step_failed_of_user" if wrapped else "step_failed"

    def __call__(self, facts: Facts) -> Hit | None:
        if not error_code(at(facts.report, "exitCode")) or is_wrapped(facts) is not self._wrapped:
            return None
        step, line = failing_step(facts.report), telling(facts.report)
        if step is None:
            return None
        rc = error_code(step.get("rc"))
        code = f"return code {rc}" if rc else "its log has errors"
        said = words_of(at(facts.report, "exitMsg")) or "no message"
        first = line.evidence() if line else _evidence(said)
        return hit(first, _evidence(said), step=step_name(step), code=code, line=line.text if line else said)


def _cut_off(facts: Facts) -> Hit | None:
    """A transform that printed its beginning, and neither its end nor a report, was ended from outside."""
    if facts.report is not None or facts.exit.exit_code == 0:
        return None
    lines = [line.text for _, line in facts.lines(Where.STDOUT)]
    if not any("PyJobTransforms" in text for text in lines):
        return None
    if any(
        "Trf leaving now" in text or "trf exit code" in text or "leaving with code" in text for text in lines
    ):
        return None
    return hit(Evidence(text=lines[-1].strip(), file=Where.STDOUT))


def _silent(facts: Facts) -> Hit | None:
    """Even a release's set-up prints something: a payload without any output never got as far as that."""
    if facts.exit.signal is not None or facts.exit.exit_code in (0, None) or facts.report is not None:
        return None
    if any(log.size_bytes for log in facts.logs.values()):
        return None
    return hit(Evidence(text="payload.stdout and payload.stderr are empty"), code=str(facts.exit.exit_code))


def _evidence(text: str) -> Evidence:
    return Evidence(text=text, file=Where.REPORT)


def _rule_of(acronym: str, kind: Kind) -> Rule:
    return Rule(
        name=f"atlas.{acronym.lower()}",
        error=kind.error,
        where=Where.REPORT,
        when=Acronym(acronym),
        specificity=kind.specificity,
        blame=kind.blame,
        retry=kind.retry,
        says=kind.says,
        advice=kind.advice,
        sample=failed(3, report={"exitCode": 3, "exitAcronym": acronym, "exitMsg": "what it was"}),
        counter_sample=failed(3, report={"exitCode": 3, "exitAcronym": f"{acronym}_NOT"}),
    )


_STEP_REPORT = report_with(
    "AthAlgSeq FATAL in sysExecute(): standard C++ exception", exitMsg="Non-zero return code"
)

RULES: tuple[Rule, ...] = (
    *(_rule_of(acronym, kind) for acronym, kind in ACRONYMS.items()),
    Rule(
        name="atlas.bad_arguments",
        error="UNRECOGNIZEDTRFARGUMENTS",
        where=Where.OUTPUT,
        when=r"\b(?P<transform>\w{1,60}_(?:tf|trf)\.py): error: (?P<words>.+)",
        is_pattern=True,
        specificity=Specificity.CAUSE + 4,
        says="{transform} rejected its arguments: {words}",
        advice=_ARGUMENTS,
        sample="Sim_tf.py: error: unrecognized arguments: --maxEvent=10",
        counter_sample="Sim_tf.py: 10 arguments, no error: going on",
    ),
    Rule(
        name="atlas.step_segfault",
        error="PAYLOADSIGSEGV",
        where=Where.REPORT,
        when=_segfault,
        specificity=Specificity.FAILURE + 7,
        blame=Blame.EXPERIMENT,
        says="the step {step} of the transform crashed with a segmentation fault",
        advice="Look for the stack trace in the step's log, and give it to the experts of the algorithm on top of it.",
        sample=failed(
            65, report={"exitCode": 65, "exitMsg": "EVNTtoHITS got a SIGSEGV signal (exit code 139)"}
        ),
        counter_sample=failed(65, report={"exitCode": 65, "exitMsg": "EVNTtoHITS got a SIGTERM signal"}),
    ),
    Rule(
        name=_STEP_FAILED,
        error="UNKNOWNTRFFAILURE",
        where=Where.REPORT,
        when=StepFailed(wrapped=False),
        specificity=Specificity.ENDING + 8,
        blame=Blame.EXPERIMENT,
        says="the step {step} of the transform failed ({code}): {line}",
        advice="Read the step's log around that line; if it is no known problem, give it to the software's experts.",
        sample=failed(65, report=_STEP_REPORT),
        counter_sample=failed(65, report=_STEP_REPORT, stdout="execute script: Running athena failed : 65"),
    ),
    Rule(
        name=f"{_STEP_FAILED}_of_user",
        error="UNKNOWNTRFFAILURE",
        where=Where.REPORT,
        when=StepFailed(wrapped=True),
        specificity=Specificity.ENDING + 8,
        blame=Blame.PAYLOAD,
        says="the step {step} of the user's transform failed ({code}): {line}",
        advice="Run the same command with a few events where the code was developed, and mend what it says.",
        sample=failed(40, report=_STEP_REPORT, stdout="execute script: Running athena failed : 65"),
        counter_sample=failed(65, report=_STEP_REPORT),
    ),
    Rule(
        name="atlas.cut_off",
        error="UNKNOWNTRFFAILURE",
        where=Where.STDOUT,
        when=_cut_off,
        specificity=Specificity.HINT + 5,
        blame=Blame.NODE,
        retry=Retry.ELSEWHERE,
        says="the transform was cut off: its output stops in the middle, and it wrote no report",
        advice="Look whether something on the node ended it; try the job elsewhere.",
        sample=failed(1, stdout="PyJobTransforms.trfExe INFO Starting execution of EVNTtoHITS"),
        counter_sample=failed(1, stdout="PyJobTransforms.trfExe INFO Starting\nTrf leaving now with code 1"),
    ),
    Rule(
        name="atlas.silent",
        error="UNKNOWNTRFFAILURE",
        where=Where.STDOUT,
        when=_silent,
        specificity=Specificity.HINT + 5,
        blame=Blame.NODE,
        retry=Retry.ELSEWHERE,
        says="the payload ended with {code} without a single word, so not even its set-up began",
        advice="Try the first command of the payload on this node by hand: shell, CVMFS, container.",
        sample=failed(1),
        counter_sample=failed(1, stdout="setting up Athena 24.0.1"),
    ),
)
