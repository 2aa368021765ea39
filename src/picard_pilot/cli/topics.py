"""The texts of `ppilot help TOPIC`, made from the tables they are about wherever there is one.

Printing one is `cli.help`.
"""

from collections.abc import Callable

from picard_pilot.cli.exits import MEANINGS


def states() -> str:
    """The words for where a job is."""
    from picard_pilot.model.states import PHASE_OF, State

    phases: dict[str, list[str]] = {}
    for state in State:
        phases.setdefault(PHASE_OF[state].value, []).append(state.value)
    pilot = [f"  {phase:<10} {', '.join(names)}" for phase, names in phases.items()]
    server = [
        "  activated    waits for a pilot",
        "  sent         given to a pilot, which has said nothing yet",
        "  starting     the pilot prepares it: setup, stage-in",
        "  running      its payload has started",
        "  holding      its pilot is done and the server judges the report; or its outputs wait for a storage",
        "  transferring its outputs are on their way to another site",
        "  finished     done, outputs registered",
        "  failed       not done; the errors say why",
        "  cancelled    killed before or while it ran",
        "  closed       ended without blame, and without using up an attempt",
    ]
    return "\n".join(
        ["States on the server (the STATE of `ppilot job list`):", *server, "",
         "Phases in the pilot (the PHASE, and the states that each stands for):", *pilot]
    )  # fmt: skip


def agent_meanings() -> dict[int, str]:
    """The exit codes of `ppilot run`, from the errors that stand for them."""
    from picard_pilot.diagnosis.catalogue.codes import ROWS
    from picard_pilot.diagnosis.catalogue.shell import EXITS, OK

    meanings = {OK: "all is well, whatever became of its jobs"}
    for code in sorted(set(EXITS.values())):
        rows = [row for row in ROWS if row.shell_exit == code]
        meanings[code] = f"{rows[0].summary} ({', '.join(str(row.number) for row in rows)})"
    return meanings


def exit_codes() -> str:
    """Both families of exit codes."""
    tools = [f"  {int(code):>3}  {meaning}" for code, meaning in MEANINGS.items()]
    agent = [f"  {code:>3}  {meaning}" for code, meaning in agent_meanings().items()]
    return "\n".join(
        ["All commands but `ppilot run`:", *tools, "",
         "`ppilot run`, as batch wrappers and Harvester read them; never 1 or 2, which mean something else to them:",
         *agent, "", "The numbers in brackets are the pilot's errors: `ppilot explain NUMBER`."]
    )  # fmt: skip


def environment() -> str:
    """The environment variables: one for each setting, and those of the grid."""
    from picard_pilot.settings.environment import CREDENTIAL_VARIABLES, SCRATCH_VARIABLES
    from picard_pilot.settings.table import TABLE

    width = max(len(option.variable) for option in TABLE)
    lines = []
    for option in TABLE:
        also = f" (also {', '.join(option.variables)})" if option.variables else ""
        lines.append(f"  {option.variable:<{width}}  {option.help}{also}")
    return "\n".join(
        [
            "Every setting is a flag, a variable and a key of the settings file; the flag wins over the variable,",
            "the variable over the file. `ppilot config show --origin` says where each value comes from.",
            "",
            *lines,
            f"  {'PICARD_CONFIG':<{width}}  the settings file",
            "",
            f"Credentials are looked for with {', '.join(CREDENTIAL_VARIABLES)};",
            "payloads get none of them unless their experiment asks for it.",
            f"Where a site wants jobs to write is taken from {', then '.join(SCRATCH_VARIABLES)}.",
            "Colours: NO_COLOR, CLICOLOR_FORCE and TERM=dumb are obeyed.",
        ]
    )


def files() -> str:
    """What lies where on a worker node."""
    return """\
In the pilot's work directory (--workdir):
  pilotlog.txt            the pilot's log
  pandaIDs.out            the ids of its jobs, one per line
  pilot_heartbeat.json    replaced every minute: proof that the pilot lives
  transferlog.txt         the log of the process that moves files
  PanDA_Pilot-<jobid>/    one job

In a job's directory:
  payload.stdout, payload.stderr    what the program wrote
  jobReport.json                    the program's own report, if it writes one
  payload_error_report.json         {"error_code": 7, "error_diag": "..."}, if the program writes one
  pilotlog.txt                      the part of the pilot's log that is about this job
  picard/journal.jsonl              everything that happened to the job: what a later pilot goes on from
  picard/status.json                where the job is, at a glance
  picard/lease.json                 which pilot has the job (lease.1.json: the next one, ...)

What pilots left, and until when it waits: `ppilot recover list`.
Settings files: `ppilot config path`. A server's data: `ppilot server status`."""


def signals() -> str:
    """What signals do to a pilot."""
    return """\
SIGTERM, SIGINT, SIGQUIT, SIGXCPU, SIGUSR1, SIGUSR2, SIGHUP and SIGBUS end a pilot: it takes no further job, asks its
payloads to end (--stop-grace), and tells the server (--report-grace). A report that cannot be delivered in time
waits on disk for the next pilot in the same work directory. The exit code is 128 plus the signal's number. A second
signal shortens the waiting.

SIGKILL ends the pilot at once and its payload not at all: the next pilot in the same work directory finds the
payload, waits for it, and brings the job to its end."""


TOPICS: dict[str, tuple[str, Callable[[], str]]] = {
    "states": ("where a job can be, on the server and in the pilot", states),
    "exit-codes": ("what the commands exit with", exit_codes),
    "environment": ("the variables that set things", environment),
    "files": ("what lies where", files),
    "signals": ("what signals do to a pilot", signals),
}
