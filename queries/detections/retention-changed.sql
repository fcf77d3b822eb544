--! id = "retention-changed"
--! kind = "detection"
--! title = "Retention or legal hold of objects was set or changed"
--! level = "low"
--! description = """
--! Somebody wrote the retention period or the legal hold of objects under Object Lock. Mode, date, on or off are in
--! the body, and the permission to go around governance mode is a header: none of them is logged. So a hit can
--! lengthen or shorten protection. Found by the sub-resources retention and legal-hold of the URI, and by the names
--! of operations that are known; the names that AWS writes are not published. Refused tries are counted: they are
--! what an attempt to shorten a lock in compliance mode looks like, and any other denial too. The count is of
--! requests."""
--! runbook = [
--!     "Look at a few of the objects: aws s3api get-object-retention --bucket BUCKET --key KEY, and aws s3api get-object-legal-hold --bucket BUCKET --key KEY.",
--!     "Ask the caller; with refused above 0 first, and see who may bypass governance mode (s3:BypassGovernanceRetention).",
--! ]
--! falsepositives = ["Backup software that renews retention, or sets it for each object it writes."]
--! tags = ["object-lock", "attack.t1490"]
--! [params.min_requests]
--! type = "int"
--! default = 1
--! help = "Requests of one caller from which on it is a finding; raise it where backup software renews locks"
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
    principal AS subject,
    count(*) AS count,
    evidence(log_bucket, log_key, log_offset, time) AS evidence,
    count(*) FILTER (WHERE is_hold) AS legal_hold_calls,
    count(*) FILTER (WHERE http_status >= 400) AS refused,
    approx_distinct(key) AS keys_approx,
    min(key) AS example_key
FROM (
    SELECT
        time,
        bucket,
        key,
        principal,
        http_status,
        log_bucket,
        log_key,
        log_offset,
        operation LIKE '%RETENTION' OR uri_param(request_uri, 'retention') IS NOT NULL AS is_retention,
        operation LIKE '%LEGAL%HOLD' OR uri_param(request_uri, 'legal-hold') IS NOT NULL AS is_hold
    FROM requests
    WHERE time >= $since AND time < $until
        AND operation LIKE 'REST.PUT.%' AND operation NOT LIKE '%.OBJECT' AND operation NOT LIKE '%.PART'
) AS calls
WHERE is_retention OR is_hold
GROUP BY bucket, principal
HAVING count(*) >= $min_requests
ORDER BY bucket, subject
