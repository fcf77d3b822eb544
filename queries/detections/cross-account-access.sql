--! id = "cross-account-access"
--! kind = "detection"
--! title = "Another account used a bucket"
--! level = "medium"
--! description = """
--! Requests by identities of an AWS account that is not in your list succeeded. The list is the parameter
--! own_accounts; without it there are no findings, since the logs do not say which account owns a bucket, and the
--! account that asks most is often a partner. Canonical user ids (64 hex digits) other than that of the bucket's owner
--! are accounts too; list those that you know.
--! AWS services and CloudFront have no account in these logs and stay out. Callers without identity are for the
--! detections of public access."""
--! runbook = [
--!     "Find what lets the account in: aws s3api get-bucket-policy --bucket BUCKET, aws s3api get-bucket-acl --bucket BUCKET, and the policies of the access points.",
--!     "If nobody knows the account, remove the grant, and list what it read and wrote: query principal-activity.",
--!     "If it is yours or a partner's, add it to own_accounts.",
--! ]
--! falsepositives = ["A partner or a vendor with a grant", "An account of your organisation that is not in the list"]
--! tags = ["exfiltration", "configuration", "attack.t1530"]
--! [params.own_accounts]
--! type = "text_list"
--! default = []
--! help = "Accounts that may use the buckets: 12-digit ids and canonical user ids"
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
    account AS subject,
    count(*) AS count,
    evidence(log_bucket, log_key, log_offset, time) AS evidence,
    count(*) FILTER (WHERE operation_class(operation) = 'read') AS reads,
    count(*) FILTER (WHERE operation_class(operation) IN ('write', 'config_write')) AS writes,
    count(*) FILTER (WHERE operation_class(operation) = 'delete') AS deletes,
    sum(bytes_sent) AS bytes_sent,
    count(DISTINCT principal(requester)) AS principals,
    min(principal(requester)) AS example_principal,
    min(remote_ip) AS example_address
FROM (
    SELECT
        *,
        CASE
            WHEN principal_account(requester) IS NOT NULL THEN principal_account(requester)
            WHEN principal_type(requester) = 'root_or_canonical' AND requester <> bucket_owner THEN requester
        END AS account
    FROM access_logs
    -- The source side of a copy can be without status.
    WHERE (
            http_status < 400
            OR http_status IS NULL AND error_code IS NULL
                AND operation IN ('REST.COPY.OBJECT_GET', 'REST.COPY.PART_GET')
        )
        AND remote_ip IS NOT NULL
        AND time >= $since AND time < $until
        AND array_to_string($own_accounts, ',') <> ''
) AS requests
WHERE NOT array_has($own_accounts, account)
GROUP BY bucket, account
ORDER BY count DESC, bucket, subject
