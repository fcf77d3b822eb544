--! id = "policy-changed"
--! kind = "detection"
--! title = "The policy of a bucket was changed or deleted"
--! level = "medium"
--! description = """
--! Somebody put or deleted a bucket policy. It decides who may read, write and delete, also from other accounts and
--! without credentials. The log shows that it changed and who did it, not what it says: bodies are not logged, and a
--! stricter policy looks like an open one. removals counts deletions; with the policy go its Deny statements.
--! last_session, last_address and last_agent are those of the last change."""
--! runbook = [
--!     "Read the policy as it is now: aws s3api get-bucket-policy --bucket BUCKET --query Policy --output text; aws s3api get-bucket-policy-status --bucket BUCKET",
--!     "Look for the same request in CloudTrail, which has its content: aws cloudtrail lookup-events --lookup-attributes AttributeKey=EventName,AttributeValue=PutBucketPolicy or aws cloudtrail lookup-events --lookup-attributes AttributeKey=EventName,AttributeValue=DeleteBucketPolicy",
--!     "If nobody meant it, put the former policy back with aws s3api put-bucket-policy, and look at what else the principal did: s3trail query principal-activity -p principal=SUBJECT",
--! ]
--! falsepositives = [
--!     "Deployments: Terraform, CloudFormation, CDK",
--!     "AWS services that add their statement to the policy when a delivery is set up",
--! ]
--! tags = ["public-access", "configuration", "attack.t1567"]
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
    count(*) FILTER (WHERE operation = 'REST.DELETE.BUCKETPOLICY') AS removals,
    last_value(session_name ORDER BY time, log_key, log_offset) AS last_session,
    last_value(remote_ip ORDER BY time, log_key, log_offset) AS last_address,
    last_value(user_agent_family ORDER BY time, log_key, log_offset) AS last_agent
FROM requests
WHERE time >= $since AND time < $until
    AND operation IN ('REST.PUT.BUCKETPOLICY', 'REST.DELETE.BUCKETPOLICY')
    AND http_status BETWEEN 200 AND 299
GROUP BY bucket, principal
ORDER BY first_seen, bucket, subject
