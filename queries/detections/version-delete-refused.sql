--! id = "version-delete-refused"
--! kind = "detection"
--! title = "Permanent deletes of object versions were refused"
--! level = "medium"
--! description = """
--! A caller tried to delete versions by their id and got 403 AccessDenied. Object Lock (retention or a legal hold),
--! MFA delete, or a missing permission stopped it; the log does not say which. Somebody who tries to destroy protected
--! data, or a program that does not know of the protection, leaves this trace.
--! A delete without version id is no attempt on a version: it only adds a marker, and succeeds under Object Lock.
--! Buckets with Object Lock, by calls of it in their logs that worked or by the list, are left to locked-delete-refused.
--! Versions that the same caller deleted with success are the matter of version-deleted."""
--! runbook = [
--!     "Ask the owner of the caller whether the deletes were meant; if not, disable its credentials first, before it finds what is not protected.",
--!     "See what protects the object: aws s3api get-object-retention --bucket BUCKET --key KEY --version-id ID, aws s3api get-object-legal-hold --bucket BUCKET --key KEY --version-id ID, aws s3api get-bucket-versioning --bucket BUCKET",
--!     "If a program prunes versions, make it wait for the end of the retention.",
--! ]
--! falsepositives = ["Backup programs and clean-up jobs that do not know of Object Lock.", "Developers who try what they may do."]
--! tags = ["versioning", "object-lock", "destruction", "attack.t1485"]
--! [params.locked_buckets]
--! type = "text_list"
--! default = []
--! help = "Buckets with Object Lock, beside those whose logs show Object Lock calls that worked; those of locked-delete-refused"
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Findings from this time on"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Findings before this time"
--! [params.min_refused]
--! type = "int"
--! default = 1
--! help = "Callers with at least this many refused deletes of versions in a bucket"
WITH locked AS (
    SELECT bucket
    FROM access_logs
    WHERE time < $until
        AND http_status BETWEEN 200 AND 299
        AND bucket IS NOT NULL
        -- Most records: objects, parts and listings have no such sub-resource.
        AND operation NOT LIKE '%.OBJECT' AND operation NOT LIKE '%.PART' AND operation NOT LIKE '%.BUCKET'
        AND (
            operation LIKE '%OBJECT_LOCK%'
            OR operation LIKE '%.RETENTION'
            OR operation LIKE '%.LEGAL_HOLD'
            OR uri_param(request_uri, 'object-lock') IS NOT NULL
            OR uri_param(request_uri, 'retention') IS NOT NULL
            OR uri_param(request_uri, 'legal-hold') IS NOT NULL
        )
    GROUP BY bucket
)
SELECT
    min(time) AS first_seen,
    max(time) AS last_seen,
    bucket,
    principal AS subject,
    count(*) AS count,
    evidence(log_bucket, log_key, log_offset, time) AS evidence,
    approx_distinct(key) AS keys_approx,
    min(key) AS example_key,
    min(session_name) AS example_session,
    min(remote_ip) AS example_address
FROM requests
WHERE time >= $since AND time < $until
    AND http_status = 403
    AND error_code = 'AccessDenied'
    AND operation IN ('REST.DELETE.OBJECT', 'BATCH.DELETE.OBJECT')
    AND (version_id IS NOT NULL OR uri_param(request_uri, 'versionId') IS NOT NULL)
    AND NOT is_aws_internal
    AND NOT array_has($locked_buckets, bucket)
    AND bucket NOT IN (SELECT bucket FROM locked)
GROUP BY bucket, principal
HAVING count(*) >= $min_refused
ORDER BY first_seen, bucket, subject
