--! id = "error-breakdown"
--! kind = "report"
--! title = "Which errors S3 answered, on which operations"
--! description = """
--! Answers with status 400 and above, or with an error code, by status, code and operation. Missing configurations
--! (NoSuchTagSet, NoSuchBucketPolicy and the like) are answers to tools that look around, seldom a fault. An
--! AccessDenied does not say which policy refused; requests denied by a VPC endpoint's policy are not logged at
--! all."""
--! tags = ["operations", "errors"]
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
    http_status,
    error_code,
    operation,
    count(*) AS records,
    round(100.0 * count(*) / sum(count(*)) OVER (), 2) AS share_percent,
    approx_distinct(principal) AS principals_approx,
    approx_distinct(remote_ip) AS addresses_approx,
    min(request_id) AS example_request_id,
    min(time) AS first_time,
    max(time) AS last_time
FROM requests
WHERE time >= $since AND time < $until
    AND ($bucket = '' OR bucket = $bucket)
    AND (http_status >= 400 OR error_code IS NOT NULL)
GROUP BY http_status, error_code, operation
ORDER BY records DESC, http_status, error_code, operation
LIMIT $limit
