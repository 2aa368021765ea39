-- Jobs: making them, giving them out, updating them, ending them.

-- name: next_definition
UPDATE counters SET value = value + 1 WHERE name = 'definition_id' RETURNING value

-- name: insert
INSERT INTO jobs (parent_id, first_id, attempt_nr, max_attempt, definition_id, name, queue, label,
                  processing_type, owner, priority, resource_type, task_id, jobset_id, transformation, cores,
                  memory_mb, disk_mb, walltime_s, status, debug, created_at, changed_at, updated_at)
VALUES (:parent_id, :first_id, :attempt_nr, :max_attempt, :definition_id, :name, :queue, :label,
        :processing_type, :owner, :priority, :resource_type, :task_id, :jobset_id, :transformation, :cores,
        :memory_mb, :disk_mb, :walltime_s, 'activated', :debug, :now, :now, :now)

-- name: complete
UPDATE jobs
SET first_id = coalesce(first_id, job_id), name = iif(name = '', 'job.' || job_id, name)
WHERE job_id = ?
RETURNING name

-- name: insert_dictionary
INSERT INTO job_specs (job_id, dictionary) VALUES (?, ?)

-- name: insert_file
INSERT INTO files (job_id, position, role, lfn, scope, guid, dataset, size_bytes, checksum, endpoint,
                   may_be_absent, status)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: waiting
SELECT job_id, attempt_nr, debug
FROM jobs
WHERE status = 'activated' AND queue = :queue
  AND label IN (SELECT value FROM json_each(:labels))
  AND (:memory_mb = 0 OR coalesce(memory_mb, 0) <= :memory_mb)
  AND (:disk_mb = 0 OR coalesce(disk_mb, 0) <= :disk_mb)
  AND (:remaining_s = 0 OR coalesce(walltime_s, 0) <= :remaining_s)
  AND (:owner IS NULL OR owner = :owner)
  AND (:task_id IS NULL OR task_id = :task_id)
  AND (:resource_type IS NULL OR resource_type = :resource_type)
ORDER BY priority DESC, job_id
LIMIT :count

-- name: send
UPDATE jobs
SET status = 'sent', sent_at = :now, changed_at = :now, updated_at = :now, host = :node,
    scheduler_id = :scheduler_id, harvester_id = :harvester_id, worker_id = :worker_id
WHERE job_id = :job_id

-- name: dictionary
SELECT s.dictionary, (SELECT f.guid FROM files f WHERE f.job_id = s.job_id AND f.role = 'log')
FROM job_specs s WHERE s.job_id = ?

-- name: situation
SELECT status, attempt_nr, wanted_status, kill_requested, command, debug, sub_status, batch_id, host, owner
FROM jobs WHERE job_id = ?

-- name: move
UPDATE jobs
SET status = :status,
    wanted_status = coalesce(:wanted_status, wanted_status),
    started_at = CASE WHEN :status = 'running' THEN coalesce(started_at, :now) ELSE started_at END,
    changed_at = :now,
    dispatcher_error_diag = :dispatcher_error_diag
WHERE job_id = :job_id

-- Only the columns that the update brought are set (at {columns}): naming all of them costs six times as much.
-- Apart from `move`, since a heartbeat then touches no index.
-- name: update
UPDATE jobs SET updated_at = ?{columns} WHERE job_id = ?

-- name: keep_metadata
INSERT INTO metadata (job_id, text) VALUES (?, ?) ON CONFLICT (job_id) DO NOTHING

-- name: keep_stdout
INSERT INTO debug_stdout (job_id, at, text) VALUES (?, ?, ?)
ON CONFLICT (job_id) DO UPDATE SET at = excluded.at, text = excluded.text

-- name: keep_pilot_log
INSERT INTO pilot_logs (job_id, at, text) VALUES (?, ?, ?)

-- name: file_report
INSERT INTO output_reports (job_id, attempt_nr, wanted_status, report, received_at) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (job_id, attempt_nr) DO NOTHING

-- name: request_kill
UPDATE jobs SET kill_requested = 1 WHERE job_id = ?

-- name: end
UPDATE jobs
SET status = :status, ended_at = :now, changed_at = :now,
    ddm_error_code = coalesce(:ddm_error_code, ddm_error_code),
    ddm_error_diag = coalesce(:ddm_error_diag, ddm_error_diag),
    dispatcher_error_code = coalesce(:dispatcher_error_code, dispatcher_error_code),
    dispatcher_error_diag = coalesce(:dispatcher_error_diag, dispatcher_error_diag),
    sup_error_code = coalesce(:sup_error_code, sup_error_code)
WHERE job_id = :job_id

-- name: set_command
UPDATE jobs SET command = ? WHERE job_id = ?

-- name: set_debug
UPDATE jobs SET debug = ? WHERE job_id = ?

-- name: for_retry
SELECT first_id, attempt_nr, max_attempt, definition_id, queue, owner, label, debug, status,
       (SELECT max(n.job_id) FROM jobs n WHERE n.parent_id = j.job_id)
FROM jobs j WHERE job_id = ?

-- name: see_pilot
INSERT INTO pilots (queue, node, first_seen_at, last_seen_at, requests, jobs_given, last_job_id)
VALUES (:queue, :node, :now, :now, 1, :given, :last_job_id)
ON CONFLICT (queue, node) DO UPDATE
SET last_seen_at = excluded.last_seen_at, requests = requests + 1, jobs_given = jobs_given + excluded.jobs_given,
    last_job_id = coalesce(excluded.last_job_id, last_job_id)

-- name: see_worker
INSERT INTO workers (harvester_id, worker_id, status, node_id, first_seen_at, last_seen_at)
VALUES (:harvester_id, :worker_id, :status, :node_id, :now, :now)
ON CONFLICT (harvester_id, worker_id) DO UPDATE
SET last_seen_at = excluded.last_seen_at, status = coalesce(excluded.status, status),
    node_id = coalesce(excluded.node_id, node_id)
