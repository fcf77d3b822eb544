--! id = "config-logged-but-silent"
--! kind = "detection"
--! title = "A bucket is logged, and nothing of it arrives with the logs of others"
--! level = "low"
--! description = """
--! Every audit since logged_since says that the access log of the bucket goes to target; log objects of other buckets
--! were delivered there and taken in up to last_seen, and none of this bucket, for min_silence or longer. Its log is
--! not delivered, or it has not been used. first_seen is its last record in this lake or else logged_since; the silence
--! is measured by the data, not by the clock. count is the number of log objects of others from that target in that
--! time; below min_other nothing is said. Where the destination bucket of log objects is not known (no --log-bucket),
--! those of any bucket count as others."""
--! runbook = [
--!     "See whether delivery can work: s3trail detect --only config-delivery-broken.",
--!     "See whether the bucket is used at all: make a request of your own, which must show in the log some hours later.",
--!     "See whether its log objects lie in the target and are not taken in: aws s3api list-objects-v2 --bucket TARGET --prefix PREFIX --max-items 5",
--! ]
--! falsepositives = [
--!     "A bucket that nobody uses.",
--!     "Only a part of the target's prefixes is taken in.",
--! ]
--! tags = ["access-logging", "configuration", "audit"]
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "A silence that lasted to this time or longer; what came before it is looked at too"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Log objects with records before this time are looked at"
--! [params.min_silence]
--! type = "duration"
--! default = "48h"
--! help = "Silence shorter than this is none: delivery alone takes hours"
--! [params.min_other]
--! type = "int"
--! default = 10
--! help = "So many log objects of other buckets must have come in that time"
WITH logged AS (
    -- Since when every audit has said the same: those after the last one that said something else.
    SELECT bucket, target, prefix, min(audited_at) AS logged_since, max(audited_at) AS audited_at
    FROM (
        SELECT
            now.name AS bucket,
            now.logging_target_bucket AS target,
            now.logging_target_prefix AS prefix,
            past.audited_at,
            max(CASE WHEN past.logging_target_bucket IS DISTINCT FROM now.logging_target_bucket THEN past.audited_at END)
                OVER (PARTITION BY now.name) AS changed_at
        FROM bucket_configuration AS now
        INNER JOIN bucket_config AS past ON past.name = now.name
        WHERE now.kind = 'bucket' AND past.kind = 'bucket'
            AND past.logging_known
            AND now.logging_target_bucket IS NOT NULL
    ) AS history
    WHERE changed_at IS NULL OR audited_at > changed_at
    GROUP BY bucket, target, prefix
),
-- Not from $since on: the last record of a bucket may be older.
objects AS (
    SELECT log_bucket, log_key, source_bucket, last_time
    FROM log_objects
    WHERE last_time < $until
),
silent AS (
    SELECT
        logged.*,
        own.last_record,
        greatest(logged.logged_since, coalesce(own.last_record, logged.logged_since)) AS silent_since
    FROM logged
    LEFT JOIN (SELECT source_bucket, max(last_time) AS last_record FROM objects GROUP BY source_bucket) AS own
        ON own.source_bucket = logged.bucket
),
-- What came later came of others: the bucket itself has nothing after silent_since.
others AS (
    SELECT
        silent.bucket,
        silent.target,
        silent.prefix,
        silent.logged_since,
        silent.audited_at,
        silent.last_record,
        silent.silent_since,
        sum(hours.objects) AS objects,
        max(hours.last_time) AS data_end
    FROM silent
    INNER JOIN (
        SELECT log_bucket, date_bin(INTERVAL '1 hour', last_time) AS hour, count(*) AS objects, max(last_time) AS last_time
        FROM objects
        GROUP BY 1, 2
    ) AS hours
        ON (hours.log_bucket IS NULL OR hours.log_bucket = silent.target) AND hours.hour > silent.silent_since
    GROUP BY
        silent.bucket, silent.target, silent.prefix, silent.logged_since, silent.audited_at, silent.last_record,
        silent.silent_since
)
SELECT
    others.silent_since AS first_seen,
    others.data_end AS last_seen,
    others.bucket,
    concat('log to ', others.target) AS subject,
    others.objects AS count,
    -- The log object with its last record, if there ever was one
    evidence(last_one.log_bucket, last_one.log_key, CAST(NULL AS bigint), last_one.last_time)
        FILTER (WHERE last_one.last_time IS NOT NULL) AS evidence,
    round((date_part('epoch', others.data_end) - date_part('epoch', others.silent_since)) / 3600, 1) AS silent_hours,
    others.last_record,
    others.logged_since,
    others.target,
    others.prefix,
    others.audited_at
FROM others
LEFT JOIN objects AS last_one
    ON last_one.source_bucket = others.bucket AND last_one.last_time = others.last_record
WHERE others.data_end >= $since
    AND others.data_end - others.silent_since >= $min_silence
    AND others.objects >= $min_other
GROUP BY
    others.bucket, others.target, others.prefix, others.logged_since, others.audited_at, others.last_record,
    others.silent_since, others.data_end, others.objects
ORDER BY first_seen, bucket
