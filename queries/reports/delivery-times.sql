--! id = "delivery-times"
--! kind = "report"
--! title = "How late log objects arrive"
--! description = """
--! Time from the last and from the first record of a log object to its delivery, per source bucket and day of
--! delivery, in seconds. The time of delivery stands in the object's key. Partitioned keys by event time hold a
--! date only: their objects cannot be measured and are counted in not_measurable, as are keys without any time."""
--! tags = ["access-logging", "logging", "delivery"]
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Log objects delivered from this time on"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Log objects delivered before this time"
--! [params.bucket]
--! type = "text"
--! default = ""
--! help = "Only this source bucket; empty for all"
--! [params.limit]
--! type = "int"
--! default = 100
--! help = "At most this many rows"
SELECT
    source_bucket,
    log_bucket,
    day,
    count(*) AS objects,
    sum(records) AS records,
    count(*) FILTER (WHERE after_last_s IS NULL) AS not_measurable,
    round(approx_percentile_cont(0.5) WITHIN GROUP (ORDER BY after_last_s), 0) AS after_last_p50_s,
    round(approx_percentile_cont(0.95) WITHIN GROUP (ORDER BY after_last_s), 0) AS after_last_p95_s,
    max(after_last_s) AS after_last_max_s,
    round(approx_percentile_cont(0.95) WITHIN GROUP (ORDER BY after_first_s), 0) AS after_first_p95_s,
    max(after_first_s) AS after_first_max_s
FROM (
    SELECT
        source_bucket,
        log_bucket,
        records,
        date_trunc('day', coalesce(delivered_at, last_time)) AS day,
        -- A delivery before the last record is no time of delivery but the date of a partition.
        CASE
            WHEN delivered_at >= last_time THEN date_part('epoch', delivered_at) - date_part('epoch', last_time)
        END AS after_last_s,
        CASE
            WHEN delivered_at >= last_time THEN date_part('epoch', delivered_at) - date_part('epoch', first_time)
        END AS after_first_s
    FROM log_objects
    WHERE coalesce(delivered_at, last_time) >= $since AND coalesce(delivered_at, last_time) < $until
        AND ($bucket = '' OR source_bucket = $bucket)
) AS deliveries
GROUP BY source_bucket, log_bucket, day
ORDER BY day DESC, source_bucket, log_bucket
LIMIT $limit
