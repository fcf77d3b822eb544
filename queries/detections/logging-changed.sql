--! id = "logging-changed"
--! kind = "detection"
--! title = "The access logging of a bucket was changed"
--! level = "low"
--! description = """
--! Somebody put the logging configuration of a bucket. The same call switches access logging on, switches it off and
--! sends it elsewhere; body and target are not logged, so which of these it was cannot be seen. Switching it off blinds
--! every other detection for this bucket. A change takes about an hour to act, and log objects may go to the old and to
--! the new destination meanwhile.
--! last_record is the latest record of the bucket and data_end the latest of any bucket. Where the first lies hours
--! before the second, and soon after the change, logging went off or goes where it is not taken in (see logging-silent).
--! The first configuration of a bucket may be missing: before it nothing was logged."""
--! runbook = [
--!     "Look at what is set now: aws s3api get-bucket-logging --bucket BUCKET; an empty answer means that nothing is logged",
--!     "Look for the same request in CloudTrail, which has the target: aws cloudtrail lookup-events --lookup-attributes AttributeKey=EventName,AttributeValue=PutBucketLogging",
--!     "If it went off and nobody meant it, switch it on again and treat what the caller did before and after as unlogged.",
--! ]
--! falsepositives = [
--!     "Logging is set up, or moved to another log bucket.",
--!     "Infrastructure as code sets the configuration again at every deployment.",
--! ]
--! tags = ["access-logging", "configuration", "attack.t1562.008"]
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Findings from this time on"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Findings before this time"
SELECT
    first_seen,
    last_seen,
    changes.bucket,
    subject,
    count,
    evidence,
    last_session,
    last_address,
    last_user_agent,
    last_record,
    data_end
FROM (
    SELECT
        min(time) AS first_seen,
        max(time) AS last_seen,
        bucket,
        principal AS subject,
        count(*) AS count,
        evidence(log_bucket, log_key, log_offset, time) AS evidence,
        last_value(session_name ORDER BY time, log_key, log_offset) AS last_session,
        last_value(remote_ip ORDER BY time, log_key, log_offset) AS last_address,
        last_value(user_agent ORDER BY time, log_key, log_offset) AS last_user_agent
    FROM requests
    WHERE time >= $since AND time < $until
        AND operation = 'REST.PUT.LOGGING_STATUS'
        AND http_status BETWEEN 200 AND 299
    GROUP BY bucket, principal
) AS changes
JOIN (
    SELECT bucket, last_record, max(last_record) OVER () AS data_end
    FROM (SELECT bucket, max(time) AS last_record FROM access_logs GROUP BY bucket) AS buckets
) AS ends ON ends.bucket = changes.bucket
ORDER BY first_seen, changes.bucket, subject
