--! id = "config-lock-without-retention"
--! kind = "detection"
--! title = "Object Lock is on, and new objects are not locked"
--! level = "low"
--! description = """
--! By the audited configuration the bucket has Object Lock and no default retention: an object is locked only when its
--! writer asks for it, in headers that are not logged, or later with a retention or legal-hold call. Many believe such
--! a bucket to be write-once. uploads and retention_calls say how many objects were written and how many calls locked
--! some afterwards (in the time asked for); versions_deleted is the number of versions that were deleted for good, so
--! that these at least were not locked.
--! evidence_kind: `configured and observed` when versions were deleted; count is their number. Else `configured only`:
--! count is 1, the times are that of the audit."""
--! runbook = [
--!     "Ask whether every writer sets a retention: aws s3api head-object --bucket BUCKET --key KEY shows ObjectLockMode of an object.",
--!     "Or set a default: aws s3api put-object-lock-configuration --bucket BUCKET --object-lock-configuration file://lock.json (it holds for new objects only).",
--!     "See who deletes versions: s3trail detect --only locked-version-deleted.",
--! ]
--! falsepositives = ["Backup software that sets the retention of each object itself."]
--! tags = ["object-lock", "configuration", "audit", "attack.t1485"]
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Records from this time on; the configuration is that of the last audit"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Records before this time"
SELECT
    coalesce(min(time) FILTER (WHERE is_delete), audited_at) AS first_seen,
    coalesce(max(time) FILTER (WHERE is_delete), audited_at) AS last_seen,
    name AS bucket,
    'no default retention' AS subject,
    greatest(count(*) FILTER (WHERE is_delete), 1) AS count,
    evidence(log_bucket, log_key, log_offset, time) FILTER (WHERE is_delete) AS evidence,
    CASE WHEN count(*) FILTER (WHERE is_delete) > 0 THEN 'configured and observed' ELSE 'configured only' END
        AS evidence_kind,
    count(*) FILTER (WHERE is_delete) AS versions_deleted,
    count(*) FILTER (WHERE is_upload) AS uploads,
    count(*) FILTER (WHERE is_lock) AS retention_calls,
    audited_at
FROM (
    SELECT name, audited_at
    FROM bucket_configuration
    WHERE kind = 'bucket' AND object_lock AND default_retention_mode IS NULL
) AS configuration
LEFT JOIN (
    SELECT
        bucket,
        time,
        log_bucket,
        log_key,
        log_offset,
        operation IN ('REST.DELETE.OBJECT', 'BATCH.DELETE.OBJECT')
            AND (version_id IS NOT NULL OR uri_param(request_uri, 'versionId') IS NOT NULL) AS is_delete,
        operation_class = 'write' AND operation NOT LIKE '%.PART' AND operation <> 'REST.POST.UPLOADS' AS is_upload,
        operation IN ('REST.PUT.RETENTION', 'REST.PUT.LEGAL_HOLD')
            OR uri_param(request_uri, 'retention') IS NOT NULL
            OR uri_param(request_uri, 'legal-hold') IS NOT NULL AS is_lock
    FROM requests
    WHERE time >= $since AND time < $until
        AND http_status BETWEEN 200 AND 299
        AND operation_class IN ('write', 'delete', 'config_write')
) AS seen
    ON seen.bucket = configuration.name
GROUP BY name, audited_at
ORDER BY first_seen, bucket
