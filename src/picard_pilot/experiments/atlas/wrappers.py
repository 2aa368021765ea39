"""Rules for the scripts in which pathena and prun wrap a user's code: runAthena, runGen, buildJob, buildGen and others.

Their exit codes are words of the wrapper, not of the user's program; some equal 128 + n, so that a code counts only
together with the wrapper's own words. The "code 40 jobs" of old are `wrapper.athena_failed`.
"""

from typing import NamedTuple

from picard_pilot.experiments.atlas.seen import find, hit, is_wrapped
from picard_pilot.experiments.report_files import ERROR_REPORT, error_code, words_of
from picard_pilot.model.facts import Facts, at
from picard_pilot.model.fault import Blame, Evidence, Retry
from picard_pilot.model.rule import Hit, Rule, Specificity, Where
from picard_pilot.model.samples import failed

_STREAMS = (Where.STDOUT.value, Where.STDERR.value)
_USERS = "Run the same command over the same input where the code was developed, and mend what it says."

_FIRST_CODE, _LAST_CODE = 5100, 5799
"""The codes that wrappers write into their error report: 5000, a hundred for each script, and the reason's number."""

ATHENA_FAILED = 40
"""runAthena's exit code whenever Athena, or the transform in its place, ends with anything but zero."""


class Reason(NamedTuple):
    """What a wrapper's number in its error report means."""

    name: str
    error: str
    blame: Blame
    says: str
    advice: str
    retry: Retry | None = None
    specificity: int = Specificity.FAILURE + 9


_INPUT_ADVICE = "Check the inputs' replicas, and whether the earlier lines tell why they could not be opened."

REASONS: dict[int, Reason] = {
    2: Reason("compile", "PAYLOADEXECUTIONFAILURE", Blame.PAYLOAD, "the user's code does not compile",
              "Compile it by hand in the same release and platform as the task's.", Retry.NEVER),
    3: Reason("tarball", "NOUSERTARBALL", Blame.SERVER, "the user's code could not be fetched from the server's cache",
              "Try again later; if it fails again, submit the task anew, which uploads the code again.",
              Retry.ELSEWHERE, Specificity.CAUSE + 1),
    4: Reason("no_root", "NORELEASEFOUND", Blame.USER_INPUT, "the version of ROOT that the task asks for is not there",
              "Name a version and platform that CVMFS has: `lsetup 'root --help'` shows them.", Retry.NEVER),
    7: Reason("no_input", "MISSINGINPUTFILE", Blame.STORAGE, "no input was there for the user's program",
              _INPUT_ADVICE, Retry.ELSEWHERE),
    8: Reason("some_input", "MISSINGINPUTFILE", Blame.STORAGE, "some inputs were not there for the user's program",
              _INPUT_ADVICE, Retry.ELSEWHERE),
    9: Reason("bad_tarball", "NOUSERTARBALL", Blame.SERVER, "the archive of the user's code is damaged",
              "Submit the task anew, which uploads the code again.", Retry.ELSEWHERE),
    10: Reason("dbrelease", "DBRELEASEFAILURE", Blame.EXPERIMENT, "the database release could not be unpacked",
               "Check the DBRelease that the task names; newer releases read it from CVMFS.", Retry.ELSEWHERE),
    15: Reason("no_output", "PAYLOADEXECUTIONFAILURE", Blame.PAYLOAD, "the user's program made no output file",
               "Check the names of outputs in the task against what the program writes.", Retry.NEVER),
    16: Reason("missing_output", "PAYLOADEXECUTIONFAILURE", Blame.PAYLOAD, "the user's program made not all outputs",
               "Check the names of outputs in the task against what the program writes.", Retry.NEVER),
    17: Reason("no_script", "PAYLOADEXECUTIONFAILURE", Blame.USER_INPUT, "the task's script is not in its archive",
               "Submit from the directory that holds the script, or add it with --extFile.", Retry.NEVER),
    18: Reason("program", "PAYLOADEXECUTIONFAILURE", Blame.PAYLOAD, "the user's program failed", _USERS,
               specificity=Specificity.ENDING + 1),
}  # fmt: skip


