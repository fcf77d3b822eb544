--! id = "latency-by-operation"
--! kind = "report"
--! title = "How long S3 took, per operation"
--! description = """
--! Percentiles (approximate) of the turn-around time, which is S3's own time until the first byte of the answer,
--! and of the total time, which includes the caller reading or sending the body. Many configuration reads log no
--! turn-around time. Time on the network before the request reached S3 is in neither."""
--! tags = ["operations", "performance"]
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Records from this time on"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Records before this time"
--! [params.bucket]
--! type = "text"
--! default = ""
--! help = "Only this bucket; empty for all"
--! [params.limit]
--! type = "int"
--! default = 50
--! help = "At most this many rows"
SELECT
    operation,
    count(total_time_ms) AS requests,
    approx_percentile_cont(0.5) WITHIN GROUP (ORDER BY turn_around_time_ms) AS turn_around_p50_ms,
    approx_percentile_cont(0.95) WITHIN GROUP (ORDER BY turn_around_time_ms) AS turn_around_p95_ms,
    approx_percentile_cont(0.99) WITHIN GROUP (ORDER BY turn_around_time_ms) AS turn_around_p99_ms,
    approx_percentile_cont(0.5) WITHIN GROUP (ORDER BY total_time_ms) AS total_p50_ms,
    approx_percentile_cont(0.95) WITHIN GROUP (ORDER BY total_time_ms) AS total_p95_ms,
    approx_percentile_cont(0.99) WITHIN GROUP (ORDER BY total_time_ms) AS total_p99_ms,
    max(total_time_ms) AS total_max_ms
FROM access_logs
WHERE time >= $since AND time < $until
    AND ($bucket = '' OR bucket = $bucket)
    AND total_time_ms IS NOT NULL
GROUP BY operation
ORDER BY requests DESC, operation
LIMIT $limit
