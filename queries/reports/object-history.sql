--! id = "object-history"
--! kind = "report"
--! title = "Everything that happened to one object"
--! description = """
--! All records of one key in the order of time: reads, writes, copies, deletes, lifecycle actions. With versioning,
--! the version id tells which version was meant; a write does not log the id of the version it made. What happened
--! before logging began, or in records that S3 did not deliver, cannot be seen, nor can what was in the object."""
--! tags = ["operations", "object", "forensics"]
--! [params.key]
--! type = "text"
--! required = true
--! help = "The object key, decoded"
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
    operation,
    http_status,
    error_code,
    version_id,
    principal,
    remote_ip,
    user_agent_family,
    bytes_sent,
    object_size,
    bucket,
    request_id,
    log_bucket,
    log_key,
    log_offset
FROM requests
WHERE time >= $since AND time < $until
    AND ($bucket = '' OR bucket = $bucket)
    AND key = $key
ORDER BY time, request_id, operation, log_bucket, log_key, log_offset
LIMIT $limit
