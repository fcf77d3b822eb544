--! id = "top-talkers"
--! kind = "report"
--! title = "Who asks most"
--! description = """
--! The callers with the most requests, by address, identity, software, key prefix or Region. One address can be
--! many people behind a proxy; software is what the caller says it is; the Region is logged only in records of 2026
--! and later. Not counted are the rows of single keys beside a multi-object delete, the source side of copies, and
--! lifecycle actions."""
--! tags = ["operations", "overview", "traffic"]
--! [params.by]
--! type = "text"
--! default = "remote_ip"
--! choices = ["remote_ip", "principal", "user_agent_family", "key_prefix", "source_region"]
--! help = "What to count by"
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
--! default = 20
--! help = "At most this many rows"
SELECT
    CASE
        WHEN $by = 'remote_ip' THEN remote_ip
        WHEN $by = 'principal' THEN principal
        WHEN $by = 'user_agent_family' THEN user_agent_family
        WHEN $by = 'key_prefix' THEN key_prefix
        WHEN $by = 'source_region' THEN source_region
    END AS talker,
    count(*) AS requests,
    round(100.0 * count(*) / sum(count(*)) OVER (), 2) AS share_percent,
    count(*) FILTER (WHERE http_status >= 400 OR error_code IS NOT NULL) AS errors,
    coalesce(sum(bytes_sent), 0) AS bytes_sent,
    min(time) AS first_time,
    max(time) AS last_time
FROM requests
WHERE time >= $since AND time < $until
    AND ($bucket = '' OR bucket = $bucket)
    -- Rows beside the row of the request itself, and what S3 does on its own.
    AND operation NOT IN ('BATCH.DELETE.OBJECT', 'REST.COPY.OBJECT_GET', 'REST.COPY.PART_GET')
    AND operation NOT LIKE 'S3.%'
GROUP BY talker
ORDER BY requests DESC, talker
LIMIT $limit
