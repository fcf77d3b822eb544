--! id = "server-errors"
--! kind = "report"
--! title = "Failures on the side of S3, with the ids for a support case"
--! description = """
--! Answers with status 500 and above. AWS Support needs the request id together with the host id (the extended
--! request id). Some 503 SlowDown answers while a prefix grows are normal; SDKs try again, and the retry is a
--! record of its own."""
--! tags = ["operations", "errors", "support"]
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
    time,
    bucket,
    operation,
    key,
    http_status,
    error_code,
    request_id,
    host_id,
    total_time_ms,
    turn_around_time_ms,
    principal,
    remote_ip,
    user_agent_family,
    host_header
FROM requests
WHERE time >= $since AND time < $until
    AND ($bucket = '' OR bucket = $bucket)
    AND http_status >= 500
ORDER BY time DESC, request_id, bucket, key, operation
LIMIT $limit
