"""The options: one row each. Help, `config show`, the completion scripts and the reference page follow from it.

To add an option, add a row here and a field in `settings.settings`; a test compares the two.
"""

# ruff: noqa: E501 - a table reads best with one fact per line

from picard_pilot.settings.option import Kind, Option

CLIENT = ("job", "submit", "peek")
"""The commands that talk to a server as a person's tool."""

SERVER_GROUP = "server"
JOBS_GROUP = "which jobs"
SITE_GROUP = "site"
STAGING_GROUP = "staging"
RUN_GROUP = "running"
LISTEN_GROUP = "listening"
DEMO_GROUP = "demo"
CLIENT_GROUP = "answers"

_SERVER: tuple[Option, ...] = (
    Option("server_url", "server", Kind.TEXT, None, SERVER_GROUP,
           "address of the PanDA server, such as https://panda.example.org:25443",
           "every collaboration has its own; commands for people find a server that runs on this host by themselves",
           flags=("--server",), commands=("run", *CLIENT), metavar="URL", pilot3=("--url",), variables=("PANDA_SERVER_URL",)),
    Option("port", "pilot.port", Kind.INTEGER, None, SERVER_GROUP,
           "port of the PanDA server, if the address names none (then 25443)",
           "25443 is where PanDA servers listen for pilots",
           flags=("-p", "--port"), metavar="PORT", minimum=1, maximum=65535),
    Option("ca", "ca", Kind.PATH, None, SERVER_GROUP,
           "file or folder of certificate authorities to trust for the server",
           "the system's authorities are trusted when nothing is given",
           flags=("--ca",), commands=("run", *CLIENT), metavar="PATH", pilot3=("--capath",), variables=("X509_CERT_DIR",)),
    Option("plain_http", "plain_http", Kind.YES_NO, False, SERVER_GROUP,
           "permit http instead of https",
           "without TLS anybody on the way can read the credential",
           flags=("--plain-http",), commands=("run", "server", *CLIENT)),
    Option("token_file", "token_file", Kind.PATH, None, SERVER_GROUP,
           "file that holds the token for the server",
           "the places that the grid agreed on are searched when nothing is given",
           flags=("--token-file",), commands=("run", *CLIENT), metavar="FILE"),
    Option("x509_proxy", "pilot.x509_proxy", Kind.PATH, None, SERVER_GROUP,
           "file that holds the X.509 proxy for the server",
           "X509_USER_PROXY and its usual place are searched when nothing is given",
           flags=("--x509-proxy",), metavar="FILE", pilot3=("--cacert",)),
    Option("storage_token_file", "pilot.storage_token_file", Kind.PATH, None, SERVER_GROUP,
           "file that holds the token for storages",
           "the same as for the server, if that was named; else the places that the grid agreed on are searched",
           flags=("--storage-token-file",), metavar="FILE"),
    Option("storage_x509_proxy", "pilot.storage_x509_proxy", Kind.PATH, None, SERVER_GROUP,
           "file that holds the X.509 proxy for storages",
           "the same as for the server, if that was named; else X509_USER_PROXY and its usual place are searched",
           flags=("--storage-x509-proxy",), metavar="FILE"),
)  # fmt: skip

