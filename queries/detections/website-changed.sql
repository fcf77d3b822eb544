--! id = "website-changed"
--! kind = "detection"
--! title = "The website configuration of a bucket was changed or deleted"
--! level = "low"
--! description = """
--! Somebody put or deleted the website configuration of a bucket. With one, the bucket has a website endpoint, which is
--! always plain HTTP and without credentials, and can redirect visitors to another host; what it shows must still be
--! readable for everybody by policy or ACL. Pages and redirects are in the body and not logged. removals counts deletions.
--! last_session, last_address and last_agent are those of the last change."""
--! runbook = [
--!     "Read the configuration as it is now: aws s3api get-bucket-website --bucket BUCKET; look at its redirects",
--!     "If the bucket is no website: aws s3api delete-bucket-website --bucket BUCKET, and check that it is not public: aws s3api get-bucket-policy-status --bucket BUCKET",
--!     "Look for the same request in CloudTrail, which has its content: aws cloudtrail lookup-events --lookup-attributes AttributeKey=EventName,AttributeValue=PutBucketWebsite or aws cloudtrail lookup-events --lookup-attributes AttributeKey=EventName,AttributeValue=DeleteBucketWebsite",
--! ]
--! falsepositives = ["Deployments of websites"]
--! tags = ["configuration", "public-access", "attack.t1537"]
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
    count(*) FILTER (WHERE operation = 'REST.DELETE.WEBSITE') AS removals,
    last_value(session_name ORDER BY time, log_key, log_offset) AS last_session,
    last_value(remote_ip ORDER BY time, log_key, log_offset) AS last_address,
    last_value(user_agent_family ORDER BY time, log_key, log_offset) AS last_agent
FROM requests
WHERE time >= $since AND time < $until
    AND operation IN ('REST.PUT.WEBSITE', 'REST.DELETE.WEBSITE')
    AND http_status BETWEEN 200 AND 299
GROUP BY bucket, principal
ORDER BY first_seen, bucket, subject
