"""Rules for payloads that got no memory: allocations that failed, and kills that logs tell of.

Kills that the pilot itself sees in the control group are in `ends`; limits that it watches in `lifecycle.limits`.
"""

from picard_pilot.model.fault import Blame, Retry
from picard_pilot.model.rule import Rule, Specificity, Where

_MORE = "Ask for more memory for the task, or find what the program allocates so much of."

RULES: tuple[Rule, ...] = (
    Rule(
        name="memory.bad_alloc",
        error="BADALLOC",
        where=Where.LOGS,
        when=r"std::bad_alloc|std::bad_array_new_length",
        is_pattern=True,
        specificity=Specificity.CAUSE,
        says="a C++ program could not allocate memory",
        advice=_MORE,
        sample="terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc",
        counter_sample="terminate called after throwing an instance of 'std::out_of_range'",
    ),
    Rule(
        name="memory.python",
        error="PAYLOADOUTOFMEMORY",
        where=Where.LOGS,
        when=r"^(?:[\w.]*\._?Array)?MemoryError\b(?:: (?P<what>Unable to allocate [^ ]+ [KMGTP]?i?B))?|"
        r"\._ArrayMemoryError: (?P<array>Unable to allocate [\d.]+ [KMGTP]?i?B)",
        is_pattern=True,
        specificity=Specificity.CAUSE,
        says="a Python program could not allocate memory",
        advice=_MORE,
        sample="numpy.core._exceptions._ArrayMemoryError: Unable to allocate 37.3 GiB for an array",
        counter_sample="except MemoryError:",
    ),
    Rule(
        name="memory.refused",
        error="PAYLOADOUTOFMEMORY",
        where=Where.LOGS,
        when=r"[Cc]annot allocate memory|ENOMEM\b|virtual memory exhausted|memory exhausted$",
        is_pattern=True,
        specificity=Specificity.CAUSE,
        says="the system refused the payload memory",
        advice=_MORE,
        sample="OSError: [Errno 12] Cannot allocate memory",
        counter_sample="Memory usage: 1812 MB allocated",
    ),
    Rule(
        name="memory.java",
        error="PAYLOADOUTOFMEMORY",
        where=Where.LOGS,
        when=r"java\.lang\.OutOfMemoryError|There is insufficient memory for the Java Runtime Environment",
        is_pattern=True,
        specificity=Specificity.CAUSE,
        says="a Java program ran out of memory",
        advice="Raise the program's heap (-Xmx) if the job has the memory, else ask for more memory for "
        "the task.",
        sample='Exception in thread "main" java.lang.OutOfMemoryError: Java heap space',
        counter_sample='Exception in thread "main" java.lang.NullPointerException',
    ),
    Rule(
        name="memory.oom_told",
        error="PAYLOADOUTOFMEMORY",
        where=Where.LOGS,
        when=r"Out of memory: Killed process|Memory cgroup out of memory|oom[-_]kill event|oom-killer: "
        r"|OOMKilled|"
        r"Some of (?:your processes|the step tasks) (?:may )?have been (?:OOM )?[Kk]illed",
        is_pattern=True,
        specificity=Specificity.CERTAIN,
        says="the kernel ended processes of the payload for lack of memory, its log says",
        advice="Ask for more memory for the task, or make the program need less.",
        sample="slurmstepd: error: Detected 1 oom_kill event in StepId=4711.batch. Some of the step tasks "
        "have been "
        "OOM Killed.",
        counter_sample="set oom_score_adj to 500",
    ),
    Rule(
        name="memory.job_limit",
        error="PAYLOADEXCEEDMAXMEM",
        where=Where.LOGS,
        when=r"[Ee]xceeded (?:job|step) memory limit|TERM_MEMLIMIT|job killed: (?:v?mem|pmem|pvmem) \d+\S* "
        r"exceeded",
        is_pattern=True,
        specificity=Specificity.CERTAIN,
        says="the batch system ended the payload for using more memory than the slot has",
        advice="Ask for more memory for the task, or make the program need less.",
        sample="slurmstepd: error: Exceeded job memory limit",
        counter_sample="job memory limit: 4000 MB",
    ),
    Rule(
        name="memory.cuda",
        error="PAYLOADOUTOFMEMORY",
        where=Where.LOGS,
        when=r"CUDA(?: error:)? out of memory|CUDA_ERROR_OUT_OF_MEMORY|hipErrorOutOfMemory",
        is_pattern=True,
        specificity=Specificity.CAUSE + 2,
        says="the graphics card had no memory left for the payload",
        advice="Make the batches smaller, or ask for a card with more memory.",
        sample="torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.50 GiB",
        counter_sample="CUDA memory in use: 2.5 GiB",
    ),
    Rule(
        name="memory.stack",
        error="PAYLOADEXECUTIONFAILURE",
        where=Where.LOGS,
        when=r"stack overflow|RecursionError: maximum recursion depth exceeded",
        is_pattern=True,
        specificity=Specificity.FAILURE,
        blame=Blame.PAYLOAD,
        retry=Retry.NEVER,
        says="the program called itself until its stack was full",
        advice="Look for a recursion that does not end.",
        sample="RecursionError: maximum recursion depth exceeded while calling a Python object",
        counter_sample="maximum recursion depth is 1000",
    ),
)
