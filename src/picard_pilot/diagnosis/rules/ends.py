"""Rules on how a payload ended, by the word of the launcher, the kernel and the node, without any log.

An exit code alone is never a cause: programs give them as they like. What programs say of a crash is in `crashes`.
"""

import signal

from picard_pilot.model.ending import signal_name
from picard_pilot.model.facts import Facts
from picard_pilot.model.fault import Blame, Evidence, Retry
from picard_pilot.model.rule import Hit, Rule, Specificity, Where
from picard_pilot.model.samples import failed

STOPPED_FOR_OUTPUT = "output_limit"
"""The launcher's word for a payload that wrote too much."""
SIGNALLED = "signal_"
"""How its word begins for one that was stopped since somebody signalled the launcher; the number follows."""

LAUNCHERS_WORD = Specificity.WITNESS + 20
"""It knows why it stopped the payload; what the kernel did and what is full follow from that, or come too late."""
KERNELS_WORD = Specificity.WITNESS + 10


def _output_limit(facts: Facts) -> Hit | None:
    if facts.exit.stopped_by != STOPPED_FOR_OUTPUT:
        return None
    written = max(facts.exit.stdout_bytes, facts.exit.stderr_bytes)
    return _hit(f"stopped by the launcher: {STOPPED_FOR_OUTPUT}", bytes=str(written))


def _signal_from_outside(facts: Facts) -> Hit | None:
    why = facts.exit.stopped_by
    if why is None or not why.startswith(SIGNALLED) or not why.removeprefix(SIGNALLED).isdigit():
        return None
    return _hit(f"the launcher got {why}", signal=signal_name(int(why.removeprefix(SIGNALLED))))


def _killed_for_memory(facts: Facts) -> Hit | None:
    if not facts.kernel:
        return None
    what, *more = facts.kernel
    return Hit(evidence=tuple(Evidence(text=text) for text in more or [what]), words={"what": what})


def _full(facts: Facts) -> Hit | None:
    if facts.disk_full is None:
        return None
    how = f"exit code {facts.exit.exit_code}" if facts.signal is None else signal_name(facts.signal)
    return _hit(f"no room left in {facts.disk_full}", how=how)


def _died_of(*numbers: int) -> "_Signal":
    return _Signal(numbers)


class _Signal:
    """The function of a rule for a payload that died of one of these signals, and was not stopped by anybody."""

    def __init__(self, numbers: tuple[int, ...]) -> None:
        self._numbers = numbers
        self.__name__ = "died_of_" + "_".join(map(str, numbers))

    def __call__(self, facts: Facts) -> Hit | None:
        number = facts.signal
        if number not in self._numbers or facts.exit.stopped_by is not None:
            return None
        return _hit(f"it died of {signal_name(number)}", signal=signal_name(number))


def _hit(text: str, **words: str) -> Hit:
    return Hit(evidence=(Evidence(text=text),), words=words)


RULES: tuple[Rule, ...] = (
    Rule(
        name="launcher.output_limit",
        error="STDOUTTOOBIG",
        where=Where.EXIT,
        when=_output_limit,
        specificity=LAUNCHERS_WORD,
        says="the payload was stopped after {bytes} bytes of output",
        advice="Make the program less talkative; its output up to the limit is in the log archive.",
        sample=failed(signal=9, stopped_by="output_limit"),
        counter_sample=failed(signal=9),
    ),
    Rule(
        name="launcher.signal",
        error="KILLSIGNAL",
        where=Where.EXIT,
        when=_signal_from_outside,
        specificity=LAUNCHERS_WORD,
        says="{signal} from outside, such as a batch system, ended the payload",
        advice="Ask the batch system's log why it sent the signal.",
        sample=failed(signal=15, stopped_by="signal_15"),
        counter_sample=failed(signal=15),
    ),
    Rule(
        name="kernel.oom_kill",
        error="PAYLOADOUTOFMEMORY",
        where=Where.KERNEL,
        when=_killed_for_memory,
        specificity=KERNELS_WORD,
        says="{what}",
        advice="Ask for more memory for the task, or make the program need less.",
        sample=failed(
            signal=9, kernel=("the kernel ended 1 of the payload's processes", "oom_kill 1, was 0")
        ),
        counter_sample=failed(signal=9),
    ),
    Rule(
        name="disk.full",
        error="NOLOCALSPACE",
        where=Where.DISK,
        when=_full,
        specificity=Specificity.WITNESS,
        says="the node's disk was full when the payload ended with {how}",
        advice="Free disk space on the node, or raise the job's disk request so that it goes to a larger "
        "one.",
        sample=failed(1, disk_full="/scratch"),
        counter_sample=failed(1),
    ),
    Rule(
        name="crash.segfault_signal",
        error="PAYLOADSIGSEGV",
        where=Where.EXIT,
        when=_died_of(signal.SIGSEGV),
        specificity=Specificity.ENDING + 6,
        says="the payload crashed with a segmentation fault",
        advice="Debug the program; its last lines are in payload.stderr in the log archive.",
        sample=failed(signal=11),
        counter_sample=failed(139),
    ),
    Rule(
        name="crash.illegal_instruction_signal",
        error="PAYLOADEXECUTIONFAILURE",
        where=Where.EXIT,
        when=_died_of(signal.SIGILL),
        specificity=Specificity.ENDING + 6,
        blame=Blame.NODE,
        retry=Retry.ELSEWHERE,
        says="the program uses an instruction that this node's processor does not have",
        advice="Run it on a newer processor, or compile it for x86-64-v2; /proc/cpuinfo of the node shows what "
        "its processor has.",
        sample=failed(signal=4),
        counter_sample=failed(132),
    ),
    Rule(
        name="batch.cpu_time_signal",
        error="REACHEDMAXTIME",
        where=Where.EXIT,
        when=_died_of(signal.SIGXCPU),
        specificity=Specificity.WITNESS,
        says="the payload used up its limit of CPU time ({signal})",
        advice="Send the job to a queue with a longer limit of CPU time, or make the job smaller.",
        sample=failed(signal=24),
        counter_sample=failed(signal=15),
    ),
    Rule(
        name="disk.file_size_signal",
        error="OUTPUTFILETOOLARGE",
        where=Where.EXIT,
        when=_died_of(signal.SIGXFSZ),
        specificity=Specificity.WITNESS,
        says="the payload wrote a file larger than this account may have ({signal})",
        advice="Split the output, or ask the site to raise its limit of file sizes (ulimit -f).",
        sample=failed(signal=25),
        counter_sample=failed(signal=24),
    ),
)
