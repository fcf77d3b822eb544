--! id = "notification-changed"
--! kind = "detection"
--! title = "The event notifications of a bucket were changed"
--! level = "low"
--! description = """
--! Somebody put the notification configuration of a bucket. Each put replaces the whole of it: it can send the names of
--! all new objects to a queue or function, it can end notifications that others rely on, and it can close a circle when
--! the function that is called writes to the same bucket. The targets are in the body and not logged. There is no delete:
--! an empty configuration is a put as well.
--! last_session, last_address and last_agent are those of the last change."""
--! runbook = [
--!     "Read the targets as they are now: aws s3api get-bucket-notification-configuration --bucket BUCKET",
--!     "If a target is not yours or one is missing, put the former configuration back: aws s3api put-bucket-notification-configuration --bucket BUCKET --notification-configuration file://notification.json",
--!     "Look for the same request in CloudTrail, which has its content: aws cloudtrail lookup-events --lookup-attributes AttributeKey=EventName,AttributeValue=PutBucketNotification",
--! ]
--! falsepositives = ["Deployments; each one that adds a function to the bucket writes the whole configuration"]
--! tags = ["configuration", "exfiltration", "attack.t1537"]
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
    last_value(session_name ORDER BY time, log_key, log_offset) AS last_session,
    last_value(remote_ip ORDER BY time, log_key, log_offset) AS last_address,
    last_value(user_agent_family ORDER BY time, log_key, log_offset) AS last_agent
FROM requests
WHERE time >= $since AND time < $until
    AND operation = 'REST.PUT.NOTIFICATION'
    AND http_status BETWEEN 200 AND 299
GROUP BY bucket, principal
ORDER BY first_seen, bucket, subject