_JOBS: tuple[Option, ...] = (
    Option("queue", "pilot.queue", Kind.TEXT, None, JOBS_GROUP,
           "PanDA queue to take jobs for",
           "needed: a pilot without a queue has no job to ask for",
           flags=("-q", "--queue"), commands=("run", "submit"), metavar="QUEUE"),
    Option("experiment", "pilot.experiment", Kind.TEXT, "generic", JOBS_GROUP,
           "experiment plug-in: a name of `ppilot plugin list`, or module:Class",
           "generic runs any command",
           flags=("--plugin",), metavar="NAME", pilot3=("--pilot-user",)),
    Option("job_label", "pilot.job_label", Kind.TEXT, "unified", JOBS_GROUP,
           "kind of jobs to ask for (prodSourceLabel)",
           "unified takes production and user jobs alike; a credential without the production role needs user",
           flags=("-j", "--job-label"), metavar="LABEL", pilot3=("--joblabel",)),
    Option("resource_type", "pilot.resource_type", Kind.TEXT, None, JOBS_GROUP,
           "resource type to ask for, such as SCORE or MCORE",
           "the server decides when nothing is asked",
           flags=("--resource-type",), metavar="TYPE"),
    Option("jobs", "pilot.jobs", Kind.INTEGER, 0, JOBS_GROUP,
           "jobs to run before leaving; 0: as many as the lifetime permits",
           "starting a pilot costs more than a job in a running one",
           flags=("--jobs",), metavar="N", minimum=0),
    Option("memory_mb", "pilot.memory", Kind.INTEGER, None, JOBS_GROUP,
           "ask only for jobs that need at most this many megabytes of memory",
           "the queue's description says it when nothing is given",
           flags=("--memory",), metavar="MB", minimum=1),
    Option("disk_mb", "pilot.disk", Kind.INTEGER, None, JOBS_GROUP,
           "ask only for jobs that need at most this many megabytes of disk",
           "the free space of the work directory says it when nothing is given",
           flags=("--disk",), metavar="MB", minimum=1),
    Option("harvester_id", "pilot.harvester_id", Kind.TEXT, None, JOBS_GROUP,
           "the Harvester that submitted this pilot",
           "set by Harvester",
           flags=("--harvester-id",), metavar="ID", variables=("HARVESTER_ID",)),
    Option("worker_id", "pilot.worker_id", Kind.INTEGER, None, JOBS_GROUP,
           "number of this pilot as Harvester's worker",
           "set by Harvester",
           flags=("--worker-id",), metavar="ID", variables=("HARVESTER_WORKER_ID",), minimum=0),
    Option("acquire_timeout_s", "pilot.acquire_timeout", Kind.INTEGER, 60, JOBS_GROUP,
           "seconds that the server may look for a job",
           "the server's own default; it keeps 10 s in hand, so that 10 or less never yields a job",
           flags=("--acquire-timeout",), metavar="SECONDS", minimum=11, maximum=600),
    Option("queue_patience_s", "pilot.queue_patience", Kind.SECONDS, 60.0, JOBS_GROUP,
           "leave when the queue gave no job for so long",
           "long enough for the server's brokerage to refill a queue, short enough not to hold an idle slot",
           flags=("--queue-patience",), metavar="SECONDS", minimum=0),
    Option("server_patience_s", "pilot.server_patience", Kind.SECONDS, 3600.0, JOBS_GROUP,
           "without a job, leave when the server could not be understood or reached for so long",
           "a restart or a network repair is over by then; a job that is held waits for as long as the lifetime",
           flags=("--server-patience",), metavar="SECONDS", minimum=0),
)  # fmt: skip

_SITE: tuple[Option, ...] = (
    Option("site_files", "pilot.site_files", Kind.LIST, (), SITE_GROUP,
           "queue facts: TOML file or CRIC PanDA-queue JSON; a later one wins",
           "nothing is guessed about a site",
           flags=("--site-file",), metavar="FILE"),
    Option("storage_files", "pilot.storage_files", Kind.LIST, (), SITE_GROUP,
           "storage facts, when they are not in the site file: TOML or CRIC endpoint JSON",
           "a TOML site file holds both",
           flags=("--storage-file",), metavar="FILE"),
)  # fmt: skip

_STAGING: tuple[Option, ...] = (
    Option("max_alternative_replicas", "pilot.max_alternative_replicas", Kind.INTEGER, 3, STAGING_GROUP,
           "how many other storages with a replica of an input are tried when the site's own does not give it",
           "what three sites cannot give, a fourth rarely can, and each may cost minutes",
           flags=("--max-alternative-replicas",), metavar="N", minimum=0),
    Option("stagein_retry_pause_s", "pilot.stagein_retry_pause", Kind.SECONDS, 300.0, STAGING_GROUP,
           "longest pause between two tries of an input at the same storage; the pauses grow up to it",
           "5 minutes see most restarts of a storage through",
           flags=("--stagein-retry-pause",), metavar="SECONDS", minimum=0.01),
    Option("stageout_retry_pause_s", "pilot.stageout_retry_pause", Kind.SECONDS, 600.0, STAGING_GROUP,
           "the same for outputs",
           "10 minutes: a result that is lost costs more than a wait",
           flags=("--stageout-retry-pause",), metavar="SECONDS", minimum=0.01),
    Option("staging_patience_s", "pilot.staging_patience", Kind.SECONDS, 7200.0, STAGING_GROUP,
           "give up on one file after so long, even if the slot has more time",
           "most outages are over in 2 h; after that the server finds another place sooner",
           flags=("--staging-patience",), metavar="SECONDS", minimum=0),
    Option("node_directory", "pilot.node_directory", Kind.PATH, None, STAGING_GROUP,
           "directory where the pilots of a node share what they know of storages",
           "/tmp/picard-UID, which is this user's alone and local to the node",
           flags=("--node-directory",), metavar="DIR"),
)  # fmt: skip

