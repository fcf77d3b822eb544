--! id = "encryption-changed"
--! kind = "detection"
--! title = "Default encryption of a bucket was changed or deleted"
--! level = "low"
--! description = """
--! Somebody set (PUT) or deleted (DELETE) the default encryption of a bucket, with success. A DELETE is the stronger
--! signal: new objects then get what S3 gives every bucket, SSE-S3 since 5 January 2023 and nothing before, where
--! SSE-KMS may have been configured. The column last_change says which of the two came last.
--! What was configured is in the body of the request, and bodies are not logged: a PUT can strengthen or weaken.
--! Which encryption an object has is never in these logs. The names of the PUT and DELETE operations were not seen
--! in published records; they are matched by the word ENCRYPTION."""
--! runbook = [
--!     "Look at what is configured now: aws s3api get-bucket-encryption --bucket BUCKET",
--!     "Ask the caller, or find the same call in CloudTrail, which holds its parameters.",
--!     "If the default is weaker than it should be, put it back: aws s3api put-bucket-encryption --bucket BUCKET --server-side-encryption-configuration file://encryption.json",
--!     "Objects written in between keep the encryption they were written with: list them from first_seen on and copy them over themselves where that matters.",
--! ]
--! falsepositives = [
--!     "Infrastructure as code sets the default encryption of every bucket it makes or checks.",
--!     "A move from SSE-S3 to SSE-KMS, or to another key.",
--! ]
--! tags = ["encryption-at-rest", "configuration", "attack.t1562"]
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
    CASE
        WHEN max(time) FILTER (WHERE method = 'DELETE') = max(time) THEN 'deleted'
        ELSE 'set'
    END AS last_change,
    count(*) FILTER (WHERE method = 'DELETE') AS deletes,
    count(*) FILTER (WHERE method = 'PUT') AS sets,
    min(session_name) AS example_session,
    min(remote_ip) AS example_address,
    min(user_agent) AS example_user_agent
FROM requests
WHERE time >= $since AND time < $until
    AND operation LIKE 'REST.%ENCRYPTION%'
    AND method IN ('PUT', 'DELETE')
    AND is_success
GROUP BY bucket, principal
ORDER BY first_seen, bucket, subject
