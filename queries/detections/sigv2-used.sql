--! id = "sigv2-used"
--! kind = "detection"
--! title = "Requests signed with Signature Version 2 were accepted"
--! level = "low"
--! description = """
--! A caller signs with the deprecated Signature Version 2, and S3 accepted it. SigV2 signs less of the request than
--! SigV4, its pre-signed URLs have no upper limit on their lifetime, and newer Regions refuse it.
--! The software is old; example_user_agent names it. The access key is visible in pre-signed URLs only. Records before
--! March 2019 do not tell the version of the signature. The report sigv2-users lists all callers by software."""
--! runbook = [
--!     "Find the owner of the caller and have its SDK updated or set to SigV4 (for the AWS CLI: aws configure set default.s3.signature_version s3v4).",
--!     "Run the report sigv2-users to see who else would break.",
--!     "Then deny it in the bucket policy: Deny s3:* with the condition StringEquals s3:signatureversion AWS.",
--! ]
--! falsepositives = ["Old appliances and backup programs that cannot sign otherwise."]
--! tags = ["in-transit", "presigned"]
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Findings from this time on"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Findings before this time"
--! [params.show_credentials]
--! type = "bool"
--! default = false
--! help = "Show access key ids in full"
SELECT
    min(time) AS first_seen,
    max(time) AS last_seen,
    bucket,
    principal AS subject,
    count(*) AS count,
    evidence(log_bucket, log_key, log_offset, time) AS evidence,
    count(*) FILTER (WHERE authentication_type = 'QueryString') AS presigned,
    count(*) FILTER (WHERE operation_class = 'write') AS writes,
    approx_distinct(remote_ip) AS addresses_approx,
    min(
        CASE
            WHEN $show_credentials THEN presigned_credential_key_id
            ELSE concat(substr(presigned_credential_key_id, 1, 4), '...', right(presigned_credential_key_id, 4))
        END
    ) AS example_access_key_id,
    min(user_agent) AS example_user_agent
FROM requests
WHERE time >= $since AND time < $until
    AND signature_version = 'SigV2'
    AND (http_status BETWEEN 200 AND 299 OR http_status = 304)
    -- Rows that S3 writes beside the row of the request itself.
    AND operation NOT IN ('BATCH.DELETE.OBJECT', 'REST.COPY.OBJECT_GET', 'REST.COPY.PART_GET')
    AND NOT is_aws_internal
GROUP BY bucket, principal
ORDER BY first_seen, bucket, subject
