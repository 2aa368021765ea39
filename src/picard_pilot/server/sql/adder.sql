-- What the adder and the watcher look for.

-- name: waiting_reports
SELECT job_id, attempt_nr, wanted_status, report
FROM output_reports WHERE judged_at IS NULL
ORDER BY received_at, job_id LIMIT ?

-- name: job
SELECT status, attempt_nr, kill_requested, sub_status, label, pilot_error_code, exe_error_code, trans_exit_code
FROM jobs WHERE job_id = ?

-- name: files
SELECT position, role, lfn, may_be_absent FROM files WHERE job_id = ? ORDER BY position

-- name: judged
UPDATE output_reports SET judged_at = ?, verdict = ? WHERE job_id = ? AND attempt_nr = ?

-- name: stored_file
UPDATE files
SET status = 'ready', guid = :guid, size_bytes = :size_bytes, checksum = :checksum,
    endpoint = coalesce(:endpoint, endpoint), surl = :surl
WHERE job_id = :job_id AND position = :position

-- name: file_status
UPDATE files SET status = ? WHERE job_id = ? AND position = ?

-- name: further_file
INSERT INTO files (job_id, position, role, lfn, guid, size_bytes, checksum, endpoint, surl, status)
SELECT :job_id, max(position) + 1, 'output', :lfn, :guid, :size_bytes, :checksum, :endpoint, :surl, 'ready'
FROM files WHERE job_id = :job_id

-- name: overdue
SELECT job_id, status, attempt_nr, label, priority, created_at, updated_at, pilot_error_diag, exe_error_diag,
       harvester_id, worker_id, kill_requested,
       EXISTS (SELECT 1 FROM output_reports r
               WHERE r.job_id = j.job_id AND r.attempt_nr = j.attempt_nr AND r.judged_at IS NULL)
FROM jobs j
WHERE ended_at IS NULL AND (updated_at < :silent_before OR created_at < :created_before)

-- name: worker_status
SELECT status FROM workers WHERE harvester_id = ? AND worker_id = ?
