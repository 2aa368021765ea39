-- The status log: every change of a job, in order.

-- name: append
INSERT INTO status_log (job_id, at, status, sub_status, host, who, note) VALUES (?, ?, ?, ?, ?, ?, ?)

-- name: last_id
SELECT coalesce(max(id), 0) FROM status_log

-- name: of_job
SELECT id, at, status, sub_status, host, who, note FROM status_log WHERE job_id = ? ORDER BY id
