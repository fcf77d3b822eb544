--! id = "sigv2-users"
--! kind = "report"
--! title = "Who still signs with Signature Version 2"
--! description = """
--! Callers whose requests were signed by the deprecated SigV2, with their software. Newer Regions refuse it. The
--! access key is visible only in pre-signed URLs; for signed headers only the caller is logged. Records before
--! March 2019 do not tell the version of the signature."""
--! tags = ["in-transit", "security", "deprecation"]
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Records from this time on"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Records before this time"
--! [params.bucket]
--! type = "text"
--! default = ""
--! help = "Only this bucket; empty for all"
--! [params.show_credentials]
--! type = "bool"
--! default = false
--! help = "Access key ids in full, not shortened"
--! [params.limit]
--! type = "int"
--! default = 100
--! help = "At most this many rows"
SELECT
    principal,
    authentication_type,
    user_agent_family,
    bucket,
    count(*) AS requests,
    count(*) FILTER (WHERE is_success) AS successful,
    min(user_agent) AS example_user_agent,
    CASE
        WHEN $show_credentials THEN min(presigned_credential_key_id)
        ELSE concat(substr(min(presigned_credential_key_id), 1, 4), '...', right(min(presigned_credential_key_id), 4))
    END AS example_access_key_id,
    approx_distinct(remote_ip) AS addresses_approx,
    min(time) AS first_time,
    max(time) AS last_time
FROM requests
WHERE time >= $since AND time < $until
    AND ($bucket = '' OR bucket = $bucket)
    AND signature_version = 'SigV2'
GROUP BY principal, authentication_type, user_agent_family, bucket
ORDER BY requests DESC, principal, authentication_type, user_agent_family, bucket
LIMIT $limit
