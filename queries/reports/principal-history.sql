--! id = "principal-history"
--! kind = "report"
--! title = "Everything one caller did"
--! description = """
--! All records of one caller in the order of time, over all buckets unless one is named. Take principal as the other
--! reports show it: the ARN of a user, of a role without its session, or a canonical id; or the name of a role.
--! Requests whose credentials were refused are logged without caller and are not here, nor is what the caller did
--! outside S3, or in buckets that are not logged."""
--! tags = ["operations", "principal", "forensics"]
--! [params.principal]
--! type = "text"
--! required = true
--! help = "The caller, as reports show it, or the name of a role"
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
--! default = 1000
--! help = "At most this many rows"
SELECT
    time,
    bucket,
    operation,
    key,
    http_status,
    error_code,
    session_name,
    remote_ip,
    user_agent_family,
    version_id,
    bytes_sent,
    object_size,
    request_id,
    log_bucket,
    log_key,
    log_offset
FROM requests
WHERE time >= $since AND time < $until
    AND ($bucket = '' OR bucket = $bucket)
    AND (principal = $principal OR role = $principal)
ORDER BY time, request_id, bucket, operation, key, version_id, log_bucket, log_key, log_offset
LIMIT $limit
