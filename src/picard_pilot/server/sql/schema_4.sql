-- What schema version 4 adds to version 3.

-- Of each failed job the error that decided, kept when it ended: what people group failures by.
CREATE TABLE job_errors (
    job_id INTEGER PRIMARY KEY REFERENCES jobs (job_id),
    at INTEGER NOT NULL,                               -- when the job ended
    component TEXT NOT NULL,                           -- pilot, exe, ddm, dispatcher, sup, payload; none: no reason told
    code INTEGER NOT NULL,
    blame TEXT,                                        -- as the pilot told it; NULL: what the catalogue says
    finer TEXT,                                        -- of a transfer: phase and class, stagein/contact
    endpoint TEXT,                                     -- the storage that failed
    fingerprint TEXT,                                  -- of an error that no rule explains
    queue TEXT NOT NULL,
    owner TEXT NOT NULL,
    host TEXT
) STRICT;

CREATE INDEX job_errors_by_time ON job_errors (at);
CREATE INDEX job_errors_by_fingerprint ON job_errors (fingerprint, at) WHERE fingerprint IS NOT NULL;

-- What the failures of one fingerprint have in common, from the first job that told it.
CREATE TABLE error_groups (
    fingerprint TEXT PRIMARY KEY,
    text TEXT NOT NULL,                                -- the telling lines without what differs from job to job
    sample TEXT NOT NULL,                              -- the same lines as one job had them
    file TEXT NOT NULL                                 -- where they stood: payload.stderr
) STRICT, WITHOUT ROWID;

INSERT INTO job_errors (job_id, at, component, code, queue, owner, host)
SELECT job_id, ended_at,
       CASE WHEN pilot_error_code <> 0 THEN 'pilot' WHEN exe_error_code <> 0 THEN 'exe'
            WHEN ddm_error_code <> 0 THEN 'ddm' WHEN dispatcher_error_code <> 0 THEN 'dispatcher'
            WHEN sup_error_code <> 0 THEN 'sup' WHEN trans_exit_code <> 0 THEN 'payload' ELSE 'none' END,
       coalesce(nullif(pilot_error_code, 0), nullif(exe_error_code, 0), nullif(ddm_error_code, 0),
                nullif(dispatcher_error_code, 0), nullif(sup_error_code, 0), nullif(trans_exit_code, 0), 0),
       queue, owner, host
FROM jobs WHERE status = 'failed' AND ended_at IS NOT NULL;