_RUN: tuple[Option, ...] = (
    Option("workdir", "pilot.workdir", Kind.PATH, None, RUN_GROUP,
           "directory in which job directories are made and left jobs are looked for",
           "OSG_WN_TMP, then TMPDIR, then the directory where the pilot was started",
           flags=("-a", "--workdir"), metavar="DIR"),
    Option("lifetime_s", "pilot.lifetime", Kind.SECONDS, 324000.0, RUN_GROUP,
           "end the pilot, and what it runs, after so long",
           "90 h, the limit of today's pilot; the batch system usually ends the slot before",
           flags=("-l", "--lifetime"), metavar="SECONDS", variables=("PANDAPILOT_LIFETIME",), minimum=1),
    Option("heartbeat_s", "pilot.heartbeat", Kind.SECONDS, 1800.0, RUN_GROUP,
           "time between two updates of a job to the server",
           "the server gives a job up after 2 h of silence: three updates may get lost",
           flags=("--heartbeat",), metavar="SECONDS", minimum=0.05, maximum=7200),
    Option("progress_s", "pilot.progress", Kind.SECONDS, 60.0, RUN_GROUP,
           "time between two updates and log lines about a stage-in or stage-out that is under way",
           "a line a minute; most transfers are over before the first one, so that the server is told nothing more",
           flags=("--progress",), metavar="SECONDS", minimum=0.05, maximum=7200),
    Option("command_poll_s", "pilot.command_poll", Kind.SECONDS, 60.0, RUN_GROUP,
           "time between two questions for commands, such as a kill; 0: only with updates",
           "a kill is obeyed within a minute, for one small request a minute",
           flags=("--command-poll",), metavar="SECONDS", minimum=0),
    Option("stop_grace_s", "pilot.stop_grace", Kind.SECONDS, 10.0, RUN_GROUP,
           "time between the polite and the firm signal to a payload",
           "with the report it fits into the 30 s that Slurm and Kubernetes leave",
           flags=("--stop-grace",), metavar="SECONDS", minimum=0),
    Option("report_grace_s", "pilot.report_grace", Kind.SECONDS, 10.0, RUN_GROUP,
           "time for the final reports when the pilot was told to leave",
           "after that they stay on disk for the next pilot",
           flags=("--report-grace",), metavar="SECONDS", minimum=0),
    Option("hook_limit_s", "pilot.hook_limit", Kind.SECONDS, 600.0, RUN_GROUP,
           "time limit of one call of the experiment plug-in",
           "setting up a software release from a cold cache takes minutes",
           flags=("--hook-limit",), metavar="SECONDS", minimum=0.01),
    Option("output_limit_bytes", "pilot.output_limit", Kind.BYTES, 2 << 30, RUN_GROUP,
           "stop a payload that writes more than this to stdout or stderr",
           "2 GiB, the limit of today's pilot (error 1106)",
           flags=("--output-limit",), metavar="BYTES", minimum=1),
    Option("cleanup", "pilot.cleanup", Kind.YES_NO, True, RUN_GROUP,
           "remove a job's directory once the server has its report",
           "a node's disk is small; jobs that still wait for something are always kept",
           flags=("--cleanup",)),
    Option("recover", "pilot.recover", Kind.YES_NO, True, RUN_GROUP,
           "take up the jobs that an earlier pilot left in the work directory",
           "no result is lost",
           flags=("--recover",)),
    Option("hold_outputs", "pilot.hold_outputs", Kind.YES_NO, True, RUN_GROUP,
           "keep outputs on disk for a later pilot when no storage takes them now",
           "no result is lost; no where nothing on the node outlives a slot, so that the job fails at once",
           flags=("--hold-outputs",)),
    Option("debug", "pilot.debug", Kind.YES_NO, False, RUN_GROUP,
           "write more into the pilot's log",
           "a quiet log is read more often",
           flags=("-d", "--debug")),
    Option("redact", "pilot.redact", Kind.LIST, (), RUN_GROUP,
           "further environment variables whose values are secret",
           "credentials and names that look like one are always kept out of logs",
           flags=("--redact",), metavar="VARIABLE"),
)  # fmt: skip

