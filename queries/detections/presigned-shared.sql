--! id = "presigned-shared"
--! kind = "detection"
--! title = "One pre-signed URL used from many addresses or programs"
--! level = "medium"
--! description = """
--! A pre-signed URL was fulfilled for many addresses or for many different user agents: it was passed on, published
--! or leaked. S3 masks signatures in its logs, so access key, date of signing (SigV2: end), lifetime and key stand
--! for the URL; two URLs signed in the same second for the same key and time look like one. Only fulfilled requests
--! count: anybody can make up the rest. User agents are what callers write. Whether the signer wanted it to be shared
--! is not in the log. The count is of fulfilled requests."""
--! runbook = [
--!     "Ask the signer (column signer) whether this link was meant for many; if not, end it: take the right to the key from the signer, or set its access key inactive (aws iam update-access-key --user-name USER --access-key-id KEY --status Inactive; a key that begins with ASIA is temporary: revoke the sessions of the role).",
--!     "See who used it, and what else came from there: s3trail query object-history -p key=KEY.",
--!     "Hand out one URL per person, with a short life.",
--! ]
--! falsepositives = [
--!     "A CDN or proxy that fetches with the URL: put its networks into ignore_networks.",
--!     "One person on a mobile network, or with changing IPv6 addresses: the address changes from request to request.",
--!     "A link that is meant to be public for a while.",
--! ]
--! tags = ["presigned", "exfiltration", "attack.t1530", "attack.t1078"]
--! [params.min_addresses]
--! type = "int"
--! default = 5
--! help = "Different addresses from which on a URL counts as shared"
--! [params.min_agents]
--! type = "int"
--! default = 5
--! help = "Different user agents from which on a URL counts as shared"
--! [params.ignore_networks]
--! type = "cidr_list"
--! default = []
--! help = "Networks of your own CDN, proxies and offices; requests from there do not count"
--! [params.show_credentials]
--! type = "bool"
--! default = false
--! help = "Show access key ids in full; they are shortened otherwise"
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Findings from this time on: URLs that were used since; all earlier uses count with them"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Findings before this time"
WITH uses AS (
    SELECT
        *,
        concat(substr(key_id, 1, 4), '...', right(key_id, 4)) AS short_key_id,
        -- What tells one URL from another.
        concat_ws(' ', bucket, key_id, presigned_date, presigned_expires_s, end_v2, key) AS url
    FROM (
        SELECT
            time,
            bucket,
            key,
            remote_ip,
            user_agent,
            principal,
            bytes_sent,
            presigned_credential_key_id AS key_id,
            presigned_date,
            presigned_expires_s,
            uri_param(request_uri, 'Expires') AS end_v2,
            log_bucket,
            log_key,
            log_offset
        FROM requests
        WHERE time < $until
            AND http_status < 400
            -- Records too old to name the authentication have no host header either.
            AND (authentication_type = 'QueryString'
                OR authentication_type IS NULL AND host_header IS NULL AND request_uri LIKE '%xpires=%')
            AND is_presigned
            AND NOT coalesce(ip_in_cidr(remote_ip, $ignore_networks), false)
    ) AS signed
),
-- Most URLs are used a few times: they are left out before anything is counted apart.
candidates AS (
    SELECT url
    FROM uses
    GROUP BY url
    HAVING count(*) >= least($min_addresses, $min_agents) AND max(time) >= $since
)
SELECT
    min(time) AS first_seen,
    max(time) AS last_seen,
    bucket,
    -- The access key is shortened in any case: the subject must not depend on a parameter.
    concat(
        coalesce(key, '(bucket)'), ', signed ', coalesce(presigned_date, concat('until ', end_v2)),
        ' for ', coalesce(CAST(presigned_expires_s AS text), '?'), ' s by ', short_key_id
    ) AS subject,
    count(*) AS count,
    evidence(log_bucket, log_key, log_offset, time) AS evidence,
    count(DISTINCT remote_ip) AS addresses,
    count(DISTINCT user_agent) AS user_agents,
    max(principal) AS signer,
    CASE WHEN $show_credentials THEN key_id ELSE short_key_id END AS access_key,
    coalesce(sum(bytes_sent), 0) AS bytes_sent
FROM uses
WHERE url IN (SELECT url FROM candidates)
GROUP BY bucket, key, key_id, short_key_id, presigned_date, presigned_expires_s, end_v2
HAVING (count(DISTINCT remote_ip) >= $min_addresses OR count(DISTINCT user_agent) >= $min_agents)
    AND max(time) >= $since
ORDER BY bucket, subject
