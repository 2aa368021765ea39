"""Rules for software that is not there or does not fit the node: libraries, symbols, commands, CVMFS.

Python modules are in `python`; container images in `containers`.
"""

from picard_pilot.model.fault import Blame, Retry
from picard_pilot.model.rule import Rule, Specificity, Where

_RELEASE = (
    "Set the release up as its authors say before the program runs; report it to them if it is incomplete."
)
_SYSTEM_LIBRARIES = (
    r"lib(?:GLU?|EGL|X\w+|nsl|crypt|ncurses\w*|tinfo|freetype|fontconfig|png\d*|jpeg|uuid|SM|ICE)\.so"
)
"""What experiments ask of the system itself on every node, and do not bring along."""

RULES: tuple[Rule, ...] = (
    Rule(
        name="software.no_library",
        error="MISSINGINSTALLATION",
        where=Where.LOGS,
        when=r"(?:error while loading shared libraries|OSError): (?P<library>[^ :]+): cannot open shared object",
        is_pattern=True,
        specificity=Specificity.CAUSE,
        blame=Blame.PAYLOAD,
        says="the program needs the library {library}, which is not where the loader looks",
        advice="Set up the release that the program was compiled with, or send the library with the job.",
        sample="./ana: error while loading shared libraries: libMyTools.so: cannot open shared object "
        "file: No such file "
        "or directory",
        counter_sample="./ana: loading shared libraries: libMyTools.so",
    ),
    Rule(
        name="software.no_library_cvmfs",
        error="MISSINGINSTALLATION",
        where=Where.LOGS,
        when=r"^/cvmfs/\S+: error while loading shared libraries: (?P<library>[^ :]+): cannot open shared "
        r"object|"
        r"error while loading shared libraries: (?P<file>/cvmfs/[^ :]+): cannot open|"
        r"ImportError: (?P<python>[^ :]+): cannot open shared object file",
        is_pattern=True,
        specificity=Specificity.CAUSE + 2,
        blame=Blame.EXPERIMENT,
        says="installed software lacks one of its own libraries",
        advice=_RELEASE,
        sample="/cvmfs/sw.example.org/v1/bin/reco: error while loading shared libraries: libGeo.so: cannot "
        "open shared "
        "object file: No such file or directory",
        counter_sample="./ana: error while loading shared libraries: libGeo.so: cannot open shared object "
        "file",
    ),
    Rule(
        name="software.no_system_library",
        error="MISSINGINSTALLATION",
        where=Where.LOGS,
        when=rf"(?:error while loading shared libraries|ImportError): (?P<library>{_SYSTEM_LIBRARIES}[^ "
        rf":]*): cannot open",
        is_pattern=True,
        specificity=Specificity.CAUSE + 4,
        blame=Blame.NODE,
        retry=Retry.ELSEWHERE,
        says="the node lacks the system's library {library}",
        advice="Install the meta-package of libraries that the experiment asks of its sites, or use a "
        "container.",
        sample="root.exe: error while loading shared libraries: libXpm.so.4: cannot open shared object "
        "file: No such file "
        "or directory",
        counter_sample="root.exe: error while loading shared libraries: libHist.so: cannot open shared "
        "object file",
    ),
    Rule(
        name="software.glibc",
        error="MISSINGINSTALLATION",
        where=Where.LOGS,
        when=r"version [`'](?P<version>GLIBC(?:XX)?_[\d.]+|CXXABI_[\d.]+)' not found",
        is_pattern=True,
        specificity=Specificity.CAUSE + 5,
        blame=Blame.NODE,
        retry=Retry.ELSEWHERE,
        says="the program was made for a newer system than it ran on: {version} is not there",
        advice="Compile it for the platform of the release, or run it in a container with the system it "
        "was made on.",
        sample="./ana: /lib64/libc.so.6: version `GLIBC_2.34' not found (required by ./ana)",
        counter_sample="glibc version 2.34",
    ),
    Rule(
        name="software.no_symbol",
        error="PAYLOADEXECUTIONFAILURE",
        where=Where.LOGS,
        when=r"symbol lookup error: (?P<library>[^ :]+): undefined symbol|: undefined symbol: "
        r"(?P<symbol>\S+)|"
        r"undefined reference to [`']",
        is_pattern=True,
        specificity=Specificity.CAUSE,
        blame=Blame.PAYLOAD,
        retry=Retry.NEVER,
        says="a library does not fit the program: a symbol that it needs is not defined",
        advice="Compile the program again with the release that the job sets up.",
        sample="./ana: symbol lookup error: ./libMyTools.so: undefined symbol: _ZN5TracksD1Ev",
        counter_sample="symbol table: 1200 defined",
    ),
    Rule(
        name="software.no_symbol_cvmfs",
        error="PAYLOADEXECUTIONFAILURE",
        where=Where.LOGS,
        when=r"symbol lookup error: /cvmfs/[^ :]+: undefined symbol|ImportError: /cvmfs/[^ :]+: undefined "
        r"symbol",
        is_pattern=True,
        specificity=Specificity.CAUSE + 2,
        blame=Blame.EXPERIMENT,
        retry=Retry.NEVER,
        says="libraries of installed software do not fit each other",
        advice="Look for a mix of releases in the set-up (LD_LIBRARY_PATH, PYTHONPATH); report it if there "
        "is none.",
        sample="reco: symbol lookup error: /cvmfs/sw.example.org/v1/lib/libGeo.so: undefined symbol: "
        "_ZN3Geo4initEv",
        counter_sample="reco: symbol lookup error: ./libGeo.so: undefined symbol: _ZN3Geo4initEv",
    ),
    Rule(
        name="software.no_command",
        error="PAYLOADEXECUTIONFAILURE",
        where=Where.OUTPUT,
        when=r"(?:line \d+|sh|-c): (?:line \d+: )?(?P<command>[^ :]+): (?:command )?not found$|"
        r"/usr/bin/env: [‘'\"]?(?P<program>[\w.+-]+)\W{0,2}: No such file",
        is_pattern=True,
        exits=(127,),
        specificity=Specificity.CAUSE - 2,
        blame=Blame.PAYLOAD,
        says="a program that the payload calls was not found",
        advice="Check its name and that the set-up puts it into PATH, or send it with the job.",
        sample="./run.sh: line 4: reco_tf.py: command not found",
        counter_sample="./run.sh: line 4: reco_tf.py: command found",
    ),
    Rule(
        name="software.no_command_told",
        error="PAYLOADEXECUTIONFAILURE",
        where=Where.OUTPUT,
        when=r"line \d+: [^ :]+: command not found$",
        is_pattern=True,
        specificity=Specificity.HINT,
        blame=Blame.PAYLOAD,
        says="a script calls a program that was not found, and went on",
        advice="Check the program's name and the set-up; `set -e` makes a script end at its first error.",
        sample="./run.sh: line 2: showquota: command not found",
        counter_sample="showquota: quota not found",
    ),
    Rule(
        name="software.not_executable",
        error="PAYLOADEXECUTIONFAILURE",
        where=Where.OUTPUT,
        when=r"(?:line \d+|sh|-c): (?:line \d+: )?(?P<command>[^ :]+): (?:Permission denied|cannot execute)",
        is_pattern=True,
        exits=(126,),
        specificity=Specificity.CAUSE - 2,
        blame=Blame.PAYLOAD,
        says="a program that the payload calls may not be executed",
        advice="Make it executable (chmod +x) before it is sent, or call it through its interpreter.",
        sample="./run.sh: line 4: ./ana: Permission denied",
        counter_sample="./run.sh: line 4: ./ana: permission checked",
    ),
    Rule(
        name="software.bad_format",
        error="PAYLOADEXECUTIONFAILURE",
        where=Where.OUTPUT,
        when=r"cannot execute binary file|Exec format error|bad interpreter: No such file",
        is_pattern=True,
        specificity=Specificity.CAUSE,
        blame=Blame.PAYLOAD,
        says="a program is not for this kind of processor, or its interpreter is not there",
        advice="Compile it for the architecture of the queue; check the script's first line for Windows "
        "line ends.",
        sample="./run.sh: ./ana: cannot execute binary file: Exec format error",
        counter_sample="executing binary file ./ana",
    ),
    Rule(
        name="software.cvmfs_dead",
        error="CVMFSISNOTALIVE",
        where=Where.LOGS,
        when=r"/cvmfs/.*(?:Transport endpoint is not connected|Input/output error|Too many levels of "
        r"symbolic links|"
        r"Stale file handle|Software caused connection abort)|CernVM-FS: .*(?:failed|offline)",
        is_pattern=True,
        specificity=Specificity.CAUSE + 8,
        says="CVMFS does not answer on this node",
        advice="Check the node's CVMFS client and its proxies: `cvmfs_config probe`, `cvmfs_config stat`.",
        sample="ls: cannot access '/cvmfs/sw.example.org': Transport endpoint is not connected",
        counter_sample="/cvmfs/sw.example.org/setup.sh: done",
    ),
    Rule(
        name="software.no_release",
        error="MISSINGINSTALLATION",
        where=Where.LOGS,
        when=r"(?P<path>/cvmfs/[^ :'\"’]+)['\"’]?: (?:No such file or directory|not found)|"
        r"No such file or directory: ['\"](?P<file>/cvmfs/[^'\"]+)",
        is_pattern=True,
        specificity=Specificity.CAUSE - 1,
        blame=Blame.EXPERIMENT,
        says="a file of installed software is not there",
        advice="Check the release's name and platform, and that the repository is mounted on the node.",
        sample="./run.sh: line 2: /cvmfs/sw.example.org/v9/setup.sh: No such file or directory",
        counter_sample="./run.sh: line 2: ./setup.sh: No such file or directory",
    ),
    Rule(
        name="software.root_dictionary",
        error="PAYLOADEXECUTIONFAILURE",
        where=Where.LOGS,
        when=r"IncrementalExecutor::executeFunction: symbol '.*' "
        r"unresolved|cling::DynamicLibraryManager::loadLibrary\(\): "
        r"|Error in <TInterpreter::\w+>: ",
        is_pattern=True,
        specificity=Specificity.FAILURE - 1,
        blame=Blame.PAYLOAD,
        says="ROOT could not load or link code at run time",
        advice="Load the library with the missing class first, and compile it with the same ROOT version.",
        sample="IncrementalExecutor::executeFunction: symbol '_ZN5TrackC1Ev' unresolved while linking "
        "[cling interface]",
        counter_sample="Info in <TInterpreter::Autoload>: done",
    ),
    Rule(
        name="software.root_macro",
        error="PAYLOADEXECUTIONFAILURE",
        where=Where.LOGS,
        when=r"^(?:In file included from )?\S*input_line_\d+:\d+(?::\d+)?: error: "
        r"|^\S+\.(?:C|cc|cxx|cpp|h):\d+:\d+: (?:fatal "
        r")?error: ",
        is_pattern=True,
        specificity=Specificity.FAILURE - 2,
        blame=Blame.PAYLOAD,
        retry=Retry.NEVER,
        says="C++ code of the payload does not compile",
        advice="Mend the line that the evidence names; compile it with the job's release before it is sent.",
        sample="ana.C:12:9: error: use of undeclared identifier 'hPt'",
        counter_sample="ana.C:12:9: warning: unused variable 'hPt'",
    ),
    Rule(
        name="software.link",
        error="PAYLOADEXECUTIONFAILURE",
        where=Where.LOGS,
        when=r"\bld: cannot find -l(?P<library>\S+)|collect2: error: ld returned",
        is_pattern=True,
        specificity=Specificity.FAILURE - 2,
        blame=Blame.PAYLOAD,
        retry=Retry.NEVER,
        says="a program of the payload could not be linked",
        advice="Set up the release that has the library, and link with its path (-L).",
        sample="/usr/bin/ld: cannot find -lHist: No such file or directory",
        counter_sample="linking with -lHist",
    ),
    Rule(
        name="software.arguments_too_long",
        error="PAYLOADEXECUTIONFAILURE",
        where=Where.LOGS,
        when="Argument list too long",
        specificity=Specificity.CAUSE,
        blame=Blame.USER_INPUT,
        retry=Retry.NEVER,
        says="a command of the payload has more arguments than the system takes",
        advice="Give file names in a file instead of on the command line, or fewer files per job.",
        sample="./run.sh: line 9: /usr/bin/hadd: Argument list too long",
        counter_sample="argument list: 12 files",
    ),
)
