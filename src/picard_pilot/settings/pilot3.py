"""The flags of today's pilot that Picard accepts without having an option for them, and what becomes of each.

Flags that mean the same as one of our options stand with it in `settings.table`.
"""

from typing import NamedTuple


class OldFlag(NamedTuple):
    """An accepted flag: whether it takes a value, why it has no effect, and the values it can be obeyed with.

    A flag with `only` asks for another way of working: any other value is a usage error, since a pilot that
    went on regardless would do something else than it was told. `expected` values need no warning.
    """

    flags: tuple[str, ...]
    takes_value: bool
    why: str
    expected: tuple[str, ...] = ()
    only: tuple[str, ...] = ()


_LIFE = "Picard asks with growing pauses until --queue-patience is over"
_TRACE = "transfers are not reported to a trace service yet"
_HARVESTER = "Picard does not exchange files with Harvester yet"
_LOGGING = "output is not shipped to a logging service yet"
_ASK = "servers from 1.0 on do not take it in a job request any more"
_CREDENTIAL = "a credential is judged when it is used"
_HPC = "the workflows for supercomputers are not there yet"

OLD_FLAGS: tuple[OldFlag, ...] = (
    OldFlag(("-w", "--workflow"), True, _HPC, ("generic",), ("generic",)),
    OldFlag(
        ("--harvester-submit-mode",), True, "jobs are taken from the server only", ("PULL",), ("PULL", "pull")
    ),
    OldFlag(
        ("--use-https",),
        True,
        "https is the rule; --plain-http permits http",
        ("True", "true", "yes", "1"),
        ("True", "true", "yes", "1"),
    ),
    OldFlag(("-r", "--resource"), True, "obsolete: the queue's description says it"),
    OldFlag(("-s", "--site"), True, "obsolete: the queue's description says it"),
    OldFlag(("--job-type",), True, "the label says which jobs are wanted (--job-label)"),
    OldFlag(("--country-group",), True, _ASK),
    OldFlag(("--working-group",), True, _ASK),
    OldFlag(("--allow-other-country",), True, _ASK, ("False", "false", "no")),
    OldFlag(("--allow-same-user",), True, "jobs of any task are taken one after another"),
    OldFlag(("--getjobrequests",), True, _LIFE),
    OldFlag(("-x", "--getjobfailures"), True, _LIFE),
    OldFlag(("-z", "--noserverupdate"), False, "every job is reported: no result is lost"),
    OldFlag(
        ("-k", "--noworkerpilotstatusupdate"), False, "the worker is reported when Harvester's ids are known"
    ),
    OldFlag(
        ("-g", "--baseurls"), True, "transformations that are addresses are not downloaded by this experiment"
    ),
    OldFlag(("--queuedata-url",), True, "queue facts come from --site-file"),
    OldFlag(("--storagedata-url",), True, "storage facts come from --storage-file"),
    OldFlag(
        ("--subscribe-to-msgsvc",), False, "commands come with the server's answers, every --command-poll"
    ),
    OldFlag(("-t", "--noproxyverification"), False, _CREDENTIAL),
    OldFlag(("-u", "--verifypayloadproxy"), False, _CREDENTIAL),
    OldFlag(("-y", "--notokenrenewal"), False, _CREDENTIAL),
    OldFlag(("-L", "--leasetime"), True, "it belongs to the stager workflow", ("3600",)),
    OldFlag(("-b", "--nocvmfs"), False, "CVMFS is not needed unless the experiment needs it"),
    OldFlag(("--stageout-attempts",), True, "the experiment's output policy says it", ("1",)),
    OldFlag(("-i", "--versiontag"), True, "the version says it", ("PR",)),
    OldFlag(("--no-pilot-log",), False, "the log is written to pilotlog.txt in any case"),
    OldFlag(("--redirect-stdout",), True, "redirect the command's own output instead"),
    OldFlag(("--pod",), False, "signals are handled alike everywhere"),
    OldFlag(("--harvester-workdir",), True, _HARVESTER),
    OldFlag(("--harvester-datadir",), True, _HARVESTER),
    OldFlag(("--harvester-eventstatusdump",), True, _HARVESTER),
    OldFlag(("--harvester-workerattributes",), True, _HARVESTER),
    OldFlag(("--input-dir",), True, _HPC),
    OldFlag(("--input-destination-dir",), True, _HPC),
    OldFlag(("--output-dir",), True, _HPC),
    OldFlag(("--hpc-resource",), True, _HPC),
    OldFlag(("--hpc-mode",), True, _HPC, ("manytoone",)),
    OldFlag(("--es-executor-type",), True, "event service jobs are not taken yet", ("generic",)),
    OldFlag(("--use-realtime-logging",), False, _LOGGING),
    OldFlag(("--realtime-logging-server",), True, _LOGGING),
    OldFlag(("--realtime-logname",), True, _LOGGING),
    OldFlag(("--use-rucio-traces",), True, _TRACE, ("False", "false", "no")),
    OldFlag(("--rucio-host",), True, _TRACE),
)
