--! id = "replication-changed"
--! kind = "detection"
--! title = "The replication of a bucket was changed or deleted"
--! level = "medium"
--! description = """
--! Somebody put or deleted the replication configuration of a bucket. A new rule can copy every new object to a bucket of
--! another account, without a further request by anybody; a deleted one ends the copies that a backup relies on. The
--! destination is in the body and not logged. removals counts deletions. The names of the PUT and DELETE operations are
--! inferred from that of GET.
--! last_session, last_address and last_agent are those of the last change."""
--! runbook = [
--!     "Read where the bucket replicates to now: aws s3api get-bucket-replication --bucket BUCKET",
--!     "If the destination is not yours, stop it: aws s3api delete-bucket-replication --bucket BUCKET, and take its rights from the role that the configuration names",
--!     "Look for the same request in CloudTrail, which has its content: aws cloudtrail lookup-events --lookup-attributes AttributeKey=EventName,AttributeValue=PutBucketReplication or aws cloudtrail lookup-events --lookup-attributes AttributeKey=EventName,AttributeValue=DeleteBucketReplication",
--! ]
--! falsepositives = ["Deployments, and a backup that is set up or moved"]
--! tags = ["configuration", "exfiltration", "attack.t1537", "attack.t1562"]
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
    count(*) FILTER (WHERE operation = 'REST.DELETE.REPLICATION') AS removals,
    last_value(session_name ORDER BY time, log_key, log_offset) AS last_session,
    last_value(remote_ip ORDER BY time, log_key, log_offset) AS last_address,
    last_value(user_agent_family ORDER BY time, log_key, log_offset) AS last_agent
FROM requests
WHERE time >= $since AND time < $until
    AND operation IN ('REST.PUT.REPLICATION', 'REST.DELETE.REPLICATION')
    AND http_status BETWEEN 200 AND 299
GROUP BY bucket, principal
ORDER BY first_seen, bucket, subject
