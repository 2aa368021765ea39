"""Rules for what programs, shells and libraries say of a crash: signals, aborts, uncaught C++ exceptions.

They tell how a program ended, not why: a missing file or full disk that is told too wins over them. Signals that the
launcher saw are in `ends`.
"""

from picard_pilot.model.fault import Blame, Retry
from picard_pilot.model.rule import Rule, Specificity, Where

_DEBUG = "Debug the program; the log archive has its last lines, and a stack trace if it wrote one."

RULES: tuple[Rule, ...] = (
    Rule(
        name="crash.segfault",
        error="PAYLOADSIGSEGV",
        where=Where.LOGS,
        when=r"\bSegmentation fault\b|[Ss]egmentation violation|\bSIGSEGV\b|signal 11\b|Fatal Python "
        r"error: Segmentation",
        is_pattern=True,
        specificity=Specificity.ENDING + 5,
        says="the program crashed with a segmentation fault",
        advice=_DEBUG,
        sample="./run.sh: line 3:  4242 Segmentation fault      (core dumped) ./ana events.root",
        counter_sample="Image segmentation finished without fault",
    ),
    Rule(
        name="crash.bus_error",
        error="PAYLOADEXECUTIONFAILURE",
        where=Where.LOGS,
        when=r"^Bus error\b|: +\d+ Bus error\b|\bSIGBUS\b|Fatal Python error: Bus error",
        is_pattern=True,
        specificity=Specificity.ENDING + 4,
        says="the program crashed with a bus error: a mapped file was cut, or shared memory is full",
        advice="Look whether /dev/shm or the disk was full, and whether a file that it maps was changed "
        "meanwhile.",
        sample="./run.sh: line 3:  4242 Bus error               (core dumped) ./ana",
        counter_sample="Bus errors: none",
    ),
    Rule(
        name="crash.floating_point",
        error="PAYLOADEXECUTIONFAILURE",
        where=Where.LOGS,
        when=r"\bFloating point exception\b|\bSIGFPE\b",
        is_pattern=True,
        specificity=Specificity.ENDING + 4,
        says="the program crashed in an arithmetic operation, such as an integer division by zero",
        advice=_DEBUG,
        sample="./run.sh: line 3:  4242 Floating point exception(core dumped) ./ana",
        counter_sample="floating point precision: 64",
    ),
    Rule(
        name="crash.illegal_instruction",
        error="PAYLOADEXECUTIONFAILURE",
        where=Where.LOGS,
        when=r"\bIllegal instruction\b|\bSIGILL\b|CPU ISA level is lower than required|"
        r"Fatal glibc error: CPU does not support|Please verify that both the operating system and the "
        r"processor support",
        is_pattern=True,
        specificity=Specificity.CAUSE,
        blame=Blame.NODE,
        retry=Retry.ELSEWHERE,
        says="the program uses instructions that this node's processor does not have",
        advice="Run it on a newer processor, or compile it for x86-64-v2.",
        sample="./run.sh: line 3:  4242 Illegal instruction     (core dumped) ./ana",
        counter_sample="instructions per cycle: 1.4",
    ),
    Rule(
        name="crash.heap",
        error="PAYLOADEXECUTIONFAILURE",
        where=Where.LOGS,
        when=r"^(?:\*\*\* (?:Error in|glibc detected)|double free or corruption|free\(\): invalid|"
        r"malloc\(\): |malloc_consolidate\(\)|corrupted (?:size|double-linked)|munmap_chunk\(\)|"
        r"\*\*\* stack smashing detected)",
        is_pattern=True,
        specificity=Specificity.FAILURE - 1,
        blame=Blame.PAYLOAD,
        says="the program damaged its own memory, and the C library ended it",
        advice="Run the program with an address checker (valgrind, -fsanitize=address): it frees or writes "
        "where it may "
        "not.",
        sample="double free or corruption (!prev)\nAborted (core dumped)",
        counter_sample="freed 20 buffers",
    ),
    Rule(
        name="crash.assertion",
        error="PAYLOADEXECUTIONFAILURE",
        where=Where.LOGS,
        when=r"Assertion [`'\"](?P<claim>[^`']*)['\"] failed|assertion failed at|Assertion failed: \(",
        is_pattern=True,
        specificity=Specificity.FAILURE - 1,
        blame=Blame.PAYLOAD,
        says="the program found one of its own assumptions broken (assertion) and aborted",
        advice="Look at the assertion in the source; the input or the options may be unusual.",
        sample="ana: src/Track.cc:88: double pt() const: Assertion `fNdof > 0' failed.",
        counter_sample="all assertions held",
    ),
    Rule(
        name="crash.cpp_exception",
        error="PAYLOADEXECUTIONFAILURE",
        where=Where.LOGS,
        when=r"terminate called after throwing an instance of '(?P<kind>[^']*)'|libc\+\+abi: terminating|"
        r"terminate called without an active exception|terminate called recursively",
        is_pattern=True,
        specificity=Specificity.ENDING + 5,
        blame=Blame.PAYLOAD,
        says="the program ended by a C++ exception that nothing caught",
        advice="Look at what() below it in payload.stderr, and catch the exception or mend its cause.",
        sample="terminate called after throwing an instance of 'std::out_of_range'\n"
        "  what():  vector::_M_range_check",
        counter_sample="caught std::out_of_range, going on",
    ),
    Rule(
        name="crash.abort",
        error="PAYLOADEXECUTIONFAILURE",
        where=Where.LOGS,
        when=r"^Aborted(?: \(core dumped\))?$|: +\d+ Aborted\b|Fatal Python error: Aborted|\bSIGABRT\b",
        is_pattern=True,
        specificity=Specificity.ENDING,
        blame=Blame.PAYLOAD,
        says="the program ended itself by abort",
        advice=_DEBUG,
        sample="./run.sh: line 3:  4242 Aborted                 (core dumped) ./ana",
        counter_sample="Aborted 0 of 20 transactions",
    ),
    Rule(
        name="crash.killed_told",
        error="PAYLOADEXECUTIONFAILURE",
        where=Where.LOGS,
        when=r": +\d+ Killed\b|^Killed$|exited on signal 9 \(Killed\)|fatal error: Killed signal "
        r"terminated program|died with <Signals\.SIGKILL: 9>",
        is_pattern=True,
        specificity=Specificity.ENDING - 2,
        says="a process of the payload was killed (SIGKILL), mostly for lack of memory",
        advice="Look at the job's memory plot against its limit; ask for more memory if it came close.",
        sample="./run.sh: line 3:  4242 Killed                  ./ana events.root",
        counter_sample="Killed 3 idle workers",
    ),
    Rule(
        name="crash.mpi",
        error="PAYLOADEXECUTIONFAILURE",
        where=Where.LOGS,
        when=r"MPI_ABORT was invoked on rank|mpirun (?:noticed that|has exited due to) process rank|BAD "
        r"TERMINATION OF ONE "
        r"OF YOUR APPLICATION PROCESSES",
        is_pattern=True,
        specificity=Specificity.ENDING - 3,
        blame=Blame.PAYLOAD,
        says="a rank of an MPI program failed, and MPI ended the others",
        advice="Look for the first rank's own error above this message.",
        sample="MPI_ABORT was invoked on rank 3 in communicator MPI_COMM_WORLD with errorcode 1.",
        counter_sample="mpirun: 8 ranks on 1 node",
    ),
    Rule(
        name="crash.geant4",
        error="PAYLOADEXECUTIONFAILURE",
        where=Where.LOGS,
        when=r"\*\*\* Fatal Exception \*\*\*",
        is_pattern=True,
        specificity=Specificity.FAILURE,
        blame=Blame.PAYLOAD,
        says="Geant4 ended the program by a fatal exception",
        advice="Look at the lines above it between EEEE: they name the class, the code and the reason.",
        sample="*** G4Exception : GeomNav0003\n*** Fatal Exception *** core dump ***",
        counter_sample="*** This is just a warning message. ***",
    ),
)
