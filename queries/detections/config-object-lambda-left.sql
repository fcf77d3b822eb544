--! id = "config-object-lambda-left"
--! kind = "detection"
--! title = "An Object Lambda access point is still there"
--! level = "low"
--! description = """
--! The audit found an Object Lambda access point. The service is closed to new customers since November 2025; what is
--! left of it should be known, for the originals behind it can be read by whoever gets at its supporting access point.
--! subject is its name, with its Region where that is known. Requests to it are not in these logs as far as is known;
--! those through its supporting access point are.
--! evidence_kind: `configured and observed` when the supporting access point was read (in the time asked for): count is
--! the number of fulfilled reads through it, callers how many made them, be it the function or others, which
--! object-lambda-direct tells apart. Else `configured only`: count is 1, the times are that of the audit."""
--! runbook = [
--!     "See whether anybody uses it: CloudTrail data events of the Object Lambda access point.",
--!     "If not, delete it: aws s3control delete-access-point-for-object-lambda --account-id ACCOUNT --name NAME, and then its supporting access point.",
--!     "If so, plan what takes its place: a function behind API Gateway or CloudFront.",
--! ]
--! falsepositives = ["It is in use and watched."]
--! tags = ["object-lambda", "access-points", "configuration", "audit"]
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Requests from this time on; the configuration is that of the last audit"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Requests before this time"
SELECT
    coalesce(min(time), audited_at) AS first_seen,
    coalesce(max(time), audited_at) AS last_seen,
    coalesce(configuration.bucket, '(not known)') AS bucket,
    concat(name, CASE WHEN region IS NULL THEN '' ELSE concat(' in ', region) END) AS subject,
    greatest(count(time), 1) AS count,
    evidence(log_bucket, log_key, log_offset, time) FILTER (WHERE time IS NOT NULL) AS evidence,
    CASE WHEN count(time) > 0 THEN 'configured and observed' ELSE 'configured only' END AS evidence_kind,
    count(DISTINCT principal) AS callers,
    min(principal) AS example_caller,
    supporting_access_point,
    region,
    audited_at
FROM (
    SELECT * FROM bucket_configuration WHERE kind = 'object_lambda_access_point'
) AS configuration
LEFT JOIN (
    SELECT access_point_arn, principal, time, log_bucket, log_key, log_offset
    FROM requests
    WHERE time >= $since AND time < $until
        AND access_point_arn IS NOT NULL
        AND http_status < 400
        AND operation_class = 'read'
) AS seen
    ON seen.access_point_arn = configuration.supporting_access_point
GROUP BY configuration.bucket, name, supporting_access_point, region, audited_at
ORDER BY first_seen, bucket, subject
