--! id = "http-readiness"
--! kind = "report"
--! title = "Who would break if plain HTTP were forbidden"
--! description = """
--! Callers that use a bucket without TLS, by software. Forbid plain HTTP (a Deny with the condition aws:SecureTransport
--! false) when nobody is left here who matters.
--! verdict: `would break` when all requests of the caller in the bucket are plain; `would break in part` when some use
--! TLS, so that the caller can (never for anonymous callers, who are many); `refused already` when S3 answered all the
--! plain ones with 403, `only errors` when none got anything else either; `cannot say` for callers seen only in records
--! before March 2019, which do not tell.
--! Website endpoints speak nothing but plain HTTP: the rows whose endpoint is `website` break as a whole, and need
--! CloudFront instead. Work inside AWS is left out. What a redirect or a cache answered outside S3 is not in these
--! logs, and a caller that did not call in this time is not here."""
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
--! [params.include_website]
--! type = "bool"
--! default = true
--! help = "Also requests to website endpoints"
WITH seen AS (
    SELECT
        bucket,
        principal,
        CASE WHEN operation LIKE 'WEBSITE.%' THEN 'website' ELSE 'rest' END AS endpoint,
        host_header IS NULL AS is_old,
        host_header IS NOT NULL AND tls_version IS NULL AND cipher_suite IS NULL AS is_plain,
        CASE
            WHEN host_header IS NOT NULL AND tls_version IS NULL AND cipher_suite IS NULL THEN user_agent_family
        END AS software,
        http_status < 400 AS is_answered,
        http_status = 403 AS is_refused,
        signature_version IS NOT NULL AS is_signed,
        remote_ip,
        time
    FROM requests
    WHERE time >= $since AND time < $until
        AND ($bucket = '' OR bucket = $bucket)
        AND ($include_website OR operation NOT LIKE 'WEBSITE.%')
        -- Rows that S3 writes beside the row of the request itself.
        AND operation NOT IN ('BATCH.DELETE.OBJECT', 'REST.COPY.OBJECT_GET', 'REST.COPY.PART_GET')
        AND NOT is_aws_internal
),
callers AS (
    SELECT
        bucket,
        principal,
        endpoint,
        software,
        count(*) FILTER (WHERE is_plain) AS plain,
        count(*) FILTER (WHERE is_plain AND is_answered) AS plain_answered,
        count(*) FILTER (WHERE is_plain AND is_refused) AS plain_refused,
        count(*) FILTER (WHERE is_plain AND is_signed) AS plain_signed,
        count(*) FILTER (WHERE is_old) AS not_recorded,
        sum(count(*)) OVER (PARTITION BY bucket, principal, endpoint) AS requests,
        sum(count(*) FILTER (WHERE NOT is_plain AND NOT is_old)) OVER (PARTITION BY bucket, principal, endpoint) AS tls,
        sum(count(*) FILTER (WHERE is_plain)) OVER (PARTITION BY bucket, principal, endpoint) AS all_plain,
        approx_distinct(remote_ip) FILTER (WHERE is_plain) AS addresses_approx,
        max(time) FILTER (WHERE is_plain) AS last_plain
    FROM seen
    GROUP BY bucket, principal, endpoint, software
)
SELECT
    bucket,
    principal AS caller,
    endpoint,
    software,
    CASE
        WHEN plain = 0 THEN 'cannot say'
        WHEN plain_refused = plain THEN 'refused already'
        WHEN plain_answered = 0 THEN 'only errors'
        WHEN tls > 0 AND principal <> 'anonymous' THEN 'would break in part'
        ELSE 'would break'
    END AS verdict,
    plain AS plain_requests,
    plain_answered,
    plain_refused,
    plain_signed,
    round(100.0 * plain / requests, 2) AS percent_of_callers_requests,
    not_recorded,
    addresses_approx,
    last_plain
FROM callers
WHERE plain > 0 OR (all_plain = 0 AND tls = 0 AND not_recorded > 0)
ORDER BY plain_answered DESC, plain_requests DESC, bucket, caller, endpoint, software
LIMIT $limit
