"""Rules for what Athena and Geant4 say in a step's log or the payload's output: crashes, configuration, algorithms.

A user's code in pathena or prun is told apart where a wrapper ran it: there the failing algorithm is the user's.
"""

from picard_pilot.experiments.atlas.seen import find, hit, is_wrapped, told
from picard_pilot.model.facts import Facts
from picard_pilot.model.fault import Blame, Retry
from picard_pilot.model.rule import Hit, Rule, Specificity, Where
from picard_pilot.model.samples import failed

_EXPERTS = "Give the lines above it, with event and algorithm, to the experts of that software."
_USERS = "Run the same job options over the same input where the code was developed, and mend what they say."

_CRASH = r"Caught signal (?P<number>\d+) ?\((?P<word>[^)]*)\)"
_SEGFAULTS = ("11", "7")
"""Segmentation fault and bus error: both are wrong addresses."""


class Crash:
    """Athena's own word on a crash, with the event and algorithm that its core dump service saw."""

    def __init__(self, wrong_address: bool, wrapped: bool) -> None:
        self._wrong_address, self._wrapped = wrong_address, wrapped
        self.__name__ = f"crash_{wrong_address}_{wrapped}"

    def __call__(self, facts: Facts) -> Hit | None:
        if is_wrapped(facts) is not self._wrapped:
            return None
        found = find(facts, facts.logs, _CRASH)
        if found is None or (found[1]["number"] in _SEGFAULTS) is not self._wrong_address:
            return None
        evidence, match = found
        more = find(
            facts, (evidence.file or "",), r"(?:Current|Last) algorithm *[:=] *(?P<algorithm>[^\s\x00]+)"
        )
        event = find(facts, (evidence.file or "",), r"Event ID *: *(?P<event>\[.{1,80}\])")
        places = (
            *((f"in {more[1]['algorithm']}",) if more else ()),
            *((f"at event {event[1]['event']}",) if event else ()),
        )
        words = {
            "number": match["number"],
            "word": match["word"],
            "place": " ".join(places) or "in a place that it does not name",
        }
        return hit(evidence, *(one[0] for one in (more, event) if one), **words)


class LeftWith:
    """Athena's last line, which gives its exit code a reason in words."""

    def __init__(self, wrapped: bool) -> None:
        self._wrapped = wrapped
        self.__name__ = f"left_with_{wrapped}"

    def __call__(self, facts: Facts) -> Hit | None:
        found = find(facts, facts.logs, r"leaving with code (?P<code>[1-9]\d*): \"(?P<words>[^\"]*)\"")
        if found is None or is_wrapped(facts) is not self._wrapped:
            return None
        first = find(facts, facts.logs, r"^\S+ +(?:\S+ +)?FATAL +\S")
        evidence = (first[0], found[0]) if first else (found[0],)
        return hit(*evidence, code=found[1]["code"], words=found[1]["words"])


_CRASHED = "CoreDumpSvc 0 FATAL Caught signal {}. Details:\nCurrent algorithm: MyAlg\nEvent ID: [1,2]"
_LEFT = 'Py:Athena INFO leaving with code {}: "failure in an algorithm execute"'
_WRAPPER = "execute script: Running athena failed : 65"
_SEGV, _ABRT = _CRASHED.format("11(Segmentation fault)"), _CRASHED.format("6(Aborted)")


def _crash_rule(wrong_address: bool, wrapped: bool) -> Rule:
    sample, other = (_SEGV, _ABRT) if wrong_address else (_ABRT, _SEGV)
    stdout = f"{_WRAPPER}\n" if wrapped else ""
    kind = "segfault" if wrong_address else "crash"
    return Rule(
        name=f"athena.{kind}{'_of_user' if wrapped else ''}",
        error="PAYLOADSIGSEGV" if wrong_address else "PAYLOADEXECUTIONFAILURE",
        where=Where.LOGS,
        when=Crash(wrong_address, wrapped),
        specificity=Specificity.FAILURE + 8,
        blame=Blame.PAYLOAD if wrapped else Blame.EXPERIMENT,
        says="Athena crashed {place} with signal {number} ({word})",
        advice=_USERS if wrapped else _EXPERTS,
        sample=failed(65, stdout=stdout + sample),
        counter_sample=failed(65, stdout=stdout + other),
    )


