--! id = "who-deleted"
--! kind = "report"
--! title = "Who deleted objects, when and how"
--! description = """
--! Deletions of a key or of all keys under a prefix: single deletes, the rows of multi-object deletes, and S3's
--! lifecycle. A delete with a version id is final; one without it, in a bucket with versioning, only adds a delete
--! marker, and the log does not say whether versioning was on. Lifecycle rows have no status and no caller; who
--! wrote the lifecycle rule shows as REST.PUT.LIFECYCLE. The request of a multi-object delete itself has no key and
--! is not listed."""
--! tags = ["destruction", "object", "forensics"]
--! [params.key]
--! type = "text"
--! default = ""
--! help = "Only this key; empty for all"
--! [params.prefix]
--! type = "text"
--! default = ""
--! help = "Only keys that begin so; empty for all"
--! [params.failed]
--! type = "bool"
--! default = false
--! help = "Also deletes that were refused or failed"
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
    time,
    bucket,
    key,
    CASE
        WHEN operation LIKE 'S3.%' THEN 'lifecycle'
        WHEN version_id IS NOT NULL OR uri_param(request_uri, 'versionId') IS NOT NULL THEN 'version'
        WHEN operation LIKE 'BATCH.%' THEN 'multi-object'
        ELSE 'single'
    END AS kind_of_delete,
    operation,
    version_id,
    http_status,
    error_code,
    principal,
    session_name,
    remote_ip,
    user_agent_family,
    object_size,
    request_id
FROM requests
WHERE time >= $since AND time < $until
    AND ($bucket = '' OR bucket = $bucket)
    AND (
        operation_class = 'delete' AND resource = 'OBJECT'
        OR operation IN ('S3.EXPIRE.OBJECT', 'S3.CREATE.DELETEMARKER')
    )
    AND ($key = '' OR key = $key)
    AND ($prefix = '' OR starts_with(key, $prefix))
    AND ($failed OR is_success OR operation LIKE 'S3.%')
ORDER BY time DESC, bucket, key, request_id, version_id
LIMIT $limit
