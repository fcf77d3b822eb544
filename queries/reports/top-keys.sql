--! id = "top-keys"
--! kind = "report"
--! title = "The objects that are asked for most"
--! description = """
--! Objects by number of requests or by bytes sent, with reads, writes and errors. Keys that do not exist count too:
--! see errors."""
--! tags = ["operations", "traffic"]
--! [params.by]
--! type = "text"
--! default = "requests"
--! choices = ["requests", "bytes"]
--! help = "What to order by"
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
SELECT *
FROM (
    SELECT
        bucket,
        key,
        count(*) AS requests,
        count(*) FILTER (WHERE operation_class = 'read') AS reads,
        count(*) FILTER (WHERE operation_class = 'write') AS writes,
        count(*) FILTER (WHERE http_status >= 400 OR error_code IS NOT NULL) AS errors,
        coalesce(sum(bytes_sent), 0) AS bytes_sent,
        min(time) AS first_time,
        max(time) AS last_time
    FROM requests
    WHERE time >= $since AND time < $until
        AND ($bucket = '' OR bucket = $bucket)
        AND key IS NOT NULL
    GROUP BY bucket, key
) AS objects
ORDER BY CASE WHEN $by = 'bytes' THEN bytes_sent ELSE requests END DESC, bucket, key
LIMIT $limit
