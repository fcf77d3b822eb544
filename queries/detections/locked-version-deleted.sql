--! id = "locked-version-deleted"
--! kind = "detection"
--! title = "Versions were deleted for good in a bucket with Object Lock"
--! level = "low"
--! description = """
--! Versions went away in a bucket with Object Lock. Either they were not locked, or their retention had ended, or
--! somebody went around governance mode: that is asked for in a header, which is not logged, so this delete is the
--! only trace of it. Retention dates are not in the log either; most hits are deletes after the retention, so the
--! level is low. A bucket counts when its logs show Object Lock, retention or legal-hold calls that worked, or when
--! it is listed. Lifecycle expirations are not counted. The count is of deleted versions."""
--! runbook = [
--!     "Ask the caller, and see who may bypass governance mode (s3:BypassGovernanceRetention): aws iam simulate-principal-policy --policy-source-arn ARN --action-names s3:BypassGovernanceRetention.",
--!     "Compare with what the versions should have had as retention: aws s3api get-object-lock-configuration --bucket BUCKET has the default of the bucket.",
--!     "CloudTrail data events, where they are on, can tell more of the request than these logs.",
--! ]
--! falsepositives = ["Backup software that removes versions after their retention, as it should."]
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
        coalesce(sum(object_size), 0) AS bytes,
        min(key) AS example_key
    FROM requests
    WHERE time >= $since AND time < $until
        AND operation IN ('REST.DELETE.OBJECT', 'BATCH.DELETE.OBJECT')
        AND http_status BETWEEN 200 AND 299
        AND (version_id IS NOT NULL OR uri_param(request_uri, 'versionId') IS NOT NULL)
    GROUP BY bucket, principal
)
SELECT *
FROM deletes
WHERE array_has($locked_buckets, bucket) OR bucket IN (SELECT bucket FROM locked)
ORDER BY bucket, subject
