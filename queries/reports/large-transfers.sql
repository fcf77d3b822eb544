--! id = "large-transfers"
--! kind = "report"
--! title = "The largest single downloads and uploads"
--! description = """
--! Requests by the bytes they moved: the body of the answer, or the size of what was written. Large downloads are
--! often made of many ranged or part requests, each a row of its own: bytes-by-prefix and principal-activity add them
--! up. Copies inside S3 send nothing to the caller and are not here."""
--! tags = ["exfiltration", "traffic"]
--! [params.min_bytes]
--! type = "int"
--! default = 0
--! help = "Only transfers of at least this many bytes"
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
    CASE WHEN is_upload THEN object_size ELSE bytes_sent END AS bytes,
    CASE WHEN is_upload THEN 'upload' ELSE 'download' END AS direction,
    time,
    bucket,
    operation,
    key,
    http_status,
    object_size,
    total_time_ms,
    principal,
    remote_ip,
    user_agent_family,
    source_region,
    request_id
FROM (
    SELECT *, operation IN ('REST.PUT.OBJECT', 'REST.POST.OBJECT', 'REST.PUT.PART') AS is_upload
    FROM requests
    WHERE time >= $since AND time < $until
        AND ($bucket = '' OR bucket = $bucket)
        AND http_status < 400
        AND (operation_class = 'read' OR operation IN ('REST.PUT.OBJECT', 'REST.POST.OBJECT', 'REST.PUT.PART'))
) AS transfers
WHERE CASE WHEN is_upload THEN object_size ELSE bytes_sent END >= $min_bytes
ORDER BY bytes DESC, time, request_id, bucket, key
LIMIT $limit
