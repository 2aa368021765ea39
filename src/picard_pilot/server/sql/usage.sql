-- The curve of what a job's payload uses.

-- name: add
INSERT INTO usage_points (job_id, wall_s, cpu_s, rss_kb, pss_kb, swap_kb, processes, directory_bytes, free_bytes,
                          output_bytes, quiet_s, spinning_s, rchar, wchar, read_bytes, write_bytes)
VALUES (:job_id, :wall_s, :cpu_s, :rss_kb, :pss_kb, :swap_kb, :processes, :directory_bytes, :free_bytes,
        :output_bytes, :quiet_s, :spinning_s, :rchar, :wchar, :read_bytes, :write_bytes)
ON CONFLICT (job_id, wall_s) DO NOTHING

-- name: count
SELECT count(*) FROM usage_points WHERE job_id = ?

-- Every second one; the first and the newest stay.
-- name: thin
DELETE FROM usage_points
WHERE job_id = :job_id AND wall_s IN (
    SELECT wall_s FROM (SELECT wall_s, row_number() OVER (ORDER BY wall_s) AS place
                        FROM usage_points WHERE job_id = :job_id)
    WHERE place % 2 = 0)

-- name: of_job
SELECT wall_s, cpu_s, rss_kb, pss_kb, swap_kb, processes, directory_bytes, free_bytes, output_bytes, quiet_s,
       spinning_s, rchar, wchar, read_bytes, write_bytes
FROM usage_points WHERE job_id = ? ORDER BY wall_s
