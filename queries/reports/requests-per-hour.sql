--! id = "requests-per-hour"
--! kind = "report"
--! title = "Requests, errors and bytes per hour or day"
--! description = """
--! Newest hour (or day) first. The last hours are incomplete: S3 delivers most records within a few hours and some
--! later. An hour without row had no record, which can mean no request, or no delivery. Not counted are the rows of
--! single keys beside a multi-object delete, the source side of copies, and lifecycle actions. Days are those of UTC."""
--! tags = ["operations", "overview", "traffic"]
--! [params.per]
--! type = "text"
--! default = "hour"
--! choices = ["hour", "day"]
--! help = "Length of the spans that are counted"
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
--! default = 168
--! help = "At most this many rows"
SELECT
    CASE WHEN $per = 'day' THEN date_trunc('day', time) ELSE date_trunc('hour', time) END AS span,
    count(*) AS requests,
    count(*) FILTER (WHERE http_status BETWEEN 400 AND 499) AS client_errors,
    count(*) FILTER (WHERE http_status >= 500) AS server_errors,
    coalesce(sum(bytes_sent), 0) AS bytes_sent,
    approx_distinct(requester) AS requesters_approx,
    approx_distinct(remote_ip) AS addresses_approx
FROM access_logs
WHERE time >= $since AND time < $until
    AND ($bucket = '' OR bucket = $bucket)
    -- Rows beside the row of the request itself, and what S3 does on its own.
    AND operation NOT IN ('BATCH.DELETE.OBJECT', 'REST.COPY.OBJECT_GET', 'REST.COPY.PART_GET')
    AND operation NOT LIKE 'S3.%'
GROUP BY span
ORDER BY span DESC
LIMIT $limit
