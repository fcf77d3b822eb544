--! id = "tls-mix"
--! kind = "report"
--! title = "TLS versions and ciphers, and plain HTTP"
--! description = """
--! How the connections were protected. Plain HTTP means that neither cipher nor version is logged although the
--! record is recent enough to have them and a caller's address is there. Work inside AWS has no connection; records
--! before March 2019 have no such columns. TLSv1 is TLS 1.0. Encryption at rest is never in these logs."""
--! tags = ["in-transit", "security", "tls"]
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
SELECT
    connection,
    cipher_suite,
    count(*) AS requests,
    round(100.0 * count(*) / sum(count(*)) OVER (), 2) AS share_percent,
    approx_distinct(principal) AS principals_approx,
    max(time) AS last_time
FROM (
    SELECT
        CASE
            WHEN tls_version IS NOT NULL THEN tls_version
            WHEN cipher_suite IS NOT NULL THEN 'TLS, version not logged'
            WHEN is_aws_internal THEN 'inside AWS'
            WHEN host_id IS NULL THEN 'not recorded'
            ELSE 'plain HTTP'
        END AS connection,
        cipher_suite,
        principal,
        time
    FROM requests
    WHERE time >= $since AND time < $until
        AND ($bucket = '' OR bucket = $bucket)
) AS connections
GROUP BY connection, cipher_suite
ORDER BY requests DESC, connection, cipher_suite
LIMIT $limit
