--! id = "anonymous-requests"
--! kind = "report"
--! title = "Requests without credentials"
--! description = """
--! What callers without a requester asked for, and what they got. On a public website that is everybody; in a
--! private bucket every success is a leak. Requests whose credentials were refused, such as expired pre-signed
--! URLs, are logged without requester too: they show as status 403 with authentication_type."""
--! tags = ["public-access", "security"]
--! [params.successful]
--! type = "bool"
--! default = false
--! help = "Only requests that S3 fulfilled"
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
    bucket,
    operation,
    http_status,
    error_code,
    authentication_type,
    count(*) AS requests,
    approx_distinct(key) AS keys_approx,
    approx_distinct(remote_ip) AS addresses_approx,
    coalesce(sum(bytes_sent), 0) AS bytes_sent,
    min(key) AS example_key,
    min(time) AS first_time,
    max(time) AS last_time
FROM requests
WHERE time >= $since AND time < $until
    AND ($bucket = '' OR bucket = $bucket)
    AND is_anonymous
    AND (NOT $successful OR is_success)
GROUP BY bucket, operation, http_status, error_code, authentication_type
ORDER BY requests DESC, bucket, operation, http_status, error_code, authentication_type
LIMIT $limit
