--! id = "version-deleted"
--! kind = "detection"
--! title = "Object versions were deleted permanently"
--! level = "low"
--! description = """
--! A caller deleted versions by their id, with success: these are gone, no delete marker stands in for them. In a
--! bucket with versioning this is what a caller must do who wants data to be beyond recovery.
--! A delete counts when its record has a version id or its request names one (versionId=); the rows of a multi-object
--! delete count one by one. Deleting a delete marker by its id, which brings the object back, looks the same. Deletes
--! without a version id only add a marker where versioning is on. Lifecycle is left out."""
--! runbook = [
--!     "Ask the owner of the caller whether the versions should go; if not, disable its credentials first.",
--!     "See what is left: aws s3api list-object-versions --bucket BUCKET --prefix PREFIX",
--!     "Restore from a replica or a backup; S3 cannot bring a deleted version back.",
--!     "Take s3:DeleteObjectVersion away from those who need not have it, and consider Object Lock or MFA delete.",
--! ]
--! falsepositives = [
--!     "Tools that empty a versioned bucket before it is deleted, and backup programs that prune old versions.",
--!     "Somebody who removes delete markers to bring objects back.",
--! ]
--! tags = ["versioning", "destruction", "attack.t1485"]
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
    count(*) FILTER (WHERE operation = 'BATCH.DELETE.OBJECT') AS in_batches,
    approx_distinct(key) AS keys_approx,
    min(key) AS example_key,
    sum(object_size) AS bytes,
    min(session_name) AS example_session,
    min(remote_ip) AS example_address
FROM requests
WHERE time >= $since AND time < $until
    AND operation IN ('REST.DELETE.OBJECT', 'BATCH.DELETE.OBJECT')
    AND is_success
    AND (version_id IS NOT NULL OR uri_param(request_uri, 'versionId') IS NOT NULL)
    AND NOT is_aws_internal
GROUP BY bucket, principal
ORDER BY first_seen, bucket, subject