class Told:
    """The function of the rule for one of the reasons in a wrapper's error report."""

    def __init__(self, number: int) -> None:
        self._number = number
        self.__name__ = f"told_{number}"

    def __call__(self, facts: Facts) -> Hit | None:
        code = error_code(at(facts.error_report, "error_code"))
        if code is None or not _FIRST_CODE <= code <= _LAST_CODE or code % 100 != self._number:
            return None
        said = words_of(at(facts.error_report, "error_diag")) or f"error code {code}"
        return hit(Evidence(text=said, file=ERROR_REPORT))


class Printed:
    """The function of a rule for a wrapper's words, with its exit code where that must fit."""

    def __init__(self, pattern: str, name: str, *exits: int) -> None:
        self._pattern, self._exits = pattern, exits
        self.__name__ = name

    def __call__(self, facts: Facts) -> Hit | None:
        if self._exits and facts.exit.exit_code not in self._exits:
            return None
        found = find(facts, _STREAMS, self._pattern) if is_wrapped(facts) else None
        if found is None:
            return None
        words = {word: value for word, value in found[1].groupdict().items() if value is not None}
        return hit(found[0], **words)


def _tarball_not_fetched(facts: Facts) -> Hit | None:
    """Exit 146, or the wrapper's sentence; an archive that is gone for good is another rule's."""
    if facts.exit.exit_code == 146 and is_wrapped(facts):
        url = find(facts, _STREAMS, r"(?P<url>https?://\S+)")
        sentence = find(facts, _STREAMS, r"[Uu]nable to fetch|[Cc]annot download|Failed with ")
        evidence = [one[0] for one in (sentence, url) if one is not None]
        return hit(
            *(evidence or [Evidence(text="exit code 146")]), url=url[1]["url"] if url else "the server"
        )
    found = find(facts, _STREAMS, r"ERROR ?: (?:[Uu]nable to fetch|Cannot download the user sandbox)")
    return None if found is None else hit(found[0], url="the server")


def _tarball_gone(facts: Facts) -> Hit | None:
    gone = find(facts, _STREAMS, r"(?:HTTP code: |HTTP Error )(?:404|410)\b")
    fetched = find(facts, _STREAMS, r"[Uu]nable to fetch|[Cc]annot download the user sandbox")
    if gone is None or fetched is None or not is_wrapped(facts):
        return None
    return hit(gone[0], fetched[0])


def _athena_failed(facts: Facts) -> Hit | None:
    """A code 40 job: the wrapper hides Athena's own status, but prints it."""
    found = find(facts, _STREAMS, r"execute script: Running athena failed : (?P<status>\d+)")
    if found is None or facts.exit.exit_code != ATHENA_FAILED:
        return None
    status = int(found[1]["status"][:9])
    own = status >> 8 if status > 255 else status  # some wrappers print what wait() gives
    fatal = find(facts, facts.logs, r"^\S+ +(?:\S+ +)?(?:FATAL|ERROR) +\S")
    return hit(*(one[0] for one in (fatal, found) if one), status=str(own))


def _reason_rule(number: int, reason: Reason) -> Rule:
    return Rule(
        name=f"wrapper.{reason.name}_told",
        error=reason.error,
        where=Where.ERROR_REPORT,
        when=Told(number),
        specificity=reason.specificity,
        blame=reason.blame,
        retry=reason.retry,
        says=reason.says,
        advice=reason.advice,
        sample=failed(number, error_report={"error_code": 5300 + number, "error_diag": "what it was"}),
        counter_sample=failed(
            number, error_report={"error_code": 300 + number, "error_diag": "another's number"}
        ),
    )


def _printed_rule(
    name: str,
    reason: int,
    pattern: str,
    sample: str,
    counter_sample: str,
    exits: tuple[int, ...] = (),
    above: int = 1,
) -> Rule:
    """A rule for the same reason where it is only printed."""
    told = REASONS[reason]
    exit_code = exits[0] if exits else 1
    return Rule(
        name=f"wrapper.{name}",
        error=told.error,
        where=Where.OUTPUT,
        when=Printed(pattern, name, *exits),
        specificity=told.specificity + above,
        blame=told.blame,
        retry=told.retry,
        says=told.says,
        advice=told.advice,
        sample=failed(exit_code, stdout=f"=== start ===\n{sample}"),
        counter_sample=failed(exit_code, stdout=f"=== start ===\n{counter_sample}"),
    )


