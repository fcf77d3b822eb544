--! id = "logging-silent"
--! kind = "detection"
--! title = "The log records of a bucket stopped while others go on"
--! level = "medium"
--! description = """
--! A bucket that had a steady stream of log records has none any more, for longer than it was ever silent before, while
--! records of other buckets keep coming. Its logging may be switched off, or sent to a destination that is not taken in,
--! or delivery may be blocked: by a Deny statement in the policy of the log bucket, an organisation's policy, a deleted
--! or locked log bucket. Or the bucket is simply not used any more. The log cannot tell these apart, because what is
--! missing is the log. Time is that of the data: silence is measured up to the latest record of any bucket, not to now.
--! first_seen is the last record of the bucket, last_seen the end of the data, count the number of records it had.
--! changed_at and changed_by name the last change of its logging, if it came within a day of the last record. A bucket
--! that was deleted is left out."""
--! runbook = [
--!     "See whether the bucket is still logged, and where to: aws s3api get-bucket-logging --bucket BUCKET",
--!     "See whether delivery is refused: aws s3api get-bucket-policy --bucket LOGBUCKET, and 4xx request metrics of the log bucket",
--!     "See whether the bucket is used at all: request metrics of the bucket, CloudTrail data events where a trail has them (aws cloudtrail lookup-events shows management events only), or a request of your own that must show in the log some hours later",
--!     "See whether its log objects are still taken in: s3trail query delivery-times",
--! ]
--! falsepositives = [
--!     "The bucket is used no more, or in campaigns.",
--!     "The lake was given only a part of the log objects, or the log objects of some buckets up to an earlier day.",
--!     "S3 delivers late; a stream may come back with old records.",
--! ]
--! tags = ["access-logging", "attack.t1562.008"]
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Findings from this time on: silence counts from the moment at which it had lasted too long"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Findings before this time"
--! [params.min_silence]
--! type = "duration"
--! default = "12h"
--! help = "Silence shorter than this is none; delivery alone takes hours"
--! [params.factor]
--! type = "float"
--! default = 3.0
--! help = "The silence must be this many times as long as the longest one before"
--! [params.min_hours]
--! type = "int"
--! default = 12
--! help = "A steady stream has records in at least this many different hours"
--! [params.min_records]
--! type = "int"
--! default = 50
--! help = "A steady stream has at least this many records"
--! [params.min_other_records]
--! type = "int"
--! default = 50
--! help = "So many records of other buckets must come after the last one"
WITH streams AS (
    SELECT *
    FROM (
        SELECT
            bucket,
            last_time,
            is_deleted,
            sum(records) OVER of_bucket AS records,
            count(*) OVER of_bucket AS hours,
            max(pause_s) OVER of_bucket AS longest_pause_s,
            row_number() OVER (PARTITION BY bucket ORDER BY hour DESC) AS nth_from_end,
            max(last_time) OVER () AS data_end,
            -- Records of later hours; none of them is of a bucket that is silent since this one.
            sum(records) OVER (ORDER BY hour DESC) - sum(records) OVER (PARTITION BY hour) AS records_later
        FROM (
            SELECT
                *,
                date_part('epoch', first_time)
                    - date_part('epoch', lag(last_time) OVER (PARTITION BY bucket ORDER BY hour)) AS pause_s
            FROM (
                SELECT
                    bucket,
                    date_bin(INTERVAL '1 hour', time) AS hour,
                    count(*) AS records,
                    min(time) AS first_time,
                    max(time) AS last_time,
                    count(*) FILTER (WHERE operation = 'REST.DELETE.BUCKET' AND http_status BETWEEN 200 AND 299) > 0
                        AS is_deleted
                FROM access_logs
                WHERE time < $until AND bucket IS NOT NULL
                GROUP BY 1, 2
            ) AS hours
        ) AS pauses
        WINDOW of_bucket AS (PARTITION BY bucket)
    ) AS ends
    WHERE nth_from_end = 1
        AND NOT is_deleted
        AND hours >= $min_hours
        AND records >= $min_records
        AND records_later >= $min_other_records
        -- The moment from which on it was silent for too long; the last record can be older than $since.
        AND date_part('epoch', last_time)
            + greatest(date_part('epoch', CAST($min_silence AS interval)), $factor * longest_pause_s)
            >= date_part('epoch', $since)
        AND data_end - last_time >= $min_silence
        AND date_part('epoch', data_end) - date_part('epoch', last_time) >= $factor * longest_pause_s
)
SELECT
    streams.last_time AS first_seen,
    streams.data_end AS last_seen,
    streams.bucket,
    'log records' AS subject,
    max(streams.records) AS count,
    evidence(records.log_bucket, records.log_key, records.log_offset, records.time) AS evidence,
    round((date_part('epoch', data_end) - date_part('epoch', last_time)) / 3600, 1) AS silent_hours,
    round(max(longest_pause_s) / 3600, 1) AS longest_pause_hours,
    max(records_later) AS records_of_others,
    max(changed.time) AS changed_at,
    last_value(changed.principal ORDER BY changed.time) AS changed_by
FROM streams
JOIN access_logs AS records ON records.bucket = streams.bucket AND records.time = streams.last_time
LEFT JOIN (
    SELECT bucket, time, principal
    FROM requests
    WHERE operation = 'REST.PUT.LOGGING_STATUS' AND http_status BETWEEN 200 AND 299 AND time < $until
) AS changed
    ON changed.bucket = streams.bucket AND changed.time >= streams.last_time - INTERVAL '24 hours'
GROUP BY streams.bucket, streams.last_time, streams.data_end
ORDER BY first_seen, bucket
