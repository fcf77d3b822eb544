--! id = "config-transport-not-denied"
--! kind = "detection"
--! title = "Unsafe connections were served, and the bucket policy lets them pass"
--! level = "medium"
--! description = """
--! Requests over plain HTTP, or with TLS below 1.2, were fulfilled, and the audited bucket policy does not deny every
--! such request: policy_state is `not denied`. Or the policy does deny every one of them, and such requests were
--! fulfilled after the audit all the same: then policy_state is `denied at the audit, seen later`, and the policy was
--! weakened since. Requests from before the audit of a bucket whose policy denies them now are history and left out,
--! and so is a bucket whose policy could not be read or leaves it open. subject is `plain HTTP` or `TLS below 1.2`;
--! count is the number of fulfilled requests, signed those among them with credentials.
--! Only the bucket's own policy is judged; one that exempts the services of AWS denies it all the same. Plain HTTP is a
--! record with a host but neither cipher nor TLS version; work inside AWS and website endpoints, which speak nothing but
--! HTTP, are left out. plaintext-http and old-tls name the callers."""
--! runbook = [
--!     "See who would break: s3trail query http-readiness, s3trail query tls-readiness.",
--!     "Then deny it in the bucket policy: Deny, Principal *, Action s3:*, on the bucket and its objects, with the condition Bool aws:SecureTransport false, or NumericLessThan s3:TlsVersion 1.2.",
--!     "With `denied at the audit, seen later`: see who changed the policy: s3trail detect --only policy-changed; then audit again.",
--! ]
--! falsepositives = [
--!     "A public bucket whose readers follow old http links: signed is 0.",
--!     "The account or organization denies it by other means.",
--! ]
--! tags = ["in-transit", "configuration", "audit", "attack.t1040"]
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Records from this time on"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Records before this time"
SELECT
    min(time) AS first_seen,
    max(time) AS last_seen,
    bucket,
    subject,
    count(*) AS count,
    evidence(log_bucket, log_key, log_offset, time) AS evidence,
    CASE WHEN is_denied THEN 'denied at the audit, seen later' ELSE 'not denied' END AS policy_state,
    count(*) FILTER (WHERE signature_version IS NOT NULL) AS signed,
    count(*) FILTER (WHERE is_after) AS after_the_audit,
    approx_distinct(principal) AS principals_approx,
    min(principal) AS example_principal,
    audited_at
FROM (
    SELECT
        unsafe.*,
        configuration.audited_at,
        unsafe.time > configuration.audited_at AS is_after,
        CASE
            WHEN unsafe.subject = 'plain HTTP' THEN configuration.policy_denies_insecure_transport
            ELSE configuration.policy_denies_old_tls
        END AS is_denied
    -- The small side comes first: when it is empty the other is not read.
    FROM (SELECT * FROM bucket_configuration WHERE kind = 'bucket' AND policy_known) AS configuration
    INNER JOIN (
        SELECT
            *,
            CASE WHEN tls_version IS NULL THEN 'plain HTTP' ELSE 'TLS below 1.2' END AS subject
        FROM requests
        WHERE time >= $since AND time < $until
            AND host_header IS NOT NULL
            AND (
                tls_version IS NULL AND cipher_suite IS NULL
                OR upper(tls_version) IN ('TLSV1', 'TLSV1.0', 'TLSV1.1', 'SSLV3')
            )
            AND (http_status BETWEEN 200 AND 299 OR http_status = 304)
            -- Rows that S3 writes beside the row of the request itself.
            AND operation NOT IN ('BATCH.DELETE.OBJECT', 'REST.COPY.OBJECT_GET', 'REST.COPY.PART_GET')
            AND operation NOT LIKE 'WEBSITE.%'
            AND NOT is_aws_internal
    ) AS unsafe ON unsafe.bucket = configuration.name
) AS judged
WHERE NOT is_denied OR is_after
GROUP BY bucket, subject, is_denied, audited_at
HAVING is_denied IS NOT NULL
ORDER BY first_seen, bucket, subject
