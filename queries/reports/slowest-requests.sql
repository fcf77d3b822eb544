--! id = "slowest-requests"
--! kind = "report"
--! title = "The slowest requests, with their ids"
--! description = """
--! By turn-around time, which is S3's own time until the first byte of the answer, or by total time, which includes
--! the caller reading or sending the body. A long total time with a short turn-around is a slow caller or a large
--! object. latency-by-operation has the percentiles."""
--! tags = ["operations", "performance"]
--! [params.by]
--! type = "text"
--! default = "turn_around"
--! choices = ["turn_around", "total"]
--! help = "Which time to order by"
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
--! default = 100
--! help = "At most this many rows"
SELECT
    turn_around_time_ms,
    total_time_ms,
    time,
    bucket,
    operation,
    key,
    http_status,
    error_code,
    bytes_sent,
    object_size,
    principal,
    remote_ip,
    request_id,
    host_id
FROM requests
WHERE time >= $since AND time < $until
    AND ($bucket = '' OR bucket = $bucket)
    AND CASE WHEN $by = 'total' THEN total_time_ms ELSE turn_around_time_ms END IS NOT NULL
ORDER BY CASE WHEN $by = 'total' THEN total_time_ms ELSE turn_around_time_ms END DESC,
    time, request_id, bucket, operation, key
LIMIT $limit
