--! id = "cors-changed"
--! kind = "detection"
--! title = "CORS configuration of a bucket was changed or deleted"
--! level = "low"
--! description = """
--! Somebody set (PUT) or deleted (DELETE) the rules that say which websites a browser lets read from the bucket, with
--! success. CORS gives nobody a right that the bucket's policy does not give; it lets scripts of other sites use the
--! rights, or the pre-signed URLs, of the person before the browser. A rule that allows every origin is what to look
--! for.
--! The rules are in the body of the request, and bodies are not logged: whether they became wider or narrower cannot
--! be seen. A DELETE leaves no rule, so that scripts of other sites stop working."""
--! runbook = [
--!     "Look at the rules as they are now: aws s3api get-bucket-cors --bucket BUCKET",
--!     "Check AllowedOrigins for * and for sites that are not yours, and AllowedMethods for PUT, POST and DELETE.",
--!     "Ask the caller, or find the same call in CloudTrail, which holds its parameters.",
--!     "Put the known rules back: aws s3api put-bucket-cors --bucket BUCKET --cors-configuration file://cors.json",
--! ]
--! falsepositives = ["A deployment of a web application sets its CORS rules each time."]
--! tags = ["cors", "configuration"]
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
    AND operation IN ('REST.PUT.CORS', 'REST.DELETE.CORS')
    AND is_success
GROUP BY bucket, principal
ORDER BY first_seen, bucket, subject
