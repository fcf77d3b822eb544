--! id = "ownership-changed"
--! kind = "detection"
--! title = "The object ownership setting of a bucket was changed"
--! level = "low"
--! description = """
--! Somebody put or deleted the ownership controls of a bucket. They decide whether ACLs count at all and who owns objects
--! that other accounts write. Which setting was chosen is in the body and not logged. removals counts deletions, after
--! which ACLs count again. The name of the DELETE operation is inferred from those of GET and PUT.
--! last_session, last_address and last_agent are those of the last change."""
--! runbook = [
--!     "Read the setting as it is now: aws s3api get-bucket-ownership-controls --bucket BUCKET",
--!     "If ACLs are on again and nothing needs them: aws s3api put-bucket-ownership-controls --bucket BUCKET --ownership-controls Rules=[{ObjectOwnership=BucketOwnerEnforced}]",
--!     "See whether an ACL was changed afterwards: s3trail query acl-changed -p since=FIRST_SEEN",
--! ]
--! falsepositives = ["Deployments, and the planned move away from ACLs"]
--! tags = ["public-access", "configuration", "attack.t1562"]
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
    count(*) FILTER (WHERE operation = 'REST.DELETE.OWNERSHIP_CONTROLS') AS removals,
    last_value(session_name ORDER BY time, log_key, log_offset) AS last_session,
    last_value(remote_ip ORDER BY time, log_key, log_offset) AS last_address,
    last_value(user_agent_family ORDER BY time, log_key, log_offset) AS last_agent
FROM requests
WHERE time >= $since AND time < $until
    AND operation IN ('REST.PUT.OWNERSHIP_CONTROLS', 'REST.DELETE.OWNERSHIP_CONTROLS')
    AND http_status BETWEEN 200 AND 299
GROUP BY bucket, principal
ORDER BY first_seen, bucket, subject
