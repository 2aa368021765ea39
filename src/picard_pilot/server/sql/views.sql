-- What people look at: jobs, their files, their history; read only.

-- name: rows
SELECT job_id, attempt_nr, max_attempt, parent_id, first_id, name, queue, label, owner, priority, cores,
       status, sub_status, kill_requested, debug, host, pilot_id, batch_id,
       created_at, sent_at, started_at, ended_at, changed_at, updated_at,
       trans_exit_code, pilot_error_code, pilot_error_diag, exe_error_code, exe_error_diag,
       ddm_error_code, ddm_error_diag, dispatcher_error_code, dispatcher_error_diag
FROM jobs
WHERE (:status IS NULL OR status IN (SELECT value FROM json_each(:status)))
  AND (:sub_status IS NULL OR sub_status = :sub_status)
  AND (:queue IS NULL OR queue = :queue)
  AND (:owner IS NULL OR owner = :owner)
  AND (:since IS NULL OR changed_at >= :since)
  AND (:error_code IS NULL OR :error_code IN (pilot_error_code, exe_error_code, ddm_error_code,
                                              dispatcher_error_code, trans_exit_code))
  AND (:host IS NULL OR host = :host)
  AND (:by_failure = 0 OR job_id IN (
      SELECT e.job_id FROM job_errors e
      WHERE (:component IS NULL OR e.component = :component) AND (:code IS NULL OR e.code = :code)
        AND (:fingerprint IS NULL OR e.fingerprint = :fingerprint)
        AND (:finer IS NULL OR e.finer = :finer) AND (:endpoint IS NULL OR e.endpoint = :endpoint)))
  AND (:before IS NULL OR job_id < :before)
ORDER BY job_id DESC
LIMIT :limit

-- name: total
SELECT count(*)
FROM jobs
WHERE (:status IS NULL OR status IN (SELECT value FROM json_each(:status)))
  AND (:sub_status IS NULL OR sub_status = :sub_status)
  AND (:queue IS NULL OR queue = :queue)
  AND (:owner IS NULL OR owner = :owner)
  AND (:since IS NULL OR changed_at >= :since)
  AND (:error_code IS NULL OR :error_code IN (pilot_error_code, exe_error_code, ddm_error_code,
                                              dispatcher_error_code, trans_exit_code))
  AND (:host IS NULL OR host = :host)
  AND (:by_failure = 0 OR job_id IN (
      SELECT e.job_id FROM job_errors e
      WHERE (:component IS NULL OR e.component = :component) AND (:code IS NULL OR e.code = :code)
        AND (:fingerprint IS NULL OR e.fingerprint = :fingerprint)
        AND (:finer IS NULL OR e.finer = :finer) AND (:endpoint IS NULL OR e.endpoint = :endpoint)))

-- name: attempts
SELECT job_id, attempt_nr, max_attempt, parent_id, first_id, name, queue, label, owner, priority, cores,
       status, sub_status, kill_requested, debug, host, pilot_id, batch_id,
       created_at, sent_at, started_at, ended_at, changed_at, updated_at,
       trans_exit_code, pilot_error_code, pilot_error_diag, exe_error_code, exe_error_diag,
       ddm_error_code, ddm_error_diag, dispatcher_error_code, dispatcher_error_diag
FROM jobs
WHERE first_id = (SELECT first_id FROM jobs WHERE job_id = ?)
ORDER BY job_id

-- name: detail
SELECT * FROM jobs WHERE job_id = ?

-- name: files
SELECT lfn, role, scope, guid, dataset, size_bytes, checksum, endpoint, surl, may_be_absent, status
FROM files WHERE job_id = ? ORDER BY position

-- name: dictionary
SELECT dictionary FROM job_specs WHERE job_id = ?

-- name: metadata
SELECT text FROM metadata WHERE job_id = ?

-- name: debug_stdout
SELECT text FROM debug_stdout WHERE job_id = ?

-- name: pilot_log
SELECT text FROM pilot_logs
WHERE job_id = ? AND text NOT LIKE 'transfers of %' AND text NOT LIKE 'limits of the job%' ORDER BY id DESC LIMIT 1

-- They come once, in the same field, alone or behind the note of a stage (`wire.limit_notes`).
-- name: limits
SELECT text FROM pilot_logs
WHERE job_id = ? AND (text LIKE 'limits of the job%' OR text LIKE 'transfers of %' || char(10) || 'limits of the job%')
ORDER BY id DESC LIMIT 1

-- What pilots told of the ways of a job's files (`wire.transfer_notes`) comes in the same field.
-- name: transfer_notes
SELECT text FROM pilot_logs
WHERE job_id = ? AND text LIKE 'transfers of %' ORDER BY id DESC LIMIT 10

-- name: counts
SELECT status, count(*) FROM jobs GROUP BY status

-- name: pilots
SELECT queue, node, first_seen_at, last_seen_at, requests, jobs_given, last_job_id
FROM pilots ORDER BY last_seen_at DESC, queue, node LIMIT ?

-- name: workers
SELECT harvester_id, worker_id, status, node_id, first_seen_at, last_seen_at
FROM workers ORDER BY last_seen_at DESC, harvester_id, worker_id LIMIT ?
