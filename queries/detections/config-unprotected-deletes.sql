--! id = "config-unprotected-deletes"
--! kind = "detection"
--! title = "Deletes for good in a bucket where the configuration does not stand against them"
--! level = "low"
--! description = """
--! Callers deleted objects in a bucket whose versioning, as audited, is off or suspended: nothing was kept of them
--! (subject `no versioning`). Or callers deleted versions by their id in a bucket with versioning and without MFA
--! delete: whoever has such a caller's credentials can do the same to every version (subject `no MFA delete`). Who
--! lifecycle, replication or Object Lock protect is not weighed; object_lock and replication say what else there is.
--! configuration says what was read. count is the number of fulfilled deletes, those of multi-object deletes one by
--! one; below min_deletes nothing is said. Deletes from before the audit count too: the configuration may have been
--! another then, before_the_audit says how many."""
--! runbook = [
--!     "Ask what the deleted data are worth; for data that cannot be made again switch versioning on: aws s3api put-bucket-versioning --bucket BUCKET --versioning-configuration Status=Enabled",
--!     "Take s3:DeleteObjectVersion away from those who need not have it; consider Object Lock, or MFA delete, which only the root user can switch on.",
--!     "See who deletes: s3trail query who-deleted.",
--! ]
--! falsepositives = ["Temporary data, caches and results that can be made again.", "Clean-up jobs of versioned buckets."]
--! tags = ["versioning", "destruction", "configuration", "audit", "attack.t1485"]
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Deletes from this time on; the configuration is that of the last audit"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Deletes before this time"
--! [params.min_deletes]
--! type = "int"
--! default = 100
--! help = "Say nothing of fewer deletes"
SELECT
    min(time) AS first_seen,
    max(time) AS last_seen,
    bucket,
    subject,
    count(*) AS count,
    evidence(log_bucket, log_key, log_offset, time) AS evidence,
    concat('versioning ', versioning, CASE WHEN mfa_delete THEN ', MFA delete on' ELSE ', MFA delete off' END)
        AS configuration,
    object_lock,
    replication,
    count(*) FILTER (WHERE time <= audited_at) AS before_the_audit,
    approx_distinct(principal) AS principals_approx,
    min(principal) AS example_principal,
    min(key) AS example_key,
    audited_at
FROM (
    SELECT
        deletes.*,
        configuration.versioning,
        configuration.mfa_delete,
        configuration.object_lock,
        configuration.replication,
        configuration.audited_at,
        CASE WHEN configuration.versioning = 'Enabled' THEN 'no MFA delete' ELSE 'no versioning' END AS subject
    -- The small side comes first: when it is empty the other is not read.
    FROM (
        SELECT *
        FROM bucket_configuration
        WHERE kind = 'bucket' AND (versioning IN ('Off', 'Suspended') OR versioning = 'Enabled' AND mfa_delete = FALSE)
    ) AS configuration
    INNER JOIN (
        SELECT *, version_id IS NOT NULL OR uri_param(request_uri, 'versionId') IS NOT NULL AS is_version
        FROM requests
        WHERE time >= $since AND time < $until
            AND operation IN ('REST.DELETE.OBJECT', 'BATCH.DELETE.OBJECT')
            AND is_success
            AND NOT is_aws_internal
    ) AS deletes ON deletes.bucket = configuration.name
    WHERE configuration.versioning <> 'Enabled' OR deletes.is_version
) AS final
GROUP BY bucket, subject, versioning, mfa_delete, object_lock, replication, audited_at
HAVING count(*) >= $min_deletes
ORDER BY first_seen, bucket, subject
