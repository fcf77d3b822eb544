--! id = "operations-summary"
--! kind = "report"
--! title = "What was done: records, errors and bytes per operation"
--! description = """
--! Every operation in the logs with its share of the records. Errors are answers with status 400 and above, or with
--! an error code; lifecycle and other work of S3 itself has no status and never counts as an error. Bytes are
--! bodies of answers, not of uploads. Server access logs are delivered on a best-effort basis: counts are close,
--! not exact."""
--! tags = ["operations", "overview"]
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
    count(*) AS records,
    round(100.0 * count(*) / sum(count(*)) OVER (), 2) AS share_percent,
    count(*) FILTER (WHERE http_status >= 400 OR error_code IS NOT NULL) AS errors,
    coalesce(sum(bytes_sent), 0) AS bytes_sent,
    min(time) AS first_time,
    max(time) AS last_time
FROM access_logs
WHERE time >= $since AND time < $until
    AND ($bucket = '' OR bucket = $bucket)
GROUP BY operation
ORDER BY records DESC, operation
LIMIT $limit
