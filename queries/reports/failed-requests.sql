--! id = "failed-requests"
--! kind = "report"
--! title = "Where requests fail: by key, address, caller or prefix"
--! description = """
--! Answers with status 400 and above, or with an error code, counted by what you choose; for one status, code or
--! operation if you like, such as operation=write for failed uploads. Missing configurations (NoSuchTagSet and the like)
--! are answers to tools that look around. error-breakdown has the codes, server-errors the ids for AWS Support."""
--! tags = ["operations", "errors"]
--! [params.by]
--! type = "text"
--! default = "key"
--! choices = ["key", "remote_ip", "principal", "key_prefix", "user_agent_family"]
--! help = "What to count by"
--! [params.status]
--! type = "int"
--! default = 0
--! help = "Only this status; 0 for all"
--! [params.error_code]
--! type = "text"
--! default = ""
--! help = "Only this error code; empty for all"
--! [params.operation]
--! type = "text"
--! default = ""
--! help = "Only this operation, such as REST.PUT.OBJECT, or this kind: read, write, delete, list and so on; empty for all"
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
    CASE
        WHEN $by = 'key' THEN key
        WHEN $by = 'remote_ip' THEN remote_ip
        WHEN $by = 'principal' THEN principal
        WHEN $by = 'key_prefix' THEN key_prefix
        WHEN $by = 'user_agent_family' THEN user_agent_family
    END AS failing,
    http_status,
    error_code,
    count(*) AS requests,
    approx_distinct(remote_ip) AS addresses_approx,
    approx_distinct(principal) AS principals_approx,
    min(operation) AS example_operation,
    min(time) AS first_time,
    max(time) AS last_time
FROM requests
WHERE time >= $since AND time < $until
    AND ($bucket = '' OR bucket = $bucket)
    AND (http_status >= 400 OR error_code IS NOT NULL)
    AND ($status = 0 OR http_status = $status)
    AND ($error_code = '' OR error_code = $error_code)
    AND ($operation = '' OR operation = $operation OR operation_class = $operation)
GROUP BY bucket, failing, http_status, error_code
ORDER BY requests DESC, bucket, failing, http_status, error_code
LIMIT $limit
