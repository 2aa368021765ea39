-- What schema version 3 adds to version 2.

-- What an attempt took of a slot, kept when it ended: seconds of each phase, to be multiplied by the cores.
CREATE TABLE job_costs (
    job_id INTEGER PRIMARY KEY REFERENCES jobs (job_id),
    told_by TEXT NOT NULL,                             -- pilot; or server: from the times of its status log
    cores INTEGER NOT NULL,
    starting_s REAL NOT NULL,
    setup_s REAL NOT NULL,
    stagein_s REAL NOT NULL,
    running_s REAL NOT NULL,
    stageout_s REAL NOT NULL,
    finishing_s REAL NOT NULL,
    cpu_s REAL,
    bytes_in INTEGER NOT NULL,
    bytes_out INTEGER NOT NULL,
    saved_by TEXT,                                     -- recovery+alternative; NULL: nothing had to be saved
    spared INTEGER NOT NULL                            -- tries at sick storages that were not made
) STRICT;