_START = "=== start ===\n"
_NOT_FETCHED = f"{_START}ERROR: unable to fetch source tarball from web"
_GONE = (
    f"{_START}Failed with HTTP code: 404 - Reason: Not Found\nERROR: unable to fetch source tarball from web"
)

RULES: tuple[Rule, ...] = (
    *(_reason_rule(number, reason) for number, reason in REASONS.items()),
    Rule(
        name="wrapper.no_tarball",
        error="NOUSERTARBALL",
        where=Where.OUTPUT,
        when=_tarball_not_fetched,
        specificity=Specificity.CAUSE + 6,
        says="the user's code could not be fetched from {url}",
        advice=REASONS[3].advice,
        retry=Retry.ELSEWHERE,
        sample=failed(146, stdout=_NOT_FETCHED),
        counter_sample=failed(146, stdout="fetching the tarball"),
    ),
    Rule(
        name="wrapper.tarball_gone",
        error="MISSINGUSERCODE",
        where=Where.OUTPUT,
        when=_tarball_gone,
        specificity=Specificity.CAUSE + 7,
        says="the user's code is no longer on the server: it has expired",
        advice="Submit the task anew: code is kept for some weeks only.",
        retry=Retry.NEVER,
        sample=failed(146, stdout=_GONE),
        counter_sample=failed(146, stdout=_NOT_FETCHED),
    ),
    Rule(
        name="wrapper.compiler",
        error="PAYLOADEXECUTIONFAILURE",
        where=Where.OUTPUT,
        when=Printed(
            r"^(?P<file>[^\s:]+\.(?:cxx|cpp|cc|C|h|hh|icc)):\d+(?::\d+)?: (?:fatal )?error: (?P<words>.+)",
            "compiler",
        ),
        specificity=Specificity.FAILURE + 10,
        blame=Blame.PAYLOAD,
        retry=Retry.NEVER,
        says="the user's code does not compile: {words}",
        advice=REASONS[2].advice,
        sample=failed(
            20, stdout="--- start ---\nRoot/MyAlg.cxx:12:5: error: 'foo' was not declared in this scope"
        ),
        counter_sample=failed(20, stdout="--- start ---\nRoot/MyAlg.cxx:12:5: warning: unused variable"),
    ),
    _printed_rule(
        "make_failed",
        2,
        r"ERROR ?: make failed|failed to compile Athena packages",
        "ERROR : make failed",
        "make done",
    ),
    _printed_rule(
        "no_root",
        4,
        r"ERROR ?: ROOT (?P<version>\S+) is unavailable",
        "ERROR : ROOT 6.99.00 is unavailable on CVMFS",
        "ROOT 6.30.02 is available",
    ),
    _printed_rule(
        "no_input",
        7,
        r"ERROR ?: No input (?:file )?is available|No input files? available",
        "ERROR : No input file is available",
        "3 input files",
        (141, 11),
    ),
    _printed_rule(
        "some_input",
        8,
        r"ERROR ?: (?:\d+ )?input files? (?:is|are) missing|unavailable input",
        "ERROR : 2 input files are missing",
        "no input file lacks",
        (142,),
    ),
    _printed_rule(
        "no_script",
        17,
        r"(?:chmod: cannot access|(?:ba)?sh: (?:line \d+: )?)\s?['\"]?\./(?P<file>\S+?)['\"]?: "
        r"(?:No such file or directory|not found)",
        "sh: line 1: ./run_my.sh: No such file or directory",
        "./run_my.sh: fine",
    ),
    Rule(
        name="wrapper.athena_failed",
        error="PAYLOADEXECUTIONFAILURE",
        where=Where.EXIT,
        when=_athena_failed,
        specificity=Specificity.ENDING + 6,
        blame=Blame.PAYLOAD,
        says="the user's Athena failed with status {status}; exit code 40 is only the wrapper's word for that",
        advice=_USERS,
        sample=failed(40, stdout="=== execute ===\nexecute script: Running athena failed : 65"),
        counter_sample=failed(65, stdout="=== execute ===\nexecute script: Running athena failed : 65"),
    ),
    _printed_rule(
        "script_failed",
        18,
        r"execute script: Running script failed : (?P<status>\d+)",
        "execute script: Running script failed : 1",
        "execute script: Running script was successful",
    ),
)
