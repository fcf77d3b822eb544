--! id = "config-access-point-bypassed"
--! kind = "detection"
--! title = "A bucket whose policy relies on access points was asked directly"
--! level = "medium"
--! description = """
--! The audited bucket policy leaves access to access points, and S3 fulfilled requests for objects or listings that did
--! not come through one. policy_state says how it relies on them. `delegates`: a statement lets access points decide
--! (s3:DataAccessPointAccount or s3:DataAccessPointArn), and nothing refuses the others, so callers of the same account
--! get in by their identity policies. `refuses`: every read and write of an object past access points is denied; then
--! only those count (reads of current versions, uploads; not lists, deletes and restores, which such a policy may
--! allow), and only those after the audit: the policy was weakened since. Where a policy leaves it open there is no
--! finding.
--! This is access-point-bypass with the list of buckets read from the configuration. Requests through a multi-Region
--! access point can show only in the host name. Work inside AWS and the source side of copies are left out, and so are
--! records before November 2022, which may not have the column. count is the number of requests, subject the caller."""
--! runbook = [
--!     "Read the bucket policy: aws s3api get-bucket-policy --bucket BUCKET --query Policy --output text",
--!     "Refuse what does not come through an access point: Deny, Principal *, Action s3:*, condition StringNotEquals s3:DataAccessPointAccount ACCOUNT, with an exception for administrators.",
--!     "Ask the caller to use the access point: aws s3control list-access-points --account-id ACCOUNT --bucket BUCKET",
--! ]
--! falsepositives = ["Administrators, pipelines and inventory tools that may go directly: put them into allowed."]
--! tags = ["access-points", "configuration", "audit", "attack.t1530"]
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Requests from this time on; the configuration is that of the last audit"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Requests before this time"
--! [params.allowed]
--! type = "text_list"
--! default = []
--! help = "Callers that may go past the access points"
SELECT
    min(time) AS first_seen,
    max(time) AS last_seen,
    bucket,
    principal AS subject,
    count(*) AS count,
    evidence(log_bucket, log_key, log_offset, time) AS evidence,
    CASE WHEN policy_access_points_only THEN 'refuses' ELSE 'delegates' END AS policy_state,
    access_points,
    count(*) FILTER (WHERE operation_class IN ('write', 'delete')) AS writes_and_deletes,
    approx_distinct(key) AS keys_approx,
    coalesce(sum(bytes_sent), 0) AS bytes_sent,
    min(key) AS example_key,
    audited_at
-- The small side comes first: when it is empty the other is not read.
FROM (
    SELECT name, audited_at, policy_access_points_only, access_points
    FROM bucket_configuration
    WHERE kind = 'bucket'
        AND (policy_access_points_only OR policy_access_points_only = FALSE AND policy_delegates_to_access_points)
) AS configuration
INNER JOIN (
    SELECT *
    FROM requests
    WHERE time >= $since AND time < $until
        AND access_point_arn IS NULL
        -- Null in records that may be too old to have the column of access points.
        AND acl_required IS NOT NULL
        AND http_status < 400
        AND operation NOT IN ('REST.COPY.OBJECT_GET', 'REST.COPY.PART_GET')
        -- Rows beside that of the request itself, which has the access point.
        AND operation NOT LIKE 'BATCH.%'
        AND operation_class IN ('read', 'write', 'delete', 'list', 'restore')
        AND NOT is_aws_internal
        AND NOT array_has($allowed, principal)
        AND (
            host_header IS NULL
            OR NOT (
                host_header LIKE '%.s3-accesspoint%'
                OR host_header LIKE '%-s3alias.%'
                OR host_header LIKE '%.mrap.accesspoint.s3-global.%'
            )
        )
) AS direct
    ON direct.bucket = configuration.name
WHERE NOT policy_access_points_only
    -- What s3:GetObject and s3:PutObject are about: no old versions, no torrents, no abandoned uploads.
    OR direct.time > configuration.audited_at
        AND (
            direct.operation_class = 'write'
            OR direct.operation_class = 'read'
                AND direct.resource = 'OBJECT'
                AND uri_param(direct.request_uri, 'versionId') IS NULL
        )
GROUP BY bucket, principal, policy_access_points_only, access_points, audited_at
ORDER BY first_seen, bucket, subject
