--! id = "versioning-changed"
--! kind = "detection"
--! title = "Versioning or MFA delete of a bucket was changed"
--! level = "low"
--! description = """
--! Somebody changed the versioning configuration of a bucket, with success. The same call switches versioning on,
--! suspends it, and switches MFA delete on or off. Suspending it is a known step before objects are destroyed or
--! overwritten for good.
--! The log shows the call, not its direction: body and x-amz-mfa header are not logged, and no other record tells
--! the state of a bucket for certain."""
--! runbook = [
--!     "Look at the state now: aws s3api get-bucket-versioning --bucket BUCKET (Status and MFADelete; no answer at all means that versioning was never on)",
--!     "If it is suspended and should not be, switch it on: aws s3api put-bucket-versioning --bucket BUCKET --versioning-configuration Status=Enabled",
--!     "Ask the caller, or find the same call in CloudTrail, which holds its parameters.",
--!     "Look for what followed: version-deleted, mass-deletion and prefix-rewritten for this bucket and caller.",
--! ]
--! falsepositives = [
--!     "Infrastructure as code sets versioning of every bucket it makes or checks.",
--!     "Versioning is switched on, as it should be.",
--! ]
--! tags = ["versioning", "configuration", "attack.t1490", "attack.t1562"]
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
    min(session_name) AS example_session,
    min(remote_ip) AS example_address,
    min(user_agent) AS example_user_agent
FROM requests
WHERE time >= $since AND time < $until
    AND operation = 'REST.PUT.VERSIONING'
    AND is_success
GROUP BY bucket, principal
ORDER BY first_seen, bucket, subject
