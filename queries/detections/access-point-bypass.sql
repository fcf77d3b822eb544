--! id = "access-point-bypass"
--! kind = "detection"
--! title = "A bucket meant for access points only was asked directly"
--! level = "medium"
--! description = """
--! A bucket is listed in access_point_only, and S3 fulfilled requests for its objects or listings that did not come
--! through an access point: the bucket policy allows more than it should. With an empty list there is no finding.
--! Requests through an access point carry its ARN; requests through a multi-Region access point can show only in the
--! host name. Calls about the configuration of the bucket are not counted, nor is work inside AWS, nor the source
--! side of copies, whose host name is that of the destination, nor the rows of single keys beside a multi-object delete,
--! which name no access point. Records before November 2022 are left out: in those of 26 fields and more the column is
--! surely there. The count is of requests."""
--! runbook = [
--!     "Read the bucket policy: it should give access only through access points (condition s3:DataAccessPointAccount): aws s3api get-bucket-policy --bucket BUCKET.",
--!     "Ask the caller to use the access point: aws s3control list-access-points --account-id ACCOUNT --bucket BUCKET.",
--!     "Look for callers with rights of their own in the same account: identity policies that name the bucket.",
--! ]
--! falsepositives = [
--!     "Administrators, pipelines and inventory tools that may go directly: leave the bucket in the list and suppress these callers.",
--! ]
--! tags = ["access-points", "attack.t1530"]
--! [params.access_point_only]
--! type = "text_list"
--! default = []
--! help = "Buckets that should be reached through access points only"
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Findings from this time on"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Findings before this time"
SELECT
    min(time) AS first_seen,
    max(time) AS last_seen,
    bucket,
    principal AS subject,
    count(*) AS count,
    evidence(log_bucket, log_key, log_offset, time) AS evidence,
    count(*) FILTER (WHERE operation_class IN ('write', 'delete')) AS writes_and_deletes,
    approx_distinct(key) AS keys_approx,
    approx_distinct(remote_ip) AS addresses_approx,
    coalesce(sum(bytes_sent), 0) AS bytes_sent,
    min(key) AS example_key
FROM requests
WHERE time >= $since AND time < $until
    AND array_has($access_point_only, bucket)
    AND access_point_arn IS NULL
    -- Null in records that may be too old to have the column of access points.
    AND acl_required IS NOT NULL
    AND http_status < 400
    AND operation NOT IN ('REST.COPY.OBJECT_GET', 'REST.COPY.PART_GET')
    AND operation NOT LIKE 'BATCH.%'
    AND operation_class IN ('read', 'write', 'delete', 'list', 'restore')
    AND NOT is_aws_internal
    AND (
        host_header IS NULL
        OR NOT (
            host_header LIKE '%.s3-accesspoint%'
            OR host_header LIKE '%-s3alias.%'
            OR host_header LIKE '%.mrap.accesspoint.s3-global.%'
        )
    )
GROUP BY bucket, principal
ORDER BY bucket, subject
