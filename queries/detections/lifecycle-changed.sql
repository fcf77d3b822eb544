--! id = "lifecycle-changed"
--! kind = "detection"
--! title = "The lifecycle rules of a bucket were changed or deleted"
--! level = "low"
--! description = """
--! Somebody put or deleted the lifecycle configuration of a bucket. A rule can let S3 delete every object within a day or
--! so, versions too, without a delete request by anybody; rules that are gone let storage grow. The rules are in the body
--! and not logged; what they do later shows as S3.EXPIRE.OBJECT, S3.CREATE.DELETEMARKER and S3.TRANSITION rows, with
--! AmazonS3 as requester. removals counts deletions.
--! last_session, last_address and last_agent are those of the last change."""
--! runbook = [
--!     "Read the rules as they are now: aws s3api get-bucket-lifecycle-configuration --bucket BUCKET",
--!     "If a rule deletes what it should not, take it away at once: aws s3api delete-bucket-lifecycle --bucket BUCKET, then put the former rules back",
--!     "See what has been deleted since: s3trail query who-deleted -p bucket=BUCKET -p since=FIRST_SEEN",
--!     "Look for the same request in CloudTrail, which has its content: aws cloudtrail lookup-events --lookup-attributes AttributeKey=EventName,AttributeValue=PutBucketLifecycle or aws cloudtrail lookup-events --lookup-attributes AttributeKey=EventName,AttributeValue=DeleteBucketLifecycle",
--! ]
--! falsepositives = ["Deployments, and the care for storage costs"]
--! tags = ["configuration", "destruction", "attack.t1485.001"]
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
    count(*) FILTER (WHERE operation = 'REST.DELETE.LIFECYCLE') AS removals,
    last_value(session_name ORDER BY time, log_key, log_offset) AS last_session,
    last_value(remote_ip ORDER BY time, log_key, log_offset) AS last_address,
    last_value(user_agent_family ORDER BY time, log_key, log_offset) AS last_agent
FROM requests
WHERE time >= $since AND time < $until
    AND operation IN ('REST.PUT.LIFECYCLE', 'REST.DELETE.LIFECYCLE')
    AND http_status BETWEEN 200 AND 299
GROUP BY bucket, principal
ORDER BY first_seen, bucket, subject
