--! id = "status-by-bucket"
--! kind = "report"
--! title = "What each bucket was asked for, and how S3 answered"
--! description = """
--! Requests of each bucket by operation, with their share of the bucket's requests, counted by class of the answer:
--! fulfilled (2xx), redirected or not changed (3xx), errors of the caller (4xx) and of S3 (5xx). Busiest bucket first. Not
--! counted are the rows of single keys beside a multi-object delete, and lifecycle actions. The source side of a copy is
--! an operation of its own, sometimes without status."""
--! tags = ["operations", "overview", "errors"]
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
    count(*) AS requests,
    round(100.0 * count(*) / sum(count(*)) OVER (PARTITION BY bucket), 2) AS share_of_bucket_percent,
    count(*) FILTER (WHERE http_status BETWEEN 200 AND 299) AS status_2xx,
    count(*) FILTER (WHERE http_status BETWEEN 300 AND 399) AS status_3xx,
    count(*) FILTER (WHERE http_status BETWEEN 400 AND 499) AS status_4xx,
    count(*) FILTER (WHERE http_status >= 500) AS status_5xx,
    count(*) FILTER (WHERE http_status IS NULL) AS no_status,
    coalesce(sum(bytes_sent), 0) AS bytes_sent
FROM access_logs
WHERE time >= $since AND time < $until
    AND ($bucket = '' OR bucket = $bucket)
    AND operation NOT LIKE 'BATCH.%'
    AND operation NOT LIKE 'S3.%'
GROUP BY bucket, operation
ORDER BY sum(count(*)) OVER (PARTITION BY bucket) DESC, bucket, requests DESC, operation
LIMIT $limit
