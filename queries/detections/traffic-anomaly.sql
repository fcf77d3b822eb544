--! id = "traffic-anomaly"
--! kind = "detection"
--! title = "Far more traffic than usual at this hour of the day"
--! level = "low"
--! description = """
--! In an hour of the last day a bucket had far more requests of one kind, or sent far more bytes, than in the same
--! hour of the days before. Usual is the median of that hour over the days before, and its spread the median absolute
--! deviation; days without such requests count as zero. The hour must also exceed every one of these hours and their
--! neighbours, so that a weekly job stays out once it was seen. Kinds are those of operation_class: read, write, list,
--! delete and so on. A multi-object delete is one request (mass-deletion counts keys), and a copy is one read of its
--! source.
--! A bucket whose records reach back for less than the set number of days has no usual and no findings. Hours are
--! hours of UTC; the last day ends with the last record. Only rises are looked at: a stream that stops is for
--! logging-silent."""
--! runbook = [
--!     "See who did it: query top-talkers for the hour (-p since=... -p until=...), by principal and by remote_ip.",
--!     "If it is a job of yours, nothing is to be done; else look at what was read or deleted, and at bulk-download and exfiltration-then-deletion.",
--!     "If it costs: query bytes-by-prefix for the hour shows what is read, to be cached or moved.",
--! ]
--! falsepositives = ["A release, a campaign, a back-fill", "A monthly or yearly job"]
--! tags = ["anomalies"]
--! [params.score]
--! type = "duration"
--! default = "24h"
--! help = "How much of the end of the records is looked at"
--! [params.min_days]
--! type = "int"
--! default = 7
--! help = "At least this many days of records of the bucket before the hour"
--! [params.max_days]
--! type = "int"
--! default = 28
--! help = "At most this many days before are compared"
--! [params.min_z]
--! type = "float"
--! default = 8.0
--! help = "At least this many robust standard deviations (1.4826 times the median absolute deviation) above the median"
--! [params.min_requests]
--! type = "int"
--! default = 1000
--! help = "Fewer requests in the hour are never a finding"
--! [params.min_bytes]
--! type = "int"
--! default = 10000000000
--! help = "Fewer bytes sent in the hour are never a finding; 10 GB"
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Findings from this time on"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Findings before this time"
WITH hours AS (
    SELECT
        bucket,
        operation_class(operation) AS class,
        hour,
        sum(requests) AS requests,
        sum(bytes_sent) AS bytes_sent
    FROM (
        SELECT
            bucket,
            operation,
            CAST(floor(date_part('epoch', time) / 3600) AS bigint) AS hour,
            count(*) AS requests,
            coalesce(sum(bytes_sent), 0) AS bytes_sent
        FROM access_logs
        WHERE time < $until
            -- One multi-object delete is one request, whatever the number of its keys.
            AND operation NOT LIKE 'BATCH.%'
        GROUP BY bucket, operation, CAST(floor(date_part('epoch', time) / 3600) AS bigint)
    ) AS operations
    GROUP BY bucket, operation_class(operation), hour
),
measures AS (
    -- No union: that would count the records once for each measure.
    SELECT
        bucket,
        class,
        hour,
        unnest(make_array('requests', 'bytes sent')) AS measure,
        unnest(make_array(CAST(requests AS double), CAST(bytes_sent AS double))) AS value
    FROM hours
),
scored AS (
    SELECT bucket, class, measure, hour, value, days
    FROM (
        SELECT
            *,
            max(hour) OVER () AS last_hour,
            -- Whole days of records before this hour.
            (hour - min(hour) OVER (PARTITION BY bucket)) / 24 AS days
        FROM measures
    ) AS spans
    WHERE hour > last_hour - date_part('epoch', CAST($score AS interval)) / 3600
        AND hour >= floor(date_part('epoch', $since) / 3600)
        AND days >= $min_days
        AND value >= CASE WHEN measure = 'requests' THEN $min_requests ELSE $min_bytes END
),
past AS (
    -- The same hour of the days before, and its neighbours; an hour without such requests is a zero.
    SELECT
        scored.*,
        grid.shift,
        coalesce(measures.value, 0) AS past_value,
        median(CASE WHEN grid.shift = 0 THEN coalesce(measures.value, 0) END)
            OVER (PARTITION BY scored.bucket, scored.class, scored.measure, scored.hour) AS usual
    FROM scored
    JOIN (
        SELECT unnest(generate_series(1, $max_days)) AS day, shift
        FROM (SELECT unnest(make_array(-1, 0, 1)) AS shift) AS shifts
    ) AS grid ON grid.day <= scored.days
    LEFT JOIN measures
        ON measures.bucket = scored.bucket
        AND measures.class = scored.class
        AND measures.measure = scored.measure
        AND measures.hour = scored.hour - 24 * grid.day + grid.shift
),
spread AS (
    SELECT
        bucket,
        class,
        measure,
        hour,
        value,
        usual,
        max(past_value) AS highest_before,
        max(days) AS days,
        greatest(
            1.4826 * median(CASE WHEN shift = 0 THEN abs(past_value - usual) END),
            -- Steady hours would make every ripple an outlier.
            0.1 * usual,
            1
        ) AS spread
    FROM past
    GROUP BY bucket, class, measure, hour, value, usual
),
outliers AS (
    SELECT *, to_timestamp_micros(hour * 3600000000) AS starts
    FROM spread
    WHERE value > highest_before
        AND value - usual >= $min_z * spread
)
SELECT
    min(requests.time) AS first_seen,
    max(requests.time) AS last_seen,
    outliers.bucket AS bucket,
    concat(outliers.class, ' ', outliers.measure) AS subject,
    count(*) AS count,
    evidence(requests.log_bucket, requests.log_key, requests.log_offset, requests.time) AS evidence,
    count(DISTINCT outliers.hour) AS hours,
    CAST(max(outliers.value) AS bigint) AS highest,
    CAST(max(outliers.usual) AS bigint) AS usual,
    CAST(max(outliers.highest_before) AS bigint) AS highest_before,
    round(least(max((outliers.value - outliers.usual) / outliers.spread), 9999), 1) AS z,
    least(max(outliers.days), $max_days) AS days_compared
FROM outliers
JOIN access_logs AS requests
    ON requests.bucket = outliers.bucket
    AND CAST(floor(date_part('epoch', requests.time) / 3600) AS bigint) = outliers.hour
    AND operation_class(requests.operation) = outliers.class
    AND requests.operation NOT LIKE 'BATCH.%'
WHERE requests.time >= $since AND requests.time < $until
GROUP BY outliers.bucket, outliers.class, outliers.measure
ORDER BY z DESC, bucket, subject
