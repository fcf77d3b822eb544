--! id = "log-injection"
--! kind = "detection"
--! title = "Somebody put text into a request that forges log records"
--! level = "medium"
--! description = """
--! S3 writes the request-URI, the Referer and the user agent into its logs as they were sent, quotes and all, so a
--! client can write what looks like the rest of a record, or like a whole one. Findings are records whose text can be
--! read in more than one way (forged fields), that hold control bytes (which move the cursor of a terminal), or whose
--! key holds a line break and then the beginning of a log record.
--! s3trail reads such lines with the client's text as long as possible and keeps the raw line. Tools that split at
--! quotes or blanks believe the forged status, size or user agent. The requests themselves may well have been refused;
--! what the sender wanted is not known."""
--! runbook = [
--!     "Look at the raw lines of the evidence with a viewer that shows control bytes (less, cat -v), never with a plain cat.",
--!     "Do not trust other reports about these lines, such as Athena tables made with the usual regular expression: compare status and size with this lake.",
--!     "See what else the address asked for: s3trail query address-activity -p networks=SUBJECT, detection suspicious-agent. Block it if it is not yours.",
--! ]
--! falsepositives = ["Broken clients whose user agent holds quotes and numbers", "Security scanners of your own"]
--! tags = ["anomalies", "reconnaissance"]
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Findings from this time on"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Findings before this time"
SELECT
    min(time) AS first_seen,
    max(time) AS last_seen,
    bucket,
    coalesce(remote_ip, principal(requester)) AS subject,
    count(*) AS count,
    evidence(log_bucket, log_key, log_offset, time) AS evidence,
    count(*) FILTER (WHERE quirks LIKE '%ambiguous\_quote%') AS forged_fields,
    count(*) FILTER (WHERE quirks LIKE '%control\_bytes%') AS control_bytes,
    count(*) FILTER (WHERE regexp_like(key, '[\r\n][^ ]{2,128} [^ ]+ \[')) AS forged_lines,
    count(*) FILTER (WHERE http_status BETWEEN 200 AND 299) AS succeeded,
    min(principal(requester)) AS example_principal,
    min(user_agent) AS example_user_agent
FROM access_logs
WHERE (quirks IS NOT NULL OR key_logged IS NOT NULL)
    AND (
        (
            quirks LIKE '%ambiguous\_quote%'
            -- S3-compatible servers log the Referer without quotes; then every quoted word in the agent is ambiguous.
            AND (quirks NOT LIKE '%bare\_referer%' OR regexp_like(user_agent, '" ([0-9]{3}|-) '))
        )
        OR quirks LIKE '%control\_bytes%'
        OR (
            (key_logged LIKE '%\%250%' OR key_logged LIKE '%\%0%')
            -- A line break, an owner, a bucket and the bracket of a time.
            AND regexp_like(key, '[\r\n][^ ]{2,128} [^ ]+ \[')
        )
    )
    AND time >= $since AND time < $until
GROUP BY bucket, coalesce(remote_ip, principal(requester))
ORDER BY count DESC, bucket, subject
