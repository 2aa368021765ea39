-- Errors of failed jobs: kept when a job ends, counted for people. {chosen} stands for the conditions of a choice.

-- name: told
SELECT job_metrics FROM jobs WHERE job_id = ?

-- name: pilot_log
SELECT text FROM pilot_logs WHERE job_id = ? ORDER BY id DESC LIMIT 1

-- The first error decides, in the order in which a job's page tells them.
-- name: keep
INSERT INTO job_errors (job_id, at, component, code, blame, finer, endpoint, fingerprint, queue, owner, host)
SELECT job_id, coalesce(ended_at, :now),
       CASE WHEN pilot_error_code <> 0 THEN 'pilot' WHEN exe_error_code <> 0 THEN 'exe'
            WHEN ddm_error_code <> 0 THEN 'ddm' WHEN dispatcher_error_code <> 0 THEN 'dispatcher'
            WHEN sup_error_code <> 0 THEN 'sup' WHEN trans_exit_code <> 0 THEN 'payload' ELSE 'none' END,
       coalesce(nullif(pilot_error_code, 0), nullif(exe_error_code, 0), nullif(ddm_error_code, 0),
                nullif(dispatcher_error_code, 0), nullif(sup_error_code, 0), nullif(trans_exit_code, 0), 0),
       :blame, :finer, :endpoint, :fingerprint, queue, owner, host
FROM jobs WHERE job_id = :job_id
ON CONFLICT (job_id) DO NOTHING

-- name: keep_group
INSERT INTO error_groups (fingerprint, text, sample, file) VALUES (?, ?, ?, ?) ON CONFLICT (fingerprint) DO NOTHING

-- name: total
SELECT count(*) AS jobs, count(DISTINCT host) AS nodes, min(at) AS first_at, max(at) AS last_at
FROM job_errors WHERE {chosen}

-- name: by_code
SELECT e.*, coalesce(CASE e.component WHEN 'pilot' THEN pilot_error_diag WHEN 'exe' THEN exe_error_diag
                     WHEN 'ddm' THEN ddm_error_diag WHEN 'dispatcher' THEN dispatcher_error_diag END, '') AS sample
FROM (SELECT component, code, min(blame) AS blame, count(DISTINCT blame) AS blames, count(*) AS jobs,
             count(DISTINCT host) AS nodes, count(DISTINCT owner) AS users, count(DISTINCT queue) AS queues,
             min(at) AS first_at, max(at) AS last_at, max(job_id) AS last_job_id
      FROM job_errors WHERE {chosen}
      GROUP BY component, code) e
JOIN jobs j ON j.job_id = e.last_job_id
ORDER BY e.jobs DESC, e.component, e.code LIMIT :limit

-- name: by_fingerprint
SELECT e.*, coalesce(g.text, '') AS text, coalesce(g.sample, '') AS sample, coalesce(g.file, '') AS file
FROM (SELECT fingerprint, component, code, count(*) AS jobs, count(DISTINCT host) AS nodes,
             count(DISTINCT owner) AS users, count(DISTINCT queue) AS queues,
             min(at) AS first_at, max(at) AS last_at, max(job_id) AS last_job_id
      FROM job_errors WHERE fingerprint IS NOT NULL AND {chosen}
      GROUP BY fingerprint, component, code) e
LEFT JOIN error_groups g ON g.fingerprint = e.fingerprint
ORDER BY e.jobs DESC, e.last_at DESC, e.fingerprint LIMIT :limit

-- name: by_transfer
SELECT e.*, coalesce(pilot_error_diag, '') AS sample
FROM (SELECT finer, endpoint, component, code, count(*) AS jobs, count(DISTINCT host) AS nodes,
             count(DISTINCT owner) AS users, count(DISTINCT queue) AS queues,
             min(at) AS first_at, max(at) AS last_at, max(job_id) AS last_job_id
      FROM job_errors WHERE finer IS NOT NULL AND {chosen}
      GROUP BY finer, endpoint, component, code) e
JOIN jobs j ON j.job_id = e.last_job_id
ORDER BY e.jobs DESC, e.finer, e.endpoint LIMIT :limit

-- name: same
SELECT e.component, e.code, e.fingerprint, e.finer, e.endpoint, count(*) AS jobs, count(DISTINCT o.host) AS nodes
FROM job_errors e JOIN job_errors o ON o.component = e.component AND o.code = e.code AND o.fingerprint IS e.fingerprint
                                   AND o.finer IS e.finer AND o.endpoint IS e.endpoint
WHERE e.job_id = ?
GROUP BY e.job_id

-- name: over_time
SELECT at / :step AS slot, component, code, count(*) AS jobs
FROM job_errors WHERE {chosen}
GROUP BY slot, component, code
