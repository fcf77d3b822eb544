--! id = "slow-prefix"
--! kind = "detection"
--! title = "Requests for one prefix are far slower than the bucket's own"
--! level = "low"
--! description = """
--! Of the successful requests for a prefix (the key up to its first slash) more than a small share took many times
--! the median of the same operation in the same bucket; with the default share of 5 percent that is a comparison of
--! the prefix' 95th percentile. The time is the turn-around time: S3's own, from the last byte of the request to the
--! first of the answer, without the network. Causes that the logs do not show: the storage class, the encryption key,
--! a partition that S3 has not yet split."""
--! runbook = [
--!     "See when it is slow and for whom: query latency-by-operation, and detection throttled-prefix for 503 answers under the same prefix.",
--!     "Spread hot keys over more prefixes: S3 scales request rates by prefix.",
--!     "Objects that are read often and small can be put behind CloudFront or another cache.",
--! ]
--! falsepositives = ["A prefix in a colder storage class", "Large conditional or encrypted objects under one prefix"]
--! tags = ["operations"]
--! [params.min_requests]
--! type = "int"
--! default = 1000
--! help = "At least this many requests of one operation for the prefix"
--! [params.slow_share]
--! type = "float"
--! default = 0.05
--! help = "At least this share of them slow; 0.05 is a 95th percentile"
--! [params.factor]
--! type = "float"
--! default = 10.0
--! help = "Slow is this many times the median of the operation in the bucket ..."
--! [params.min_ms]
--! type = "int"
--! default = 200
--! help = "... and more than this many milliseconds"
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Findings from this time on"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Findings before this time"
WITH counts AS (
    SELECT bucket, operation, turn_around_time_ms AS ms, count(*) AS requests
    FROM access_logs
    WHERE operation IN ('REST.GET.OBJECT', 'REST.HEAD.OBJECT', 'REST.PUT.OBJECT', 'REST.PUT.PART')
        AND http_status BETWEEN 200 AND 299
        AND turn_around_time_ms IS NOT NULL
        AND time >= $since AND time < $until
    GROUP BY bucket, operation, turn_around_time_ms
),
medians AS (
    SELECT bucket, operation, min(ms) AS median_ms
    FROM (
        SELECT
            *,
            sum(requests) OVER (PARTITION BY bucket, operation ORDER BY ms) AS up_to_here,
            sum(requests) OVER (PARTITION BY bucket, operation) AS total
        FROM counts
    ) AS sums
    WHERE 2 * up_to_here >= total
    GROUP BY bucket, operation
),
prefixes AS (
    SELECT
        requests.bucket,
        requests.operation,
        substr(requests.key, 1, strpos(requests.key, '/')) AS prefix,
        medians.median_ms,
        count(*) AS requests,
        count(*) FILTER (WHERE requests.turn_around_time_ms > greatest($factor * medians.median_ms, $min_ms)) AS slow
    FROM access_logs AS requests
    JOIN medians ON medians.bucket = requests.bucket AND medians.operation = requests.operation
    WHERE requests.http_status BETWEEN 200 AND 299
        AND requests.turn_around_time_ms IS NOT NULL
        AND requests.time >= $since AND requests.time < $until
    GROUP BY requests.bucket, requests.operation, substr(requests.key, 1, strpos(requests.key, '/')), medians.median_ms
    HAVING count(*) >= $min_requests
        AND count(*) FILTER (WHERE requests.turn_around_time_ms > greatest($factor * medians.median_ms, $min_ms))
            >= $slow_share * count(*)
)
SELECT
    min(slow.time) AS first_seen,
    max(slow.time) AS last_seen,
    prefixes.bucket AS bucket,
    concat(CASE WHEN prefixes.prefix = '' THEN '(no prefix)' ELSE prefixes.prefix END, ' ', prefixes.operation) AS subject,
    count(*) AS count,
    evidence(slow.log_bucket, slow.log_key, slow.log_offset, slow.time) AS evidence,
    max(prefixes.requests) AS requests,
    round(100.0 * count(*) / max(prefixes.requests), 1) AS slow_percent,
    max(prefixes.median_ms) AS bucket_median_ms,
    CAST(avg(slow.turn_around_time_ms) AS bigint) AS slow_average_ms,
    max(slow.turn_around_time_ms) AS slowest_ms
FROM prefixes
JOIN access_logs AS slow
    ON slow.bucket = prefixes.bucket
    AND slow.operation = prefixes.operation
    AND substr(slow.key, 1, strpos(slow.key, '/')) = prefixes.prefix
    AND slow.turn_around_time_ms > greatest($factor * prefixes.median_ms, $min_ms)
WHERE slow.http_status BETWEEN 200 AND 299
    AND slow.turn_around_time_ms > $min_ms
    AND slow.time >= $since AND slow.time < $until
GROUP BY prefixes.bucket, prefixes.operation, prefixes.prefix
ORDER BY slow_percent DESC, bucket, subject
