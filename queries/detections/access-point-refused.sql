--! id = "access-point-refused"
--! kind = "detection"
--! title = "Requests through an access point are refused"
--! level = "low"
--! description = """
--! S3 answered AccessDenied to requests that came through an access point, several times for one prefix: a caller
--! tries what the policy of the access point, of the bucket or its own does not allow. Which of them refused is not
--! in the log. Requests that the policy of a VPC endpoint denies are never logged. One finding per access point and
--! first folder of the key (for listings: of the prefix asked for). The count is of refused requests."""
--! runbook = [
--!     "Read the policy of the access point: aws s3control get-access-point-policy --account-id ACCOUNT --name NAME. Then that of the bucket.",
--!     "If the caller should have access: the bucket policy must delegate to the access point, and both must allow the prefix.",
--!     "If not: see what else it tries: s3trail query principal-history -p principal=CALLER.",
--! ]
--! falsepositives = [
--!     "A new application whose policy is not ready.",
--!     "Software that looks for objects without the right to list, which gets 403 for missing ones.",
--! ]
--! tags = ["access-points", "reconnaissance", "attack.t1619"]
--! [params.min_requests]
--! type = "int"
--! default = 5
--! help = "Refusals for one access point and prefix from which on it is a finding"
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
    concat(access_point, ': ', CASE WHEN folder = '' THEN '(top level)' ELSE folder END) AS subject,
    count(*) AS count,
    evidence(log_bucket, log_key, log_offset, time) AS evidence,
    access_point,
    count(DISTINCT principal) AS principals,
    min(principal) AS example_principal,
    count(*) FILTER (WHERE operation_class IN ('write', 'delete')) AS writes_and_deletes,
    min(operation) AS example_operation
FROM (
    SELECT
        time,
        bucket,
        principal,
        operation,
        operation_class,
        log_bucket,
        log_key,
        log_offset,
        split_part(access_point_arn, '/', 2) AS access_point,
        coalesce(
            key_prefix,
            substr(uri_param(request_uri, 'prefix'), 1, strpos(uri_param(request_uri, 'prefix'), '/')),
            ''
        ) AS folder
    FROM requests
    WHERE time >= $since AND time < $until
        AND access_point_arn IS NOT NULL
        AND http_status = 403
        AND error_code = 'AccessDenied'
) AS refusals
GROUP BY bucket, access_point, folder
HAVING count(*) >= $min_requests
ORDER BY bucket, subject
