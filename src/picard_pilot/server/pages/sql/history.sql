-- The histories of several jobs at once, each in order; `ids` is a JSON list.
SELECT job_id, at, status, sub_status, host, who, note
FROM status_log
WHERE job_id IN (SELECT value FROM json_each(:ids))
ORDER BY id
