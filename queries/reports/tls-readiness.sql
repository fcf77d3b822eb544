--! id = "tls-readiness"
--! kind = "report"
--! title = "Who would break if old TLS versions were forbidden"
--! description = """
--! Callers that connect to a bucket with a TLS version below the minimum, by software. Forbid it (a Deny with the
--! condition NumericLessThan s3:TlsVersion) when nobody is left here who matters.
--! verdict: `would break` when all TLS connections of the caller in the bucket are below the minimum; `would break in
--! part` when some are not, so that the caller can (never for anonymous callers, who are many); `refused already` when
--! S3 answered all of them with 403, `only errors` when none got anything else either; `cannot say` for callers seen
--! only in records before March 2019, which do not tell.
--! Versions are compared without case, and TLSv1 is TLS 1.0. Plain HTTP is in the report http-readiness. Work inside
--! AWS is left out."""
--! tags = ["in-transit", "readiness"]
--! [params.minimum]
--! type = "text"
--! default = "1.2"
--! choices = ["1.1", "1.2", "1.3"]
--! help = "The version that would be demanded"
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
WITH seen AS (
    SELECT
        bucket,
        principal,
        host_header IS NULL AS is_old,
        version,
        version < $minimum AS is_below,
        CASE WHEN version < $minimum THEN user_agent_family END AS software,
        http_status < 400 AS is_answered,
        http_status = 403 AS is_refused,
        signature_version IS NOT NULL AS is_signed,
        remote_ip,
        time
    FROM (
        SELECT
            *,
            CASE lower(tls_version)
                WHEN 'tlsv1' THEN '1.0'
                WHEN 'sslv2' THEN '0.2'
                WHEN 'sslv3' THEN '0.3'
                ELSE replace(lower(tls_version), 'tlsv', '')
            END AS version
        FROM requests
    ) AS versions
    WHERE time >= $since AND time < $until
        AND ($bucket = '' OR bucket = $bucket)
        AND (tls_version IS NOT NULL OR host_header IS NULL)
        -- Rows that S3 writes beside the row of the request itself.
        AND operation NOT IN ('BATCH.DELETE.OBJECT', 'REST.COPY.OBJECT_GET', 'REST.COPY.PART_GET')
        AND NOT is_aws_internal
),
callers AS (
    SELECT
        bucket,
        principal,
        software,
        CASE WHEN is_below THEN version END AS version,
        count(*) FILTER (WHERE is_below) AS below,
        count(*) FILTER (WHERE is_below AND is_answered) AS below_answered,
        count(*) FILTER (WHERE is_below AND is_refused) AS below_refused,
        count(*) FILTER (WHERE is_below AND is_signed) AS below_signed,
        count(*) FILTER (WHERE is_old) AS not_recorded,
        sum(count(*)) OVER (PARTITION BY bucket, principal) AS requests,
        sum(count(*) FILTER (WHERE NOT is_below)) OVER (PARTITION BY bucket, principal) AS new_enough,
        sum(count(*) FILTER (WHERE is_below)) OVER (PARTITION BY bucket, principal) AS all_below,
        approx_distinct(remote_ip) FILTER (WHERE is_below) AS addresses_approx,
        max(time) FILTER (WHERE is_below) AS last_below
    FROM seen
    GROUP BY bucket, principal, software, CASE WHEN is_below THEN version END
)
SELECT
    bucket,
    principal AS caller,
    software,
    CASE version WHEN '0.2' THEN 'SSL 2' WHEN '0.3' THEN 'SSL 3' ELSE 'TLS ' || version END AS tls,
    CASE
        WHEN below = 0 THEN 'cannot say'
        WHEN below_refused = below THEN 'refused already'
        WHEN below_answered = 0 THEN 'only errors'
        WHEN new_enough > 0 AND principal <> 'anonymous' THEN 'would break in part'
        ELSE 'would break'
    END AS verdict,
    below AS requests_below,
    below_answered,
    below_refused,
    below_signed,
    round(100.0 * below / requests, 2) AS percent_of_callers_requests,
    not_recorded,
    addresses_approx,
    last_below
FROM callers
WHERE below > 0 OR (all_below = 0 AND new_enough = 0 AND not_recorded > 0)
ORDER BY below_answered DESC, requests_below DESC, bucket, caller, software, tls
LIMIT $limit
