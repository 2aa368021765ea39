-- What schema version 2 adds to version 1.

-- What a payload used at moments of its run, from heartbeats; bounded per job (see usage.py).
CREATE TABLE usage_points (
    job_id INTEGER NOT NULL REFERENCES jobs (job_id),
    wall_s REAL NOT NULL,                              -- since the payload's start
    cpu_s REAL,
    rss_kb INTEGER,
    pss_kb INTEGER,
    swap_kb INTEGER,
    processes INTEGER,
    directory_bytes INTEGER,
    free_bytes INTEGER,
    output_bytes INTEGER,                              -- the largest output
    quiet_s REAL,
    spinning_s REAL,
    rchar INTEGER,
    wchar INTEGER,
    read_bytes INTEGER,
    write_bytes INTEGER,
    PRIMARY KEY (job_id, wall_s)
) STRICT, WITHOUT ROWID;
