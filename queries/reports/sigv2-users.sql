--! id = "sigv2-users"
--! kind = "report"
--! title = "Who would break if Signature Version 2 were forbidden"
--! description = """
--! Callers whose requests to a bucket were signed by the deprecated SigV2, by software and way of signing. Forbid it (a
--! Deny with the condition StringEquals s3:signatureversion AWS) when nobody is left here who matters; newer Regions
--! refuse it anyway.
--! verdict: `would break` when the caller signs all its requests in the bucket so; `would break in part` when it signs
--! some by SigV4 (percent_sigv4), so that it can (never for anonymous callers, who are many); `refused already` when S3
--! answered all the SigV2 ones with 403, `only errors` when none got anything else either.
--! The access key is visible only in pre-signed URLs; for signed headers only the caller is logged. Records before March
--! 2019 do not tell the version of the signature, and are left out. So is work inside AWS."""
--! tags = ["in-transit", "readiness", "deprecation"]
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
WITH seen AS (
    SELECT
        bucket,
        principal,
        signature_version = 'SigV2' AS is_sigv2,
        CASE WHEN signature_version = 'SigV2' THEN authentication_type END AS authentication_type,
        CASE WHEN signature_version = 'SigV2' THEN user_agent_family END AS software,
        http_status < 400 AS is_answered,
        http_status = 403 AS is_refused,
        presigned_credential_key_id,
        user_agent,
        remote_ip,
        time
    FROM requests
    WHERE time >= $since AND time < $until
        AND ($bucket = '' OR bucket = $bucket)
        AND signature_version IS NOT NULL
        -- Rows that S3 writes beside the row of the request itself.
        AND operation NOT IN ('BATCH.DELETE.OBJECT', 'REST.COPY.OBJECT_GET', 'REST.COPY.PART_GET')
        AND NOT is_aws_internal
),
callers AS (
    SELECT
        bucket,
        principal,
        software,
        authentication_type,
        count(*) FILTER (WHERE is_sigv2) AS sigv2,
        count(*) FILTER (WHERE is_sigv2 AND is_answered) AS sigv2_answered,
        count(*) FILTER (WHERE is_sigv2 AND is_refused) AS sigv2_refused,
        sum(count(*)) OVER (PARTITION BY bucket, principal) AS signed,
        sum(count(*) FILTER (WHERE NOT is_sigv2)) OVER (PARTITION BY bucket, principal) AS sigv4,
        min(user_agent) FILTER (WHERE is_sigv2) AS example_user_agent,
        min(presigned_credential_key_id) FILTER (WHERE is_sigv2) AS key_id,
        approx_distinct(remote_ip) FILTER (WHERE is_sigv2) AS addresses_approx,
        min(time) FILTER (WHERE is_sigv2) AS first_time,
        max(time) FILTER (WHERE is_sigv2) AS last_time
    FROM seen
    GROUP BY bucket, principal, software, authentication_type
)
SELECT
    bucket,
    principal AS caller,
    software,
    authentication_type,
    CASE
        WHEN sigv2_refused = sigv2 THEN 'refused already'
        WHEN sigv2_answered = 0 THEN 'only errors'
        WHEN sigv4 > 0 AND principal <> 'anonymous' THEN 'would break in part'
        ELSE 'would break'
    END AS verdict,
    sigv2 AS sigv2_requests,
    sigv2_answered,
    sigv2_refused,
    round(100.0 * sigv2 / signed, 2) AS percent_of_callers_requests,
    round(100.0 * sigv4 / signed, 2) AS percent_sigv4,
    example_user_agent,
    CASE
        WHEN $show_credentials THEN key_id
        ELSE concat(substr(key_id, 1, 4), '...', right(key_id, 4))
    END AS example_access_key_id,
    addresses_approx,
    first_time,
    last_time
FROM callers
WHERE sigv2 > 0
ORDER BY sigv2_answered DESC, sigv2_requests DESC, bucket, caller, software, authentication_type
LIMIT $limit
