--! id = "rate-peaks"
--! kind = "report"
--! title = "The busiest minute of each address, caller or prefix"
--! description = """
--! How many requests came in one minute at most, and how many minutes had at least min_per_minute. S3 scales by
--! prefix; somebody who reads everything shows as one address or caller with a high rate. Minutes are those of the
--! clock. Not counted are the rows of single keys beside a multi-object delete, the source side of copies, and lifecycle
--! actions."""
--! tags = ["operations", "traffic"]
--! [params.by]
--! type = "text"
--! default = "remote_ip"
--! choices = ["remote_ip", "principal", "key_prefix", "user_agent_family"]
--! help = "What to count by"
--! [params.min_per_minute]
--! type = "int"
--! default = 100
--! help = "Minutes with fewer requests do not count"
--! [params.failures_only]
--! type = "bool"
--! default = false
--! help = "Count only requests that failed"
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
    talker,
    max(requests) AS most_in_a_minute,
    first_value(minute ORDER BY requests DESC, minute) AS busiest_minute,
    count(*) AS busy_minutes,
    CAST(sum(requests) AS bigint) AS requests_in_busy_minutes,
    min(minute) AS first_minute,
    max(minute) AS last_minute
FROM (
    SELECT
        bucket,
        date_trunc('minute', time) AS minute,
        CASE
            WHEN $by = 'remote_ip' THEN remote_ip
            WHEN $by = 'principal' THEN principal
            WHEN $by = 'key_prefix' THEN key_prefix
            WHEN $by = 'user_agent_family' THEN user_agent_family
        END AS talker,
        count(*) AS requests
    FROM requests
    WHERE time >= $since AND time < $until
        AND ($bucket = '' OR bucket = $bucket)
        AND (NOT $failures_only OR http_status >= 400 OR error_code IS NOT NULL)
        -- Rows beside the row of the request itself, and what S3 does on its own.
        AND operation NOT IN ('BATCH.DELETE.OBJECT', 'REST.COPY.OBJECT_GET', 'REST.COPY.PART_GET')
        AND operation NOT LIKE 'S3.%'
    GROUP BY bucket, minute, talker
    HAVING count(*) >= $min_per_minute
) AS minutes
GROUP BY bucket, talker
ORDER BY most_in_a_minute DESC, bucket, talker
LIMIT $limit
