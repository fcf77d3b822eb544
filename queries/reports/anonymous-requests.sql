--! id = "anonymous-requests"
--! kind = "report"
--! title = "Requests without credentials"
--! description = """
--! What callers without a requester asked for, and what they got. On a public website that is everybody; in a
--! private bucket every success is a leak. Requests whose credentials were refused, such as expired pre-signed
--! URLs, are logged without requester too: they show as status 403 with authentication_type. By address, or by bucket
--! alone, there is one row for all operations and answers."""
--! tags = ["public-access", "security"]
--! [params.by]
--! type = "text"
--! default = "operation"
--! choices = ["operation", "remote_ip", "bucket"]
--! help = "One row for each operation and answer, each address, or the whole bucket"
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
    CASE WHEN $by = 'remote_ip' THEN remote_ip END AS address,
    CASE WHEN $by = 'operation' THEN operation END AS operation,
    CASE WHEN $by = 'operation' THEN http_status END AS http_status,
    CASE WHEN $by = 'operation' THEN error_code END AS error_code,
    CASE WHEN $by = 'operation' THEN authentication_type END AS authentication_type,
    count(*) AS requests,
    count(*) FILTER (WHERE is_success) AS successful,
    count(*) FILTER (WHERE http_status = 403) AS refused,
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
GROUP BY bucket, 2, 3, 4, 5, 6
ORDER BY requests DESC, bucket, 2, 3, 4, 5, 6
LIMIT $limit
