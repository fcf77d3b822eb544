--! id = "recursion-self"
--! kind = "detection"
--! title = "A bucket receives its own access log"
--! level = "high"
--! description = """
--! The bucket logs into itself: every log object delivered to it is a write that is logged again, in a later log object.
--! It never ends by itself. It does not explode either: one delivery makes one record. But there is no hour without new
--! small objects, they cost storage, and everything that hangs on the bucket (event notifications, replication,
--! lifecycle transitions, tools that read logs) runs for each of them. Another prefix does not help; delivery is free.
--! evidence_kind says how it is known, and count counts that kind only:
--! certain: log objects read from the bucket hold its own records (objects_read), or a log object that was delivered to
--! it names it as source in its key or was itself taken in with its records (deliveries_named). The two can be the same
--! deliveries; count is the greater.
--! observed: S3's log delivery writes keys of log objects, and their sizes are those of the records of such writes.
--! inferred: the same by a writer that is not known as log delivery.
--! The logging configuration is not logged. state: ended when the logging of the bucket was changed and no own delivery
--! was seen afterwards, silent when the data go on for a day without one, else going on. started and ended name the
--! change of logging nearest to the first and the last delivery; what it changed is not logged. state goes by the writes
--! in the bucket's own log where there are any."""
--! runbook = [
--!     "Look where the bucket logs to now: aws s3api get-bucket-logging --bucket BUCKET; go on when TargetBucket is the bucket itself.",
--!     "Break the loop, either way: switch the access log of the bucket off (aws s3api put-bucket-logging --bucket BUCKET --bucket-logging-status '{}'), or deliver it to a bucket that is not logged (aws s3api put-bucket-logging --bucket BUCKET --bucket-logging-status '{\"LoggingEnabled\": {\"TargetBucket\": \"ANOTHER-BUCKET\", \"TargetPrefix\": \"BUCKET/\"}}'). The fix_command of the finding is one of the two.",
--!     "Expire what has piled up under the log prefix with a lifecycle rule; do not delete the objects one by one.",
--!     "Run recursion-growth to see what it amounts to, and look at what hangs on the bucket: aws s3api get-bucket-notification-configuration --bucket BUCKET",
--!     "Find the template that made it: CloudFormation and CDK log a bucket to itself when a prefix is given and no destination.",
--! ]
--! falsepositives = [
--!     "Log objects were copied by hand into the bucket whose records they hold, and read from there.",
--!     "The name given with --log-bucket is not the bucket the log objects were delivered to.",
--!     "observed and inferred: logs of another bucket whose every log object holds one to three records as long as those of the deliveries.",
--! ]
--! tags = ["recursion", "access-logging"]
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Findings from this time on"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Findings before this time"
--! [params.min_deliveries]
--! type = "int"
--! default = 1
--! help = "Report a bucket from this many own deliveries on"
--! [params.settle]
--! type = "duration"
--! default = "6h"
--! help = "How long deliveries to the old destination may go on after a change of logging"
WITH own AS (
    SELECT
        bucket,
        CASE
            WHEN objects_read + deliveries_named > 0 THEN 'certain'
            WHEN deliveries_observed > 0 THEN 'observed'
            ELSE 'inferred'
        END AS evidence_kind,
        CASE
            WHEN objects_read + deliveries_named > 0 THEN greatest(objects_read, deliveries_named)
            WHEN deliveries_observed > 0 THEN deliveries_observed
            ELSE deliveries_inferred
        END AS count,
        CASE
            WHEN objects_read + deliveries_named > 0 THEN certain_evidence
            WHEN deliveries_observed > 0 THEN observed_evidence
            ELSE inferred_evidence
        END AS evidence,
        first_seen,
        last_seen,
        -- The records of the bucket itself are the better witness of whether it still goes on.
        coalesce(last_write, last_seen) AS last_delivery,
        objects_read,
        deliveries_named,
        deliveries_observed,
        deliveries_inferred,
        deliveries_of_others
    FROM (
        SELECT
            bucket,
            min(time) FILTER (WHERE is_own) AS first_seen,
            max(time) FILTER (WHERE is_own) AS last_seen,
            max(time) FILTER (WHERE is_own AND evidence_kind <> 'certain') AS last_write,
            count(*) FILTER (WHERE is_own AND evidence_kind = 'certain') AS objects_read,
            count(*) FILTER (WHERE is_own AND evidence_kind = 'observed' AND is_named) AS deliveries_named,
            count(*) FILTER (WHERE is_own AND evidence_kind = 'observed' AND NOT is_named) AS deliveries_observed,
            count(*) FILTER (WHERE is_own AND evidence_kind = 'inferred') AS deliveries_inferred,
            count(*) FILTER (WHERE NOT is_own AND evidence_kind <> 'certain') AS deliveries_of_others,
            evidence(log_bucket, log_key, log_offset, time)
                FILTER (WHERE is_own AND (evidence_kind = 'certain' OR evidence_kind = 'observed' AND is_named))
                AS certain_evidence,
            evidence(log_bucket, log_key, log_offset, time)
                FILTER (WHERE is_own AND evidence_kind = 'observed' AND NOT is_named) AS observed_evidence,
            evidence(log_bucket, log_key, log_offset, time)
                FILTER (WHERE is_own AND evidence_kind = 'inferred') AS inferred_evidence
        FROM (
            SELECT
                *,
                destination_bucket AS bucket,
                coalesce(source_bucket = destination_bucket, FALSE) AS is_own,
                source_from IN ('key', 'object') AS is_named
            FROM deliveries
            WHERE time >= $since AND time < $until
        ) AS deliveries
        GROUP BY bucket
    ) AS destinations
),
lives AS (
    SELECT
        bucket,
        evidence_kind,
        count,
        first_value(evidence) AS evidence,
        first_seen,
        last_seen,
        last_delivery,
        objects_read,
        deliveries_named,
        deliveries_observed,
        deliveries_inferred,
        deliveries_of_others,
        max(changed_at) FILTER (WHERE is_before) AS started_at,
        last_value(changed_by ORDER BY changed_at) FILTER (WHERE is_before) AS started_by,
        first_value(changed_at ORDER BY from_end, changed_at) FILTER (WHERE is_after) AS ended_at,
        first_value(changed_by ORDER BY from_end, changed_at) FILTER (WHERE is_after) AS ended_by
    FROM (
        SELECT
            own.*,
            changed.time AS changed_at,
            changed.principal AS changed_by,
            changed.time BETWEEN own.first_seen - INTERVAL '24 hours' AND own.first_seen AS is_before,
            changed.time > own.first_seen AND own.last_delivery - changed.time <= $settle AS is_after,
            abs(date_part('epoch', changed.time) - date_part('epoch', own.last_delivery)) AS from_end
        FROM own
        LEFT JOIN (
            SELECT bucket, time, principal
            FROM requests
            WHERE operation = 'REST.PUT.LOGGING_STATUS' AND http_status BETWEEN 200 AND 299 AND time < $until
        ) AS changed ON changed.bucket = own.bucket
        WHERE own.count >= $min_deliveries
    ) AS changes
    GROUP BY bucket, evidence_kind, count, first_seen, last_seen, last_delivery, objects_read, deliveries_named,
        deliveries_observed, deliveries_inferred, deliveries_of_others
)
SELECT
    first_seen,
    last_seen,
    bucket,
    bucket AS subject,
    count,
    evidence,
    evidence_kind,
    objects_read,
    deliveries_named,
    deliveries_observed,
    deliveries_inferred,
    deliveries_of_others,
    state,
    started_at,
    started_by,
    CASE WHEN state = 'ended' THEN ended_at END AS ended_at,
    CASE WHEN state = 'ended' THEN ended_by END AS ended_by,
    concat(
        CASE WHEN state = 'ended' THEN 'It has ended. Should it come back: ' ELSE '' END,
        CASE
            WHEN deliveries_of_others > 0
                THEN 'Switch off the access log of this log bucket, or deliver it to a bucket that is not logged.'
            ELSE 'Deliver the access log to another bucket, one that is not logged, or switch it off.'
        END
    ) AS fix,
    CASE
        WHEN NOT regexp_like(bucket, '^[a-z0-9][a-z0-9.-]*$') THEN 'unsafe name'
        WHEN deliveries_of_others > 0
            THEN concat('aws s3api put-bucket-logging --bucket ', bucket, ' --bucket-logging-status ''{}''')
        ELSE concat(
            'aws s3api put-bucket-logging --bucket ', bucket,
            ' --bucket-logging-status ''{"LoggingEnabled": {"TargetBucket": "ANOTHER-BUCKET", "TargetPrefix": "',
            bucket, '/"}}'''
        )
    END AS fix_command
FROM (
    SELECT
        *,
        CASE
            WHEN ended_at IS NOT NULL AND data_end >= greatest(ended_at, last_delivery) + INTERVAL '1 hour' THEN 'ended'
            WHEN data_end > last_delivery + INTERVAL '24 hours' THEN 'silent'
            ELSE 'going on'
        END AS state
    FROM (SELECT *, (SELECT max(time) FROM access_logs WHERE time < $until) AS data_end FROM lives) AS clocked
) AS judged
ORDER BY first_seen, bucket
