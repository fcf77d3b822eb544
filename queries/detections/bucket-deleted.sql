--! id = "bucket-deleted"
--! kind = "detection"
--! title = "A bucket was deleted"
--! level = "medium"
--! description = """
--! A request to delete the bucket succeeded. A bucket can be deleted only when it is empty, so its objects went before; the
--! logs of those deletes may arrive hours later or never. The name becomes free: whoever takes it next receives what
--! programs still send to it. Delivery of logs is best effort, so a deletion may also be missing here."""
--! runbook = [
--!     "Ask the principal whether it was meant; see who emptied the bucket before: s3trail query who-deleted -p bucket=BUCKET",
--!     "If the name is still used in programs, templates or DNS, take it again at once: aws s3api create-bucket --bucket BUCKET",
--!     "Look for the same request in CloudTrail, which has its content: aws cloudtrail lookup-events --lookup-attributes AttributeKey=EventName,AttributeValue=DeleteBucket",
--! ]
--! falsepositives = ["Test buckets and stacks that are taken down"]
--! tags = ["destruction", "configuration", "attack.t1485"]
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
    AND operation = 'REST.DELETE.BUCKET'
    AND http_status BETWEEN 200 AND 299
GROUP BY bucket, principal
ORDER BY first_seen, bucket, subject
