--! id = "config-not-logged"
--! kind = "detection"
--! title = "A bucket has no access log"
--! level = "low"
--! description = """
--! By the audited configuration server access logging is off for the bucket, so these logs will show nothing of who
--! reads and writes it, and no other detection can speak of it. Buckets that receive the access logs of others are left
--! out: logging those is what makes loops. A bucket with records from settle or more after the audit is logged after
--! all, and left out. records tells of its records in the time asked for, last_record is the last one in this lake: with
--! any, it was logged once. count is 1; the times are that of the audit."""
--! runbook = [
--!     "Switch it on, with a log bucket of the same Region and account that is not logged itself: aws s3api put-bucket-logging --bucket BUCKET --bucket-logging-status file://logging.json",
--!     "With records above 0, see who switched it off: s3trail detect --only logging-changed.",
--!     "If nobody needs to know who reads the bucket, put it into exempt or suppress the finding.",
--! ]
--! falsepositives = [
--!     "CloudTrail data events, or access logs delivered to CloudWatch Logs, watch the bucket instead.",
--!     "A bucket for logs of other services.",
--! ]
--! tags = ["access-logging", "configuration", "audit", "attack.t1562.008"]
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Records from this time on are counted"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Records before this time are looked at"
--! [params.settle]
--! type = "duration"
--! default = "6h"
--! help = "Records so long after the audit show that the bucket is logged"
--! [params.exempt]
--! type = "text_list"
--! default = []
--! help = "Buckets that need no access log"
SELECT
    silent.audited_at AS first_seen,
    silent.audited_at AS last_seen,
    silent.name AS bucket,
    'not logged' AS subject,
    1 AS count,
    evidence(CAST(NULL AS text), CAST(NULL AS text), CAST(NULL AS bigint), silent.audited_at) FILTER (WHERE FALSE)
        AS evidence,
    coalesce(max(seen.records), 0) AS records,
    max(seen.last_time) AS last_record,
    silent.audited_at
-- The small side comes first: when it is empty the other is not read.
FROM (
    SELECT configuration.*
    FROM bucket_configuration AS configuration
    LEFT JOIN (SELECT DISTINCT logging_target_bucket FROM bucket_configuration) AS targets
        ON targets.logging_target_bucket = configuration.name
    WHERE configuration.kind = 'bucket'
        AND configuration.logging_known
        AND configuration.logging_target_bucket IS NULL
        AND targets.logging_target_bucket IS NULL
        AND NOT array_has($exempt, configuration.name)
) AS silent
LEFT JOIN (
    -- Older ones show as well that the bucket is logged.
    SELECT source_bucket, sum(records) FILTER (WHERE last_time >= $since) AS records, max(last_time) AS last_time
    FROM log_objects
    WHERE last_time < $until
    GROUP BY source_bucket
) AS seen
    ON seen.source_bucket = silent.name
GROUP BY silent.name, silent.audited_at
HAVING max(seen.last_time) IS NULL OR max(seen.last_time) < silent.audited_at + $settle
ORDER BY bucket
