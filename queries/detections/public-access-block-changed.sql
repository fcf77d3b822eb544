--! id = "public-access-block-changed"
--! kind = "detection"
--! title = "The public access block of a bucket was changed or deleted"
--! level = "medium"
--! description = """
--! Somebody put or deleted the public access block of a bucket, which keeps policies and ACLs from making it public.
--! removals counts deletions: after one the bucket has no block of its own, and that is the clearest sign here. A put can
--! switch the four settings on or off; which, is in the body and not logged. The block of the whole account is set through
--! another service and is never in these logs. The name of the DELETE operation is inferred from those of GET and PUT.
--! last_session, last_address and last_agent are those of the last change."""
--! runbook = [
--!     "Read the block as it is now: aws s3api get-public-access-block --bucket BUCKET; aws s3api get-bucket-policy-status --bucket BUCKET",
--!     "If nobody meant it, put it back: aws s3api put-public-access-block --bucket BUCKET --public-access-block-configuration BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true",
--!     "See whether somebody without credentials got in since: s3trail query anonymous-success -p since=FIRST_SEEN",
--!     "Look for the same request in CloudTrail, which has its content: aws cloudtrail lookup-events --lookup-attributes AttributeKey=EventName,AttributeValue=PutBucketPublicAccessBlock or aws cloudtrail lookup-events --lookup-attributes AttributeKey=EventName,AttributeValue=DeleteBucketPublicAccessBlock",
--! ]
--! falsepositives = [
--!     "Deployments that set the block again, with the same or stricter settings",
--!     "A bucket that is made public on purpose",
--! ]
--! tags = ["public-access", "configuration", "attack.t1562", "attack.t1190"]
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
    count(*) FILTER (WHERE operation = 'REST.DELETE.PUBLIC_ACCESS_BLOCK') AS removals,
    last_value(session_name ORDER BY time, log_key, log_offset) AS last_session,
    last_value(remote_ip ORDER BY time, log_key, log_offset) AS last_address,
    last_value(user_agent_family ORDER BY time, log_key, log_offset) AS last_agent
FROM requests
WHERE time >= $since AND time < $until
    AND operation IN ('REST.PUT.PUBLIC_ACCESS_BLOCK', 'REST.DELETE.PUBLIC_ACCESS_BLOCK')
    AND http_status BETWEEN 200 AND 299
GROUP BY bucket, principal
ORDER BY first_seen, bucket, subject
