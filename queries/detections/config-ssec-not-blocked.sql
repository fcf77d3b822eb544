--! id = "config-ssec-not-blocked"
--! kind = "detection"
--! title = "Encryption with callers' own keys (SSE-C) is used and not blocked"
--! level = "medium"
--! description = """
--! By the audited configuration the bucket takes uploads that are encrypted with a key only the caller has (SSE-C):
--! neither its encryption configuration blocks them, nor does its policy deny every one. And pre-signed URLs that name
--! SSE-C were used to write. Who encrypts with a key of their own can hold objects to ransom. AWS blocks SSE-C in new
--! buckets since April 2026; a bucket of which the server did not say whether it does is left out.
--! Pre-signed URLs are the only trace of SSE-C in access logs, headers are not logged: there may be more. count is the
--! number of fulfilled writes, subject the caller. ssec-presigned has the other uses."""
--! runbook = [
--!     "Ask the owner of the caller whether SSE-C is meant; if not, disable its credentials first.",
--!     "Block it, where nobody needs it: aws s3api put-bucket-encryption --bucket BUCKET with BlockedEncryptionTypes SSE-C in its rule.",
--!     "Look at what was written: aws s3api head-object --bucket BUCKET --key KEY (400 for objects that need a customer key)",
--! ]
--! falsepositives = ["An application that uses SSE-C on purpose."]
--! tags = ["encryption-at-rest", "presigned", "configuration", "audit", "attack.t1486"]
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Requests from this time on; the configuration is that of the last audit"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Requests before this time"
SELECT
    min(time) AS first_seen,
    max(time) AS last_seen,
    bucket,
    principal AS subject,
    count(*) AS count,
    evidence(log_bucket, log_key, log_offset, time) AS evidence,
    approx_distinct(key) AS keys_approx,
    min(key) AS example_key,
    approx_distinct(remote_ip) AS addresses_approx,
    min(remote_ip) AS example_address,
    count(*) FILTER (WHERE time > audited_at) AS after_the_audit,
    audited_at
-- The small side comes first: when it is empty the other is not read.
FROM (
    SELECT name, audited_at FROM bucket_configuration WHERE kind = 'bucket' AND sse_c_blocked = FALSE
) AS configuration
INNER JOIN (
    SELECT *
    FROM requests
    WHERE time >= $since AND time < $until
        -- What is cheap first: the next two let through all that the rest lets through.
        AND (authentication_type IS NULL OR authentication_type = 'QueryString')
        AND request_uri ILIKE '%-server-side-encryption-customer-%'
        AND is_presigned
        AND is_success
        AND operation_class = 'write'
        AND (
            regexp_like(
                uri_query(request_uri), '(^|&)x-amz-server-side-encryption-customer-(algorithm|key|key-md5)(=|&|$)', 'i'
            )
            OR uri_param(request_uri, 'X-Amz-SignedHeaders') ILIKE '%x-amz-server-side-encryption-customer-%'
        )
) AS writes
    ON writes.bucket = configuration.name
GROUP BY bucket, principal, audited_at
ORDER BY first_seen, bucket, subject
