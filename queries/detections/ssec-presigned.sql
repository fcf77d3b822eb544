--! id = "ssec-presigned"
--! kind = "detection"
--! title = "Pre-signed URLs use encryption with customer-provided keys (SSE-C)"
--! level = "medium"
--! description = """
--! Pre-signed URLs of a caller name encryption with customer-provided keys: as parameters
--! (x-amz-server-side-encryption-customer-algorithm, -key, -key-MD5, also for the source of a copy), or as headers
--! that the signature covers (X-Amz-SignedHeaders).
--! Two things are wrong with that. Who loses the key loses the object, and SSE-C with a key of their own is a known way
--! to hold objects to ransom. And where key_in_url is true, the key itself stood in the URL: it is in the access log in
--! clear, and wherever else URLs are written down.
--! These URLs are the only trace of SSE-C in access logs, because headers are not logged; SSE-C by ordinary requests
--! cannot be seen. Whether S3 took the parameter cannot be seen either. No column returns the customer key."""
--! runbook = [
--!     "If key_in_url is true, treat the customer key as known to all who can read the logs: encrypt the objects anew with another key, and send the key in a header.",
--!     "Ask the owner of the caller whether SSE-C is meant; if not, disable the caller's credentials first and look for writes since first_seen.",
--!     "Look at an object: aws s3api head-object --bucket BUCKET --key KEY (400 for objects that need a customer key)",
--!     "Where nobody needs SSE-C, deny it in the bucket policy: a Deny of s3:PutObject with the condition Null of s3:x-amz-server-side-encryption-customer-algorithm false.",
--! ]
--! falsepositives = ["An application that uses SSE-C on purpose and hands out pre-signed URLs for it."]
--! tags = ["encryption-at-rest", "presigned", "attack.t1486"]
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
--! help = "Show access key ids in full; the customer key is never shown"
SELECT
    min(time) AS first_seen,
    max(time) AS last_seen,
    bucket,
    principal AS subject,
    count(*) AS count,
    evidence(log_bucket, log_key, log_offset, time) AS evidence,
    bool_or(has_key) AS key_in_url,
    count(*) FILTER (WHERE is_success) AS successful,
    count(*) FILTER (WHERE operation_class = 'write') AS writes,
    count(*) FILTER (WHERE in_parameter) AS by_parameter,
    count(*) FILTER (WHERE NOT in_parameter) AS by_signed_header,
    approx_distinct(key) AS keys_approx,
    approx_distinct(remote_ip) AS addresses_approx,
    min(
        CASE
            WHEN $show_credentials THEN presigned_credential_key_id
            ELSE concat(substr(presigned_credential_key_id, 1, 4), '...', right(presigned_credential_key_id, 4))
        END
    ) AS example_access_key_id
FROM (
    SELECT
        *,
        -- Names of parameters are not case-sensitive. The text alone can also be part of a key or of a value.
        regexp_like(
            uri_query(request_uri),
            '(^|&)x-amz-(copy-source-)?server-side-encryption-customer-(algorithm|key|key-md5)(=|&|$)',
            'i'
        ) AS in_parameter,
        regexp_like(
            uri_query(request_uri), '(^|&)x-amz-(copy-source-)?server-side-encryption-customer-key=[^&]', 'i'
        ) AS has_key,
        coalesce(
            uri_param(request_uri, 'X-Amz-SignedHeaders') ILIKE '%-server-side-encryption-customer-%', false
        ) AS in_signed_headers
    FROM requests
    WHERE time >= $since AND time < $until
        -- What is cheap first: the next two let through all that the rest lets through.
        AND (authentication_type IS NULL OR authentication_type = 'QueryString')
        AND request_uri ILIKE '%-server-side-encryption-customer-%'
        AND is_presigned
) AS presigned
WHERE in_parameter OR in_signed_headers
GROUP BY bucket, principal
ORDER BY first_seen, bucket, subject