def _left_rule(wrapped: bool) -> Rule:
    stdout, other = (f"{_WRAPPER}\n", "") if wrapped else ("", f"{_WRAPPER}\n")
    return Rule(
        name=f"athena.left{'_of_user' if wrapped else ''}",
        error="PAYLOADEXECUTIONFAILURE" if wrapped else "UNKNOWNTRFFAILURE",
        where=Where.LOGS,
        when=LeftWith(wrapped),
        specificity=Specificity.ENDING + 7,
        blame=Blame.PAYLOAD if wrapped else Blame.EXPERIMENT,
        says="Athena ended with code {code}: {words}",
        advice=_USERS if wrapped else _EXPERTS,
        sample=failed(65, stdout=stdout + _LEFT.format(65)),
        counter_sample=failed(65, stdout=other + _LEFT.format(65)),
    )


RULES: tuple[Rule, ...] = (
    Rule(
        name="athena.steps",
        error="PAYLOADEXECUTIONFAILURE",
        where="log.*",
        when=r"AthMpEvtLoopMgr +(?:FATAL|ERROR) .*(?P<words>[Ww]orker|[Cc]hild|sub-?process).*",
        is_pattern=True,
        specificity=Specificity.ENDING + 9,
        blame=Blame.EXPERIMENT,
        retry=Retry.ELSEWHERE,
        says="a worker process of AthenaMP ended badly",
        advice="Look into the worker's own log (athenaMP-workers-*): the first one that failed tells why.",
        sample="AthMpEvtLoopMgr ERROR Worker with PID 4243 finished abnormally",
        counter_sample="AthMpEvtLoopMgr INFO Worker with PID 4243 finished",
    ),
    *told(
        name="athena.bad_alloc",
        error="BADALLOC",
        pattern=r"St9bad_alloc|std::bad_alloc",
        specificity=Specificity.CAUSE + 5,
        says="Athena could not allocate memory (bad_alloc)",
        advice="Send the job where there is more memory per core; if it fails there too, the software loses memory.",
        sample="AthAlgSeq FATAL in sysExecute(): standard C++ exception: std::bad_alloc",
        counter_sample="AthAlgSeq FATAL in sysExecute(): standard C++ exception: std::out_of_range",
    ),
    Rule(
        name="athena.out_of_memory",
        error="PAYLOADOUTOFMEMORY",
        where=Where.LOGS,
        when="FATAL out of memory: taking the application down",
        specificity=Specificity.CERTAIN + 2,
        says="Athena ran out of memory and ended itself",
        advice="Send the job where there is more memory per core; if it fails there too, the software loses memory.",
        sample="FATAL out of memory: taking the application down",
        counter_sample="INFO out of memory pool: taking a new block",
    ),
    *(_crash_rule(wrong_address, wrapped) for wrong_address in (True, False) for wrapped in (True, False)),
    *(_left_rule(wrapped) for wrapped in (True, False)),
    *told(
        name="athena.geant4",
        error="UNKNOWNTRFFAILURE",
        pattern=r"G4Exception-START.*EEEE|\*\*\* Fatal [Ee]xception \*\*\*|Fatal Exception \*\*\* core dump",
        specificity=Specificity.FAILURE + 3,
        blame=Blame.EXPERIMENT,
        says="Geant4 met a fatal exception in the simulation",
        advice=_EXPERTS,
        sample="-------- EEEE ------- G4Exception-START -------- EEEE -------".replace(
            "-------- EEEE -------", "", 1
        )
        + " *** Fatal Exception *** core dump ***",
        counter_sample="-------- WWWW ------- G4Exception-START -------- WWWW -------",
    ),
    *told(
        name="athena.no_component",
        error="UNKNOWNTRFFAILURE",
        pattern=r"\b(?:PluginService|DLLClassManager|ServiceManager|AlgorithmManager|ToolSvc)\b.{0,120}"
        r"(?:[Cc]annot load|could not be loaded|No factory|[Uu]nable to create|Cannot create)",
        specificity=Specificity.FAILURE + 4,
        blame=Blame.EXPERIMENT,
        says="Athena could not load one of its components",
        advice="Check that the release, and a user's own packages, hold that component and its libraries.",
        sample="ServiceManager FATAL No factory for component TrkMagFieldSvc",
        counter_sample="ServiceManager INFO component TrkMagFieldSvc is loaded",
    ),
    *told(
        name="athena.job_options",
        error="PAYLOADEXECUTIONFAILURE",
        pattern=r"Shortened traceback \(most recent user call last\)|"
        r"IncludeError: include file (?P<file>\S+) can not be found|"
        r"problems? (?:in|with) (?:the )?job ?options|athena\.py: error: (?P<words>.*)",
        specificity=Specificity.FAILURE + 4,
        blame=Blame.USER_INPUT,
        retry=Retry.NEVER,
        says="the job options are wrong: Athena could not read them to their end",
        advice="The traceback below it names file and line of the job options; mend them and try them by hand.",
        sample="IncludeError: include file MyPackage/MyOptions.py can not be found",
        counter_sample="including file MyPackage/MyOptions.py",
    ),
    *told(
        name="athena.configuration",
        error="PAYLOADEXECUTIONFAILURE",
        pattern=r"(?:ConfigurationError|DeduplicationFailed|ConfigFlags.*(?:No flag|not found|has been locked)|"
        r"RuntimeError: .*(?:ComponentAccumulator|was never merged))",
        specificity=Specificity.FAILURE + 3,
        blame=Blame.USER_INPUT,
        retry=Retry.NEVER,
        says="Athena's configuration contradicts itself",
        advice="The traceback below it names file and line of the configuration; mend it and try it by hand.",
        sample="RuntimeError: ComponentAccumulator was never merged",
        counter_sample="ComponentAccumulator INFO merged",
    ),
    *told(
        name="athena.input_open",
        error="MISSINGINPUTFILE",
        pattern=r"(?:EventSelector|AthenaPoolAddressProviderSvc|PoolSvc|RootSvc|MetaInputLoader)\S* +(?:ERROR|FATAL) .*"
        r"(?:[Uu]nable to open|[Ff]ailed to open|[Cc]annot open|could not open)",
        specificity=Specificity.FAILURE + 6,
        blame=Blame.STORAGE,
        retry=Retry.ELSEWHERE,
        says="Athena could not open an input file",
        advice="Check the input's replica and its catalogue entry; another replica may be good.",
        sample="EventSelector FATAL Unable to open file root://se.example.org//data/AOD.1.pool.root",
        counter_sample="EventSelector INFO Opened file AOD.1.pool.root",
    ),
    *told(
        name="athena.input_damaged",
        error="UNKNOWNTRFFAILURE",
        pattern=r"\b(?:PoolSvc|RootSvc|APR|StorageSvc|RootCollection)\S{0,40} +(?:ERROR|FATAL) .*"
        r"(?:corrupt|truncated|[Cc]annot read|could not read|not a ROOT file)",
        specificity=Specificity.FAILURE + 7,
        blame=Blame.STORAGE,
        retry=Retry.ELSEWHERE,
        says="an input file is damaged: Athena opened it and could not read on",
        advice="Compare the replica's checksum with the catalogue's and declare it bad if they differ.",
        sample="APR.RootStorageSvc ERROR Cannot read object from container: file may be corrupt",
        counter_sample="APR.RootStorageSvc INFO read object from container",
    ),
    *told(
        name="athena.generator",
        error="UNKNOWNTRFFAILURE",
        pattern=r"TestHepMC +(?:FATAL|ERROR) .*efficiency|(?:EvtGen|Generate|Gen)_tf.*(?:no events|[Tt]oo few events)|"
        r"(?:[Nn]ot enough|[Rr]an out of) (?:LHE )?(?:input )?events",
        specificity=Specificity.FAILURE + 5,
        blame=Blame.USER_INPUT,
        retry=Retry.NEVER,
        says="the generator gave too few good events",
        advice="Check the filter's efficiency and the number of input events in the job options of the generator.",
        sample="TestHepMC FATAL The final efficiency is 80.1 per cent, below 98",
        counter_sample="TestHepMC INFO The final efficiency is 99.9 per cent",
    ),
)
