--! id = "cipher-readiness"
--! kind = "report"
--! title = "Who would break if weak cipher suites were forbidden"
--! description = """
--! Callers whose TLS connections to a bucket agreed on a weak cipher suite, by software. What is weak is told by the
--! name of the suite: `no authenticated encryption` for all without GCM, CCM or CHACHA20 (CBC mode, RC4, triple DES);
--! `no forward secrecy` for suites whose key exchange is neither ECDHE nor DHE nor that of TLS 1.3, so that traffic
--! recorded today can be read by whoever gets the server's key later. With forward_secrecy=false only the first counts.
--! verdict: `would break` when the caller uses nothing better in the bucket; `would break in part` when it does, so
--! that it can (never for anonymous callers, who are many); `refused already` when S3 answered all such requests with
--! 403, `only errors` when none got anything else either. A client offers several suites and the server chooses: the
--! log shows what was agreed, not what else the client can do, so that a caller may turn out to survive.
--! Records before March 2019 do not tell the suite, and are left out. So is work inside AWS."""
--! tags = ["in-transit", "readiness"]
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
--! [params.limit]
--! type = "int"
--! default = 100
--! help = "At most this many rows"
--! [params.forward_secrecy]
--! type = "bool"
--! default = true
--! help = "Whether suites without forward secrecy count as weak"
WITH seen AS (
    SELECT
        bucket,
        principal,
        cipher_suite,
        weakness,
        CASE WHEN weakness IS NOT NULL THEN user_agent_family END AS software,
        http_status < 400 AS is_answered,
        http_status = 403 AS is_refused,
        signature_version IS NOT NULL AS is_signed,
        tls_version,
        remote_ip,
        time
    FROM (
        SELECT
            *,
            CASE
                WHEN cipher_suite NOT LIKE '%GCM%'
                    AND cipher_suite NOT LIKE '%CHACHA20%'
                    AND cipher_suite NOT LIKE '%CCM%'
                    THEN 'no authenticated encryption'
                WHEN $forward_secrecy
                    AND NOT starts_with(cipher_suite, 'ECDHE-')
                    AND NOT starts_with(cipher_suite, 'DHE-')
                    AND NOT starts_with(cipher_suite, 'TLS_')
                    THEN 'no forward secrecy'
            END AS weakness
        FROM requests
    ) AS suites
    WHERE time >= $since AND time < $until
        AND ($bucket = '' OR bucket = $bucket)
        AND cipher_suite IS NOT NULL
        -- Rows that S3 writes beside the row of the request itself.
        AND operation NOT IN ('BATCH.DELETE.OBJECT', 'REST.COPY.OBJECT_GET', 'REST.COPY.PART_GET')
        AND NOT is_aws_internal
),
callers AS (
    SELECT
        bucket,
        principal,
        software,
        CASE WHEN weakness IS NOT NULL THEN cipher_suite END AS cipher_suite,
        weakness,
        count(*) FILTER (WHERE weakness IS NOT NULL) AS weak,
        count(*) FILTER (WHERE weakness IS NOT NULL AND is_answered) AS weak_answered,
        count(*) FILTER (WHERE weakness IS NOT NULL AND is_refused) AS weak_refused,
        count(*) FILTER (WHERE weakness IS NOT NULL AND is_signed) AS weak_signed,
        sum(count(*)) OVER (PARTITION BY bucket, principal) AS requests,
        sum(count(*) FILTER (WHERE weakness IS NULL)) OVER (PARTITION BY bucket, principal) AS strong,
        min(tls_version) FILTER (WHERE weakness IS NOT NULL) AS oldest_tls,
        approx_distinct(remote_ip) FILTER (WHERE weakness IS NOT NULL) AS addresses_approx,
        max(time) FILTER (WHERE weakness IS NOT NULL) AS last_weak
    FROM seen
    GROUP BY bucket, principal, software, CASE WHEN weakness IS NOT NULL THEN cipher_suite END, weakness
)
SELECT
    bucket,
    principal AS caller,
    software,
    cipher_suite,
    weakness,
    CASE
        WHEN weak_refused = weak THEN 'refused already'
        WHEN weak_answered = 0 THEN 'only errors'
        WHEN strong > 0 AND principal <> 'anonymous' THEN 'would break in part'
        ELSE 'would break'
    END AS verdict,
    weak AS weak_requests,
    weak_answered,
    weak_refused,
    weak_signed,
    round(100.0 * weak / requests, 2) AS percent_of_callers_requests,
    oldest_tls,
    addresses_approx,
    last_weak
FROM callers
WHERE weak > 0
ORDER BY weak_answered DESC, weak_requests DESC, bucket, caller, software, cipher_suite
LIMIT $limit
