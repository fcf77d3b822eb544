--! id = "lifecycle-actions"
--! kind = "report"
--! title = "What S3 did on its own: expirations, transitions, restores"
--! description = """
--! Actions of the lifecycle and other work of S3 itself by day, operation and prefix. S3.EXPIRE deletes for good,
--! S3.CREATE.DELETEMARKER hides, S3.TRANSITION moves to another storage class (_SIA Standard-IA, _ZIA One Zone-IA,
--! _INT Intelligent-Tiering, _GIR Glacier Instant Retrieval, none Glacier Flexible Retrieval, _GDA Glacier Deep
--! Archive), S3.DELETE.UPLOAD ends an unfinished upload, S3.RESTORE ends a restore. CloudTrail has none of these. Who
--! wrote the rule shows as REST.PUT.LIFECYCLE; the rule itself is not in the log."""
--! tags = ["glacier", "destruction", "cost"]
--! [params.depth]
--! type = "int"
--! default = 1
--! help = "How many folders of the key make a prefix"
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
    day,
    bucket,
    operation,
    prefix,
    count(*) AS actions,
    coalesce(sum(object_size), 0) AS bytes,
    min(key) AS example_key,
    min(time) AS first_time,
    max(time) AS last_time
FROM (
    SELECT
        date_trunc('day', time) AS day,
        bucket,
        operation,
        key,
        object_size,
        time,
        CASE WHEN key IS NULL THEN '' ELSE array_to_string(
            array_slice(
                string_to_array(key, '/'),
                1,
                least($depth, CAST(array_length(string_to_array(key, '/')) AS bigint) - 1)
            ),
            '/'
        ) END AS prefix
    FROM access_logs
    WHERE time >= $since AND time < $until
        AND ($bucket = '' OR bucket = $bucket)
        AND operation LIKE 'S3.%'
) AS actions
GROUP BY day, bucket, operation, prefix
ORDER BY day DESC, bucket, operation, actions DESC, prefix
LIMIT $limit
