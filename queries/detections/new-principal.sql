--! id = "new-principal"
--! kind = "detection"
--! title = "A principal used a bucket for the first time"
--! level = "low"
--! description = """
--! A user, role or account made its first successful request to a bucket which had been used by others for a while.
--! Sessions of a role count as the role. All records before are the history; history_days says on how many days of it the
--! bucket was used. A bucket with fewer days than min_history_days is left out: without history everybody is new, and
--! nothing is said. Without since, what is new is looked for in the last day of records (window). Callers without
--! credentials and AWS services are left out. A canonical id is an account; the logs do not say which person used it."""
--! runbook = [
--!     "Ask the owner of the bucket whether the principal should have access; if not, take the right away where it was given: bucket policy, IAM policy, ACL or access point",
--!     "See what it did: s3trail query principal-activity -p principal=SUBJECT -p bucket=BUCKET",
--!     "For a principal of another account (account_id), read the policy: aws s3api get-bucket-policy --bucket BUCKET --query Policy --output text",
--! ]
--! falsepositives = [
--!     "New colleagues, new programs, roles with a new name after a deployment",
--!     "Monthly or yearly jobs, when there is less history than that",
--! ]
--! tags = ["anomalies", "attack.t1078", "attack.t1530"]
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Findings from this time on"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Findings before this time"
--! [params.window]
--! type = "duration"
--! default = "1d"
--! help = "Without since, findings are of this time up to the last record; with since, from then on"
--! [params.min_history_days]
--! type = "int"
--! default = 7
--! help = "On how many days before there must have been use; fewer give no finding"
WITH bounds AS (
    -- from when on something counts as new; all before is history
    SELECT CASE WHEN $since > TIMESTAMP '1970-01-01T00:00:00Z' THEN $since ELSE max(time) - $window END AS start
    FROM access_logs
    WHERE time < $until
),
-- plain columns: the functions come after the join, where few rows are left
successes AS (
    SELECT *
    FROM access_logs
    WHERE time < $until
        -- early, since it can be nearly everything
        AND requester IS NOT NULL
        -- the source side of a copy can be without status
        AND (http_status BETWEEN 200 AND 299
            OR http_status IS NULL AND operation IN ('REST.COPY.OBJECT_GET', 'REST.COPY.PART_GET'))
        AND error_code IS NULL
),
days AS (
    SELECT bucket, requester, event_date, min(time) AS first_time
    FROM successes
    GROUP BY bucket, requester, event_date
),
known AS (
    SELECT
        bucket,
        requester,
        event_date,
        start,
        min(first_time) OVER (PARTITION BY bucket, principal(requester)) AS principal_since,
        count(DISTINCT CASE WHEN first_time < start THEN event_date END) OVER (PARTITION BY bucket) AS history_days
    FROM days
    CROSS JOIN bounds
    WHERE principal_type(requester) NOT IN ('anonymous', 'aws_s3', 'service', 'log_delivery')
),
new AS (
    SELECT bucket, requester, event_date, history_days
    FROM known
    WHERE principal_since >= start AND history_days >= $min_history_days
)
SELECT
    min(time) AS first_seen,
    max(time) AS last_seen,
    successes.bucket,
    principal(successes.requester) AS subject,
    count(*) AS count,
    evidence(log_bucket, log_key, log_offset, time) AS evidence,
    max(history_days) AS history_days,
    max(principal_account(successes.requester)) AS account_id,
    array_to_string(array_sort(array_agg(DISTINCT operation_class(operation))), ', ') AS kinds,
    min(remote_ip) AS example_address,
    min(user_agent_family(user_agent)) AS example_agent,
    coalesce(sum(bytes_sent), 0) AS bytes_sent
FROM new
INNER JOIN successes
    ON successes.event_date = new.event_date
    AND successes.bucket = new.bucket
    AND successes.requester = new.requester
-- holds for every row of new; said here so that older files are not read again
WHERE successes.time >= (SELECT start FROM bounds)
GROUP BY successes.bucket, principal(successes.requester)
ORDER BY first_seen, bucket, subject
