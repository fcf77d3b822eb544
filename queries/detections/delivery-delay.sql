--! id = "delivery-delay"
--! kind = "detection"
--! title = "Log objects of a bucket were delivered much later than usual"
--! level = "low"
--! description = """
--! S3 delivers access logs as best it can: mostly within a few hours, sometimes much later, sometimes never. Log objects
--! that came much later than this bucket's usual ones mean that everything which looks at recent records saw nothing
--! of them at the time. The delay is the time from the last record of a log object to the delivery that stands in its
--! key; late is a delay of at least $min_delay and $factor times the bucket's median. Keys partitioned by event time hold
--! only a date and cannot be judged, and neither can a delivery that lies before the last record.
--! count is the number of late log objects, late_records the records in them, subject the destination bucket where it is
--! known."""
--! runbook = [
--!     "Let scheduled detections look back further than the worst delay: s3trail detect --since -2d, or more",
--!     "See how the delays lie by day: s3trail query delivery-times -p bucket=BUCKET",
--!     "If it lasts, look for what refuses or slows down delivery: the policy of the log bucket (aws s3api get-bucket-policy --bucket LOGBUCKET) and the AWS Health Dashboard",
--! ]
--! falsepositives = [
--!     "S3 promises no time of delivery; a late log object now and then is normal.",
--!     "Log objects that somebody renamed, or keys of another tool that look like those of log objects.",
--! ]
--! tags = ["access-logging"]
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Findings from this time on"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Findings before this time"
--! [params.min_delay]
--! type = "duration"
--! default = "12h"
--! help = "A shorter delay is not late"
--! [params.factor]
--! type = "float"
--! default = 5.0
--! help = "Late is this many times the median delay of the bucket"
--! [params.min_objects]
--! type = "int"
--! default = 10
--! help = "The usual delay of a bucket needs this many log objects"
SELECT
    min(delivered_at) AS first_seen,
    max(delivered_at) AS last_seen,
    source_bucket AS bucket,
    concat('delivery to ', coalesce(log_bucket, '(not known)')) AS subject,
    count(*) AS count,
    -- Whole log objects: no single record is late.
    evidence(log_bucket, log_key, CAST(NULL AS bigint), delivered_at) AS evidence,
    sum(records) AS late_records,
    round(max(delay_s) / 3600, 1) AS longest_delay_hours,
    round(max(median_s) / 3600, 1) AS median_delay_hours,
    min(last_time) AS earliest_late_record
FROM (
    SELECT delays.*, usual.median_s
    FROM (
        SELECT *, date_part('epoch', delivered_at) - date_part('epoch', last_time) AS delay_s
        FROM log_objects
        WHERE delivered_at >= $since AND delivered_at < $until AND delivered_at - last_time >= $min_delay
    ) AS delays
    JOIN (
        SELECT
            source_bucket,
            approx_percentile_cont(0.5) WITHIN GROUP (ORDER BY delay_s) AS median_s
        FROM (
            SELECT source_bucket, date_part('epoch', delivered_at) - date_part('epoch', last_time) AS delay_s
            FROM log_objects
            WHERE delivered_at >= last_time AND delivered_at < $until
        ) AS measurable
        GROUP BY source_bucket
        HAVING count(*) >= $min_objects
    ) AS usual ON usual.source_bucket = delays.source_bucket
) AS judged
WHERE delay_s >= $factor * median_s
GROUP BY source_bucket, log_bucket
ORDER BY first_seen, bucket, subject
