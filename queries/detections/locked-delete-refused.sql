--! id = "locked-delete-refused"
--! kind = "detection"
--! title = "Deleting versions in a bucket with Object Lock was refused"
--! level = "medium"
--! description = """
--! Somebody tried to delete versions for good in a bucket with Object Lock and got 403 AccessDenied. That is what a
--! lock that holds looks like, and what any missing permission looks like: the log does not tell them apart. A delete
--! without version id succeeds there, as a delete marker, and is no violation. A bucket counts when its logs show
--! Object Lock, retention or legal-hold calls that worked, or when it is listed. The count is of refused deletes."""
--! runbook = [
--!     "Ask the caller why versions were to be deleted; if nobody knows, treat the credentials as stolen: aws iam update-access-key --user-name USER --access-key-id KEY --status Inactive; for a role revoke its sessions, whose keys (ASIA...) are temporary.",
--!     "Check that the versions are there and locked: aws s3api get-object-retention --bucket BUCKET --key KEY --version-id VERSION.",
--!     "See what else the caller did: s3trail query principal-history -p principal=SUBJECT.",
--! ]
--! falsepositives = [
--!     "Backup software that tries to remove versions before their retention ends.",
--!     "A role that may not delete versions at all.",
--! ]
--! tags = ["object-lock", "destruction", "versioning", "attack.t1485", "attack.t1490"]
--! [params.locked_buckets]
--! type = "text_list"
--! default = []
--! help = "Buckets with Object Lock, beside those whose logs show Object Lock calls that worked"
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Findings from this time on"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Findings before this time"
WITH locked AS (
    SELECT bucket
    FROM access_logs
    WHERE time < $until
        AND http_status BETWEEN 200 AND 299
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
),
deletes AS (
    SELECT
        min(time) AS first_seen,
        max(time) AS last_seen,
        bucket,
        principal AS subject,
        count(*) AS count,
        evidence(log_bucket, log_key, log_offset, time) AS evidence,
        approx_distinct(key) AS keys_approx,
        approx_distinct(remote_ip) AS addresses_approx,
        min(key) AS example_key
    FROM requests
    WHERE time >= $since AND time < $until
        AND operation IN ('REST.DELETE.OBJECT', 'BATCH.DELETE.OBJECT')
        AND http_status = 403
        AND error_code = 'AccessDenied'
        AND (version_id IS NOT NULL OR uri_param(request_uri, 'versionId') IS NOT NULL)
    GROUP BY bucket, principal
)
SELECT *
FROM deletes
WHERE array_has($locked_buckets, bucket) OR bucket IN (SELECT bucket FROM locked)
ORDER BY bucket, subject
