--! id = "controls-weakened"
--! kind = "detection"
--! title = "Several protections of one bucket were changed within a short time"
--! level = "high"
--! description = """
--! Two or more different protections of a bucket were changed one soon after the other: logging, versioning, encryption,
--! policy, public access block, lifecycle, replication, object lock, the bucket's ACL, ownership. Somebody who prepares to
--! take or destroy data does that. The log shows that they changed, not in which direction: bodies are not logged, and
--! hardening a bucket looks the same. removals counts the requests that deleted a setting, which is clearer. A finding is
--! what one principal did in such a series; controls lists all that changed in it, also by others (principals).
--! Changes follow from requests to the bucket only; the public access block of the account is not in these logs."""
--! runbook = [
--!     "Compare the bucket with what it should be: aws s3api get-bucket-logging, get-bucket-versioning, get-public-access-block, get-bucket-policy, get-bucket-lifecycle-configuration, each with --bucket BUCKET",
--!     "If nobody meant it, take the rights from the principal (for a role: revoke its sessions in IAM), then put the settings back, the public access block and logging first",
--!     "See what else the principal did: s3trail query principal-activity -p principal=SUBJECT -p since=FIRST_SEEN",
--!     "Look for the same requests in CloudTrail, which has their content",
--! ]
--! falsepositives = [
--!     "A deployment that changes several settings of a bucket at once; suppress its role by subject",
--!     "A bucket that is being set up: most of it happens before logging works, but not all",
--! ]
--! tags = ["configuration", "attack.t1562"]
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
--! default = "90m"
--! help = "Changes of a bucket that follow one another within this time belong to one series"
--! [params.min_controls]
--! type = "int"
--! default = 2
--! help = "How many different protections must change in a series"
WITH changes AS (
    SELECT
        time,
        bucket,
        principal,
        method,
        log_bucket,
        log_key,
        log_offset,
        CASE
            WHEN resource IN ('LOGGING_STATUS', 'LOGGING') THEN 'logging'
            WHEN resource = 'BUCKETPOLICY' THEN 'policy'
            WHEN resource IN ('OBJECT_LOCK_CONFIGURATION', 'OBJECT_LOCK') THEN 'object lock'
            WHEN resource = 'OWNERSHIP_CONTROLS' THEN 'ownership'
            ELSE replace(lower(resource), '_', ' ')
        END AS control
    FROM requests
    -- a series that began before $since counts when it goes on after it
    WHERE time >= $since - $window AND time < $until
        AND operation IN (
            'REST.PUT.LOGGING_STATUS', 'REST.PUT.LOGGING',
            'REST.PUT.VERSIONING',
            'REST.PUT.ENCRYPTION', 'REST.DELETE.ENCRYPTION',
            'REST.PUT.BUCKETPOLICY', 'REST.DELETE.BUCKETPOLICY',
            'REST.PUT.PUBLIC_ACCESS_BLOCK', 'REST.DELETE.PUBLIC_ACCESS_BLOCK',
            'REST.PUT.LIFECYCLE', 'REST.DELETE.LIFECYCLE',
            'REST.PUT.REPLICATION', 'REST.DELETE.REPLICATION',
            'REST.PUT.OBJECT_LOCK_CONFIGURATION', 'REST.PUT.OBJECT_LOCK',
            'REST.PUT.ACL',
            'REST.PUT.OWNERSHIP_CONTROLS', 'REST.DELETE.OWNERSHIP_CONTROLS'
        )
        AND http_status BETWEEN 200 AND 299
        -- ACLs of objects are another matter
        AND (operation <> 'REST.PUT.ACL' OR key IS NULL)
),
starts AS (
    SELECT
        *,
        CASE WHEN time - lag(time) OVER changed <= $window THEN 0 ELSE 1 END AS is_start
    FROM changes
    WINDOW changed AS (PARTITION BY bucket ORDER BY time, control, log_key, log_offset)
),
series AS (
    SELECT
        *,
        sum(is_start) OVER (PARTITION BY bucket ORDER BY time, control, log_key, log_offset) AS series
    FROM starts
),
-- One row for each principal in a series, so that what all of it has is not repeated for each change.
parties AS (
    SELECT
        bucket,
        series,
        principal,
        min(time) AS first_time,
        max(time) AS last_time,
        count(*) AS changes,
        count(*) FILTER (WHERE method = 'DELETE') AS removals,
        evidence(log_bucket, log_key, log_offset, time) AS evidence,
        array_agg(DISTINCT control) AS own_controls
    FROM series
    GROUP BY bucket, series, principal
),
known AS (
    SELECT
        *,
        array_distinct(flatten(array_agg(own_controls) OVER whole)) AS controls,
        array_agg(principal) OVER whole AS principals
    FROM parties
    WINDOW whole AS (PARTITION BY bucket, series)
)
SELECT
    min(first_time) AS first_seen,
    max(last_time) AS last_seen,
    bucket,
    principal AS subject,
    sum(changes) AS count,
    array_slice(flatten(array_agg(evidence ORDER BY series)), 1, 10) AS evidence,
    array_to_string(array_sort(array_distinct(flatten(array_agg(controls)))), ', ') AS controls,
    sum(removals) AS removals,
    array_length(array_distinct(flatten(array_agg(principals)))) AS principals,
    count(*) AS series
FROM known
-- two different controls in a series: some two of them follow each other within the window
WHERE array_length(controls) >= $min_controls
GROUP BY bucket, principal
HAVING max(last_time) >= $since
ORDER BY first_seen, bucket, subject
