--! id = "presigned-after-expiry"
--! kind = "detection"
--! title = "Pre-signed URLs that are used after their end"
--! level = "low"
--! description = """
--! Somebody keeps or passes on links that are over. One finding per bucket and signer, of those URLs that were
--! refused often after their end, or were fulfilled after it. A refusal is inferred: the log has status 403
--! AccessDenied for every kind of denial, the word "expired" is only in the answer. A success after the end should
--! not happen: see fulfilled, and the clocks. The end is X-Amz-Date plus X-Amz-Expires with SigV4, Expires with
--! SigV2. A refused request can be logged without requester; then the signer is taken from earlier uses of the same
--! URL, or else its access key, shortened, stands for it. The count is of requests after the end."""
--! runbook = [
--!     "Look whether the tries come from your own software (user agent, addresses in the evidence): then make it ask for a new URL.",
--!     "From strangers: find out where the link was published, and what it gave access to while it was valid (s3trail query presigned-requests).",
--!     "With fulfilled above 0: look at the records of the evidence; report it to AWS Support with request id and host id if the clock of the log is right.",
--! ]
--! falsepositives = [
--!     "Browsers and mail scanners that open old links.",
--!     "Pages in a cache that hold URLs whose time is over.",
--! ]
--! tags = ["presigned", "attack.t1530"]
--! [params.min_tries]
--! type = "int"
--! default = 5
--! help = "Refusals of one URL after its end, from which on it counts"
--! [params.tolerance]
--! type = "duration"
--! default = "1m"
--! help = "Uses this shortly after the end do not count: clocks differ, requests take time"
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Findings from this time on"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Findings before this time"
WITH uses AS (
    SELECT
        *,
        -- Uses before $since only tell who signed.
        time >= $since
            AND after_end_s > date_part('epoch', $tolerance)
            AND (http_status = 403 OR http_status < 400) AS is_late
    FROM (
        SELECT
            time,
            bucket,
            key,
            principal,
            is_anonymous,
            http_status,
            log_bucket,
            log_key,
            log_offset,
            concat(substr(key_id, 1, 4), '...', right(key_id, 4)) AS access_key,
            -- What tells one URL from another.
            concat_ws(' ', bucket, key_id, presigned_date, presigned_expires_s, end_v2, key) AS url,
            date_part('epoch', time) - coalesce(
                -- 20260301T101500Z; a text that is no time gives null.
                date_part(
                    'epoch',
                    try_cast(
                        concat(
                            substr(presigned_date, 1, 4), '-', substr(presigned_date, 5, 2), '-',
                            substr(presigned_date, 7, 5), ':', substr(presigned_date, 12, 2), ':',
                            substr(presigned_date, 14)
                        ) AS timestamp
                    )
                ) + presigned_expires_s,
                try_cast(end_v2 AS double)
            ) AS after_end_s
        FROM (
            SELECT
                time,
                bucket,
                key,
                principal,
                is_anonymous,
                http_status,
                presigned_credential_key_id AS key_id,
                presigned_date,
                presigned_expires_s,
                uri_param(request_uri, 'Expires') AS end_v2,
                log_bucket,
                log_key,
                log_offset
            FROM requests
            WHERE time < $until
                -- Records too old to name the authentication have no host header either.
                AND (authentication_type = 'QueryString'
                    OR authentication_type IS NULL AND host_header IS NULL AND request_uri LIKE '%xpires=%')
                AND is_presigned
        ) AS signed
    ) AS aged
),
-- Which URLs matter is found before places are collected: most URLs do not.
late_urls AS (
    SELECT url, coalesce(max(principal) FILTER (WHERE NOT is_anonymous), concat('access key ', min(access_key))) AS signer
    FROM uses
    GROUP BY url
    HAVING count(*) FILTER (WHERE is_late) >= $min_tries
        OR count(*) FILTER (WHERE is_late AND http_status < 400) > 0
)
SELECT
    min(uses.time) AS first_seen,
    max(uses.time) AS last_seen,
    uses.bucket,
    late_urls.signer AS subject,
    count(*) AS count,
    evidence(uses.log_bucket, uses.log_key, uses.log_offset, uses.time) AS evidence,
    count(*) FILTER (WHERE uses.http_status < 400) AS fulfilled,
    count(DISTINCT uses.url) AS urls,
    max(uses.after_end_s) AS longest_after_end_s,
    min(uses.key) AS example_key,
    min(uses.access_key) AS example_access_key
FROM uses
JOIN late_urls ON uses.url = late_urls.url
WHERE uses.is_late
GROUP BY uses.bucket, late_urls.signer
ORDER BY bucket, subject
