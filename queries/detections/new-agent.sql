--! id = "new-agent"
--! kind = "detection"
--! title = "A principal used a bucket with another kind of software than before"
--! level = "low"
--! description = """
--! A principal that has used a bucket for a while did so with a user agent of a new family (aws-cli, boto3, s3browser, curl
--! and so on; new versions of the same software are not new). Stolen keys are often used with other software than their
--! owner's. history_days says on how many days before the principal used the bucket; with fewer than min_history_days it is
--! left out, so nothing is said about newcomers. Without since, what is new is looked for in the last day of
--! records (window). Only successful requests signed in a header count: a pre-signed URL or a form is used by others than
--! the principal who signed it. The sender can write into the user agent what it likes."""
--! runbook = [
--!     "Ask the owner of the principal whether they use this software from this address; if not, switch the access key off: aws iam update-access-key --user-name USER --access-key-id KEY --status Inactive",
--!     "See what was done with it: s3trail query principal-activity -p principal=PRINCIPAL -p bucket=BUCKET",
--! ]
--! falsepositives = [
--!     "A program that moves to another SDK or language",
--!     "People who try out tools",
--!     "One role that is used by many programs",
--! ]
--! tags = ["anomalies", "attack.t1078", "attack.t1567.002"]
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
        AND user_agent IS NOT NULL
        AND http_status BETWEEN 200 AND 299
        AND error_code IS NULL
        AND (authentication_type IS NULL OR authentication_type = 'AuthHeader')
),
days AS (
    SELECT bucket, requester, user_agent, event_date, min(time) AS first_time
    FROM successes
    GROUP BY bucket, requester, user_agent, event_date
),
known AS (
    SELECT
        bucket,
        requester,
        user_agent,
        event_date,
        start,
        min(first_time) OVER (PARTITION BY bucket, principal(requester), user_agent_family(user_agent)) AS agent_since,
        count(DISTINCT CASE WHEN first_time < start THEN event_date END)
            OVER (PARTITION BY bucket, principal(requester)) AS history_days
    FROM days
    CROSS JOIN bounds
    WHERE principal_type(requester) NOT IN ('anonymous', 'aws_s3', 'service', 'log_delivery')
),
new AS (
    SELECT bucket, requester, user_agent, event_date, history_days
    FROM known
    WHERE agent_since >= start AND history_days >= $min_history_days
)
SELECT
    min(time) AS first_seen,
    max(time) AS last_seen,
    successes.bucket,
    concat(principal(successes.requester), ' with ', user_agent_family(successes.user_agent)) AS subject,
    count(*) AS count,
    evidence(log_bucket, log_key, log_offset, time) AS evidence,
    max(history_days) AS history_days,
    min(successes.user_agent) AS example_user_agent,
    array_to_string(array_sort(array_agg(DISTINCT operation_class(operation))), ', ') AS kinds,
    min(remote_ip) AS example_address,
    coalesce(sum(bytes_sent), 0) AS bytes_sent
FROM new
INNER JOIN successes
    ON successes.event_date = new.event_date
    AND successes.bucket = new.bucket
    AND successes.requester = new.requester
    AND successes.user_agent = new.user_agent
-- holds for every row of new; said here so that older files are not read again
WHERE successes.time >= (SELECT start FROM bounds)
GROUP BY successes.bucket, principal(successes.requester), user_agent_family(successes.user_agent)
ORDER BY first_seen, bucket, subject
