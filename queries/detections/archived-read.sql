--! id = "archived-read"
--! kind = "detection"
--! title = "Reads of archived objects are refused"
--! level = "informational"
--! description = """
--! Somebody asks for objects that lie in archive storage and were not restored: S3 answers 403 InvalidObjectState.
--! Nothing leaked; a program does not know that its data was archived, or a lifecycle rule archives too early. The
--! same code on a restore request means something else and is not counted. The class of storage is not in the log.
--! The count is of refused reads."""
--! runbook = [
--!     "Look whether the objects are needed: restore them (aws s3api restore-object --bucket BUCKET --key KEY --restore-request Days=7), or let the program skip them (aws s3api head-object shows the storage class).",
--!     "Compare the lifecycle rules with what is read: aws s3api get-bucket-lifecycle-configuration --bucket BUCKET.",
--! ]
--! falsepositives = ["Scanners and backup tools that try every object."]
--! tags = ["glacier", "operations"]
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
    approx_distinct(key) AS keys_approx,
    approx_distinct(key_prefix) AS prefixes_approx,
    min(key) AS example_key
FROM requests
WHERE time >= $since AND time < $until
    AND error_code = 'InvalidObjectState'
    AND operation_class = 'read'
GROUP BY bucket, principal
ORDER BY bucket, subject
