--! id = "largest-objects"
--! kind = "report"
--! title = "The largest objects seen in the logs"
--! description = """
--! Objects by the size that was logged last, with how often they were read. Parts of multipart uploads are not
--! counted as objects. An object that nobody touched is not here, and one that is here may be gone: last_deleted
--! tells of deletes that were logged."""
--! tags = ["cost", "traffic"]
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
    key,
    last_value(object_size ORDER BY time, object_size)
        FILTER (WHERE object_size IS NOT NULL AND operation_class IN ('read', 'write')) AS last_size_bytes,
    count(*) FILTER (WHERE operation_class = 'read') AS reads,
    coalesce(sum(bytes_sent), 0) AS bytes_sent,
    max(time) FILTER (WHERE operation_class IN ('read', 'write')) AS last_access,
    max(time) FILTER (
        WHERE operation_class = 'delete' AND resource = 'OBJECT' OR operation IN ('S3.EXPIRE.OBJECT', 'S3.CREATE.DELETEMARKER')
    ) AS last_deleted
FROM requests
WHERE time >= $since AND time < $until
    AND ($bucket = '' OR bucket = $bucket)
    AND key IS NOT NULL
    AND operation NOT LIKE '%.PART' AND operation NOT LIKE '%.PART_GET' AND operation NOT LIKE '%.UPLOADS'
    AND coalesce(http_status, 200) < 400
GROUP BY bucket, key
HAVING count(object_size) FILTER (WHERE operation_class IN ('read', 'write')) > 0
ORDER BY last_size_bytes DESC, bucket, key
LIMIT $limit
