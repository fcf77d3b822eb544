--! id = "requester-not-allowed"
--! kind = "detection"
--! title = "A bucket was used by an account or principal that is not on its list"
--! level = "medium"
--! description = """
--! Requests came to a bucket from somebody who is not in allowed, neither by account nor as a principal. It needs both
--! lists: while allowed or buckets is empty, nothing is said. Only requests that succeeded count, unless include_refused is
--! set. Callers without credentials are the principal "anonymous". S3 itself, AWS services (svc:) and log delivery are left
--! out; replication from another account is not, since it writes in that account's name. A canonical id is an account
--! whose number the log does not give: add the id itself to the list."""
--! runbook = [
--!     "Find where the right was given: aws s3api get-bucket-policy --bucket BUCKET --query Policy --output text; aws s3api get-bucket-acl --bucket BUCKET; aws s3control list-access-points --account-id ACCOUNT --bucket BUCKET",
--!     "If the caller should not be there, take the right away, then see what it did: s3trail query principal-activity -p principal=SUBJECT -p bucket=BUCKET",
--!     "If it should, add its account or the principal as shown here to allowed",
--! ]
--! falsepositives = [
--!     "A list that is not up to date",
--!     "The account root, which is logged as a canonical id",
--! ]
--! tags = ["anomalies", "public-access", "attack.t1530", "attack.t1078"]
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Findings from this time on"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Findings before this time"
--! [params.buckets]
--! type = "text_list"
--! default = []
--! help = "Buckets to look at; * means all of them; empty gives no finding"
--! [params.allowed]
--! type = "text_list"
--! default = []
--! help = "Account ids and principals (an ARN without session, a canonical id) that may use them; empty gives no finding"
--! [params.include_refused]
--! type = "bool"
--! default = false
--! help = "Also requests that were refused or failed"
SELECT
    min(time) AS first_seen,
    max(time) AS last_seen,
    bucket,
    principal AS subject,
    count(*) AS count,
    evidence(log_bucket, log_key, log_offset, time) AS evidence,
    max(account_id) AS account_id,
    array_to_string(array_sort(array_agg(DISTINCT operation_class)), ', ') AS kinds,
    min(remote_ip) AS example_address,
    min(user_agent_family) AS example_agent,
    coalesce(sum(bytes_sent), 0) AS bytes_sent
FROM requests
WHERE time >= $since AND time < $until
    AND cardinality($allowed) > 0
    AND (array_has($buckets, '*') OR array_has($buckets, bucket))
    -- The source side of a copy can be without status.
    AND (
        $include_refused
        OR error_code IS NULL
            AND (
                http_status BETWEEN 200 AND 299
                OR http_status IS NULL AND operation IN ('REST.COPY.OBJECT_GET', 'REST.COPY.PART_GET')
            )
    )
    AND NOT array_has($allowed, principal)
    AND NOT coalesce(array_has($allowed, account_id), false)
    AND principal_type NOT IN ('aws_s3', 'service', 'log_delivery')
GROUP BY bucket, principal
ORDER BY first_seen, bucket, subject