_LISTEN: tuple[Option, ...] = (
    Option("server_host", "server.host", Kind.TEXT, "127.0.0.1", LISTEN_GROUP,
           "address to listen on",
           "only this host can reach it",
           flags=("--host",), commands=("server",), metavar="ADDRESS"),
    Option("server_port", "server.port", Kind.INTEGER, 25443, LISTEN_GROUP,
           "port to listen on; 0: any free one",
           "where pilots expect a PanDA server",
           flags=("-p", "--port"), commands=("server",), metavar="PORT", minimum=0, maximum=65535),
    Option("server_data_dir", "server.data_dir", Kind.PATH, None, LISTEN_GROUP,
           "folder of the database, the certificates and the token",
           "picard/server in XDG_STATE_HOME or ~/.local/state",
           flags=("--data-dir", "--db"), commands=("server", *CLIENT), metavar="DIR"),
    Option("server_allow_remote", "server.allow_remote", Kind.YES_NO, False, LISTEN_GROUP,
           "permit other hosts to connect",
           "a server opens to the network only when somebody says so",
           flags=("--allow-remote",), commands=("server",)),
)  # fmt: skip

_DEMO: tuple[Option, ...] = (
    Option("demo_jobs", "demo.jobs", Kind.INTEGER, 5, DEMO_GROUP,
           "jobs to submit",
           "enough to see two pilots share them",
           flags=("--jobs",), commands=("demo",), metavar="N", minimum=1, maximum=1000),
    Option("demo_pilots", "demo.pilots", Kind.INTEGER, 2, DEMO_GROUP,
           "pilots to start",
           "two show that jobs are shared",
           flags=("--pilots",), commands=("demo",), metavar="N", minimum=1, maximum=32),
    Option("demo_fail", "demo.fail", Kind.LIST, ("exit7", "signal", "missing-input"), DEMO_GROUP,
           "what goes wrong: exit7, signal, missing-input, none",
           "each failure is explained differently",
           flags=("--fail",), commands=("demo",), metavar="SCENARIO"),
    Option("demo_port", "demo.port", Kind.INTEGER, 0, DEMO_GROUP,
           "port of the demo's server; 0: any free one",
           "the demo never meets another server",
           flags=("--port",), commands=("demo",), metavar="PORT", minimum=0, maximum=65535),
    Option("demo_open", "demo.open", Kind.YES_NO, False, DEMO_GROUP,
           "open the monitor in a browser",
           "not every terminal has one",
           flags=("--open",), commands=("demo",)),
    Option("demo_keep", "demo.keep", Kind.YES_NO, False, DEMO_GROUP,
           "keep the folder with the database, the logs and the outputs",
           "a demo leaves nothing behind",
           flags=("--keep",), commands=("demo",)),
    Option("demo_seconds", "demo.seconds", Kind.SECONDS, 300.0, DEMO_GROUP,
           "give up after so long",
           "twenty times what it normally takes",
           flags=("--seconds",), commands=("demo",), metavar="SECONDS", minimum=1),
)  # fmt: skip

_CLIENT: tuple[Option, ...] = (
    Option("client_timeout_s", "client.timeout", Kind.SECONDS, 30.0, CLIENT_GROUP,
           "give up on an answer after so long",
           "a person waits no longer",
           flags=("--timeout",), commands=CLIENT, metavar="SECONDS", minimum=0.1),
    Option("client_format", "client.format", Kind.TEXT, "table", CLIENT_GROUP,
           "how answers are written: table, wide, plain or csv",
           "people read most answers",
           flags=("--format",), commands=(), metavar="FORMAT", choices=("table", "wide", "plain", "csv")),
)  # fmt: skip

TABLE: tuple[Option, ...] = (*_SERVER, *_JOBS, *_SITE, *_STAGING, *_RUN, *_LISTEN, *_DEMO, *_CLIENT)
BY_NAME: dict[str, Option] = {option.name: option for option in TABLE}
BY_KEY: dict[str, Option] = {option.key: option for option in TABLE}


def options_of(command: str) -> tuple[Option, ...]:
    """The options whose flags `command` takes, in the order of the table."""
    return tuple(option for option in TABLE if command in option.commands)
