-- What attempts took of slots: kept when they end, summed for people.

-- name: ended
SELECT cores, core_count, sent_at, updated_at, cpu_consumption_time, job_metrics FROM jobs WHERE job_id = ?

-- name: keep
INSERT INTO job_costs (job_id, told_by, cores, starting_s, setup_s, stagein_s, running_s, stageout_s, finishing_s,
                       cpu_s, bytes_in, bytes_out, saved_by, spared)
VALUES (:job_id, :told_by, :cores, :starting_s, :setup_s, :stagein_s, :running_s, :stageout_s, :finishing_s,
        :cpu_s, :bytes_in, :bytes_out, :saved_by, :spared)
ON CONFLICT (job_id) DO NOTHING

-- name: of_job
SELECT told_by, cores, starting_s, setup_s, stagein_s, running_s, stageout_s, finishing_s, cpu_s, bytes_in,
       bytes_out, saved_by, spared
FROM job_costs WHERE job_id = ?

-- Of sums of whole numbers that anybody may have told, `total` alone never overflows.
-- All that differs in cause, blame or attempt in a row of its own; a few hundred rows whatever the number of jobs.
-- name: sums
SELECT status, component, code, blame, j.attempt_nr AS attempt_nr, saved_by, told_by, count(*) AS jobs,
       sum(c.cores * starting_s) AS starting, sum(c.cores * setup_s) AS setup, sum(c.cores * stagein_s) AS stagein,
       sum(c.cores * running_s) AS running, sum(c.cores * stageout_s) AS stageout,
       sum(c.cores * finishing_s) AS finishing,
       total(cpu_s) AS cpu_s, total(bytes_in) AS bytes_in, total(bytes_out) AS bytes_out, total(spared) AS spared
FROM job_costs c JOIN jobs j ON j.job_id = c.job_id LEFT JOIN job_errors e ON e.job_id = c.job_id
WHERE (:since IS NULL OR j.ended_at >= :since)
  AND (:queue IS NULL OR j.queue = :queue)
  AND (:owner IS NULL OR j.owner = :owner)
GROUP BY status, component, code, blame, j.attempt_nr, saved_by, told_by
