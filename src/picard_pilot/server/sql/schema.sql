-- The embedded server's tables, schema version 1 (PRAGMA user_version; see store.py).
-- Times are whole milliseconds since 1970 UTC. NULL is unknown.

CREATE TABLE jobs (
    job_id INTEGER PRIMARY KEY AUTOINCREMENT,
    parent_id INTEGER REFERENCES jobs (job_id),        -- the attempt before this one
    first_id INTEGER,                                  -- the first attempt of this work; its own id there
    attempt_nr INTEGER NOT NULL,
    max_attempt INTEGER NOT NULL,
    definition_id INTEGER NOT NULL,                    -- one per submission
    name TEXT NOT NULL,
    queue TEXT NOT NULL,                               -- computingSite
    label TEXT NOT NULL,                               -- prodSourceLabel
    processing_type TEXT,
    owner TEXT NOT NULL,                               -- prodUserID
    priority INTEGER NOT NULL,
    resource_type TEXT,
    task_id INTEGER,
    jobset_id INTEGER,
    transformation TEXT NOT NULL,
    cores INTEGER NOT NULL,
    memory_mb INTEGER,
    disk_mb INTEGER,
    walltime_s INTEGER,
    status TEXT NOT NULL,
    sub_status TEXT,
    wanted_status TEXT,                                -- finished or failed, as the pilot reported; the adder decides
    kill_requested INTEGER NOT NULL DEFAULT 0,
    command TEXT,                                      -- from job/set_command
    debug INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    sent_at INTEGER,
    started_at INTEGER,                                -- first running
    ended_at INTEGER,                                  -- final state
    changed_at INTEGER NOT NULL,                       -- last change of status or accepted final report
    updated_at INTEGER NOT NULL,                       -- last accepted update; what the watcher looks at
    host TEXT,                                         -- modificationHost
    pilot_id TEXT,
    batch_id TEXT,
    scheduler_id TEXT,
    harvester_id TEXT,
    worker_id INTEGER,
    reported_start TEXT,                               -- the payload's times as the pilot said them
    reported_end TEXT,
    trans_exit_code INTEGER,
    pilot_error_code INTEGER,
    pilot_error_diag TEXT,
    exe_error_code INTEGER,
    exe_error_diag TEXT,
    ddm_error_code INTEGER,
    ddm_error_diag TEXT,
    dispatcher_error_code INTEGER,
    dispatcher_error_diag TEXT,
    sup_error_code INTEGER,
    pilot_timing TEXT,
    cpu_consumption_time INTEGER,
    cpu_consumption_unit TEXT,
    cpu_conversion_factor REAL,
    cpu_architecture_level TEXT,
    n_events INTEGER,
    n_input_files INTEGER,
    core_count INTEGER,
    mean_core_count INTEGER,
    job_metrics TEXT,
    corrupted_files TEXT,
    grid TEXT,
    source_site TEXT,
    destination_site TEXT,
    max_rss INTEGER, max_vmem INTEGER, max_swap INTEGER, max_pss INTEGER,                      -- kB
    avg_rss INTEGER, avg_vmem INTEGER, avg_swap INTEGER, avg_pss INTEGER,                      -- kB
    tot_rchar REAL, tot_wchar REAL, tot_rbytes REAL, tot_wbytes REAL,                          -- kB
    rate_rchar REAL, rate_wchar REAL, rate_rbytes REAL, rate_wbytes REAL                       -- kB per second
) STRICT;

CREATE INDEX jobs_waiting ON jobs (queue, priority DESC, job_id) WHERE status = 'activated';
CREATE INDEX jobs_open ON jobs (job_id) WHERE ended_at IS NULL;
CREATE INDEX jobs_by_status ON jobs (status, job_id);
CREATE INDEX jobs_by_first ON jobs (first_id, job_id);
CREATE INDEX jobs_by_parent ON jobs (parent_id) WHERE parent_id IS NOT NULL;

-- What was submitted, and the job dictionary made of it; apart, since parameters may be megabytes.
CREATE TABLE job_specs (
    job_id INTEGER PRIMARY KEY REFERENCES jobs (job_id),
    dictionary BLOB NOT NULL                           -- JSON object without PandaID, attemptNr, debug
) STRICT;

CREATE TABLE files (
    job_id INTEGER NOT NULL REFERENCES jobs (job_id),
    position INTEGER NOT NULL,
    role TEXT NOT NULL,                                -- input, output, log
    lfn TEXT NOT NULL,
    scope TEXT,
    guid TEXT,
    dataset TEXT,
    size_bytes INTEGER,
    checksum TEXT,                                     -- ad:... or md5:...
    endpoint TEXT,
    surl TEXT,
    may_be_absent INTEGER NOT NULL DEFAULT 0,
    status TEXT NOT NULL,                              -- ready, unknown, failed, skipped, absent
    PRIMARY KEY (job_id, position)
) STRICT, WITHOUT ROWID;

-- Every change of status or sub status, in order; its id is the event id of the live feed.
CREATE TABLE status_log (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id INTEGER NOT NULL REFERENCES jobs (job_id),
    at INTEGER NOT NULL,
    status TEXT NOT NULL,
    sub_status TEXT,
    host TEXT,
    who TEXT NOT NULL,                                 -- user, pilot, dispatcher, adder, watcher
    note TEXT
) STRICT;

CREATE INDEX status_log_by_job ON status_log (job_id, id);

-- Final reports waiting for the adder, by job and attempt (attempt 0: the pilot sent no attempt number).
CREATE TABLE output_reports (
    job_id INTEGER NOT NULL,
    attempt_nr INTEGER NOT NULL,
    wanted_status TEXT NOT NULL,
    report TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    judged_at INTEGER,
    verdict TEXT,
    PRIMARY KEY (job_id, attempt_nr)
) STRICT, WITHOUT ROWID;

CREATE INDEX output_reports_waiting ON output_reports (received_at) WHERE judged_at IS NULL;

CREATE TABLE metadata (
    job_id INTEGER PRIMARY KEY,
    text TEXT NOT NULL
) STRICT;

CREATE TABLE debug_stdout (
    job_id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    text TEXT NOT NULL
) STRICT;

CREATE TABLE pilot_logs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id INTEGER NOT NULL,
    at INTEGER NOT NULL,
    text TEXT NOT NULL
) STRICT;

CREATE INDEX pilot_logs_by_job ON pilot_logs (job_id, id);

-- Workers as Harvester numbers them.
CREATE TABLE workers (
    harvester_id TEXT NOT NULL,
    worker_id TEXT NOT NULL,
    status TEXT,                                       -- started, finished, as the pilot said
    node_id TEXT,
    first_seen_at INTEGER NOT NULL,
    last_seen_at INTEGER NOT NULL,
    PRIMARY KEY (harvester_id, worker_id)
) STRICT, WITHOUT ROWID;

-- Who asked for jobs: one row per queue and node.
CREATE TABLE pilots (
    queue TEXT NOT NULL,
    node TEXT NOT NULL,
    first_seen_at INTEGER NOT NULL,
    last_seen_at INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    jobs_given INTEGER NOT NULL,
    last_job_id INTEGER,
    PRIMARY KEY (queue, node)
) STRICT, WITHOUT ROWID;

CREATE TABLE counters (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO counters VALUES ('definition_id', 0);
