--! id = "object-lambda-direct"
--! kind = "detection"
--! title = "The access point behind an Object Lambda was read directly"
--! level = "medium"
--! description = """
--! Object Lambda changes objects on their way out, such as to take personal data away; whoever reads the supporting
--! access point gets them as they are. The access points are listed in supporting_access_points; with an empty list
--! there is no finding. What requests through Object Lambda themselves look like in these logs was not found, so
--! nothing is said about them. The function's own reads are left out as far as they can be told: by the roles in
--! function_roles, by a host name of Object Lambda, and pre-signed requests, because the function is handed a
--! pre-signed URL of the caller's to fetch the object with. That also hides a pre-signed URL somebody made by hand:
--! see include_presigned. The count is of fulfilled reads."""
--! runbook = [
--!     "Read the policy of the supporting access point and of the bucket: only Object Lambda should read through it: aws s3control get-access-point-policy --account-id ACCOUNT --name NAME.",
--!     "List what stands behind which Object Lambda access point: aws s3control list-access-points-for-object-lambda --account-id ACCOUNT.",
--!     "CloudTrail data events hold the calls to the Object Lambda access point itself; compare the callers.",
--! ]
--! falsepositives = ["Jobs that may read the originals: put their roles into function_roles."]
--! tags = ["object-lambda", "access-points", "attack.t1530"]
--! [params.supporting_access_points]
--! type = "text_list"
--! default = []
--! help = "Access points, by name or ARN, that stand behind an Object Lambda access point"
--! [params.function_roles]
--! type = "text_list"
--! default = []
--! help = "Roles, by name, or principals that may read them: those of the functions"
--! [params.include_presigned]
--! type = "bool"
--! default = false
--! help = "Also reads by pre-signed URL, which the functions themselves use"
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
    concat(access_point, ': ', principal) AS subject,
    count(*) AS count,
    evidence(log_bucket, log_key, log_offset, time) AS evidence,
    access_point,
    principal,
    approx_distinct(key) AS keys_approx,
    coalesce(sum(bytes_sent), 0) AS bytes_sent,
    min(key) AS example_key
FROM (
    SELECT *, split_part(access_point_arn, '/', 2) AS access_point
    FROM requests
    WHERE time >= $since AND time < $until
        AND access_point_arn IS NOT NULL
        AND http_status < 400
) AS uses
WHERE (array_has($supporting_access_points, access_point_arn) OR array_has($supporting_access_points, access_point))
    AND operation_class = 'read'
    AND NOT (array_has($function_roles, coalesce(role, '')) OR array_has($function_roles, principal))
    AND ($include_presigned OR authentication_type IS DISTINCT FROM 'QueryString')
    AND coalesce(host_header, '') NOT LIKE '%s3-object-lambda%'
    AND NOT is_aws_internal
GROUP BY bucket, access_point, principal
ORDER BY bucket, subject
