--! id = "object-lock-changed"
--! kind = "detection"
--! title = "The Object Lock configuration of a bucket was changed"
--! level = "medium"
--! description = """
--! Somebody wrote the Object Lock configuration: it says whether new objects are locked by default, how and for how
--! long. The new configuration is in the body of the request and not in the log: it can have been made stricter or
--! weaker. Found by the name of the operation and by the sub-resource object-lock in the URI, because the names are
--! not all published. Refused tries are not counted. The count is of fulfilled changes."""
--! runbook = [
--!     "Read what is set now, and compare it with what should be: aws s3api get-object-lock-configuration --bucket BUCKET.",
--!     "Ask the caller; CloudTrail has the content of the call (PutObjectLockConfiguration).",
--!     "Set it back: aws s3api put-object-lock-configuration --bucket BUCKET --object-lock-configuration file://lock.json. It acts on new objects only.",
--! ]
--! falsepositives = ["Infrastructure as code that writes the same configuration again and again."]
--! tags = ["object-lock", "configuration", "attack.t1562", "attack.t1490"]
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
    min(remote_ip) AS example_address,
    min(user_agent_family) AS example_software
FROM requests
WHERE time >= $since AND time < $until
    -- A call about a configuration is no write of an object, whatever its name.
    AND operation LIKE 'REST.PUT.%' AND operation NOT LIKE '%.OBJECT' AND operation NOT LIKE '%.PART'
    AND http_status BETWEEN 200 AND 299
    AND (
        operation IN ('REST.PUT.OBJECT_LOCK_CONFIGURATION', 'REST.PUT.OBJECT_LOCK')
        OR uri_param(request_uri, 'object-lock') IS NOT NULL
    )
GROUP BY bucket, principal
ORDER BY bucket, subject
