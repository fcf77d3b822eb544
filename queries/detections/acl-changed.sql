--! id = "acl-changed"
--! kind = "detection"
--! title = "The ACL of a bucket or of objects was changed"
--! level = "low"
--! description = """
--! Somebody put an ACL on a bucket or on objects in it. bucket_changes and object_changes tell them apart. An ACL can
--! open a bucket or an object to everybody or to another account. Who was granted what is in headers or the body and not
--! logged, so that closing looks like opening. An ACL that is given with an upload is not a request of its own and not
--! seen here. Replication, which carries ACLs to the replica, is left out.
--! last_session, last_address and last_agent are those of the last change."""
--! runbook = [
--!     "Read the ACL as it is now: aws s3api get-bucket-acl --bucket BUCKET; aws s3api get-object-acl --bucket BUCKET --key EXAMPLE_KEY",
--!     "Look for the same request in CloudTrail, which has its content: aws cloudtrail lookup-events --lookup-attributes AttributeKey=EventName,AttributeValue=PutBucketAcl (PutObjectAcl only where data events are recorded)",
--!     "If nothing needs ACLs (s3trail query acl-required shows who does), switch them off: aws s3api put-bucket-ownership-controls --bucket BUCKET --ownership-controls Rules=[{ObjectOwnership=BucketOwnerEnforced}]",
--! ]
--! falsepositives = [
--!     "Programs that set an ACL after each upload, as publishing plugins do",
--!     "Migrations and copies that keep ACLs",
--! ]
--! tags = ["public-access", "configuration", "attack.t1530"]
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
    count(*) FILTER (WHERE key IS NULL) AS bucket_changes,
    count(key) AS object_changes,
    min(key) AS example_key,
    last_value(session_name ORDER BY time, log_key, log_offset) AS last_session,
    last_value(remote_ip ORDER BY time, log_key, log_offset) AS last_address,
    last_value(user_agent_family ORDER BY time, log_key, log_offset) AS last_agent
FROM requests
WHERE time >= $since AND time < $until
    AND operation = 'REST.PUT.ACL'
    AND http_status BETWEEN 200 AND 299
    -- what S3 replicates was changed elsewhere
    AND (session_name IS NULL OR session_name <> 's3-replication')
GROUP BY bucket, principal
ORDER BY first_seen, bucket, subject
