--! id = "config-unencrypted-puts-refused"
--! kind = "detection"
--! title = "Uploads were refused by a bucket whose policy demands headers for encryption"
--! level = "informational"
--! description = """
--! By the audit the bucket policy denies every upload that does not ask for encryption in its headers, and uploads of a
--! caller were refused with AccessDenied. The policy may be why: since January 2023 S3 encrypts every new object, so
--! clients leave the headers out. The log cannot tell: it has neither the headers nor the reason of a refusal, and a
--! caller without permission looks the same. accepted is the number of its uploads that were fulfilled: with any, it
--! may write there, and some of its ways to do so send the headers while others do not. Refusals from before the audit
--! may have been made by another policy; after_the_audit says how many were not. Uploads without credentials, and work
--! inside AWS, are left out. upload-denied-then-accepted tells of single keys without an audit. count is the number of
--! refused uploads, subject the caller."""
--! runbook = [
--!     "Let the owner of the caller send the header, or leave it to default encryption: aws s3 cp FILE s3://BUCKET/KEY --sse aws:kms",
--!     "Or let the policy deny only what asks for something else, and leave what is silent to default encryption: both Null s3:x-amz-server-side-encryption false and StringNotEquals in one statement.",
--!     "With accepted 0, see first whether the caller may write there at all: aws iam simulate-principal-policy --policy-source-arn ARN --action-names s3:PutObject --resource-arns arn:aws:s3:::BUCKET/KEY",
--! ]
--! falsepositives = ["A caller that may not write there and keeps trying: accepted is 0.", "A test of the policy."]
--! tags = ["encryption-at-rest", "configuration", "audit"]
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Requests from this time on; the configuration is that of the last audit"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Requests before this time"
--! [params.min_refused]
--! type = "int"
--! default = 3
--! help = "Say nothing of fewer refusals"
SELECT
    min(time) FILTER (WHERE is_refused) AS first_seen,
    max(time) FILTER (WHERE is_refused) AS last_seen,
    bucket,
    principal AS subject,
    count(*) FILTER (WHERE is_refused) AS count,
    evidence(log_bucket, log_key, log_offset, time) FILTER (WHERE is_refused) AS evidence,
    count(*) FILTER (WHERE NOT is_refused) AS accepted,
    count(*) FILTER (WHERE is_refused AND time > audited_at) AS after_the_audit,
    encryption_algorithm AS default_encryption,
    min(key) FILTER (WHERE is_refused) AS example_key,
    min(user_agent) FILTER (WHERE is_refused) AS example_agent,
    audited_at
-- The small side comes first: when it is empty the other is not read.
FROM (
    SELECT name, audited_at, encryption_algorithm
    FROM bucket_configuration
    WHERE kind = 'bucket' AND policy_denies_unencrypted_puts
) AS configuration
INNER JOIN (
    SELECT *, http_status = 403 AS is_refused
    FROM requests
    WHERE time >= $since AND time < $until
        -- The headers are those of the first request of an upload in parts.
        AND operation IN ('REST.PUT.OBJECT', 'REST.POST.OBJECT', 'REST.COPY.OBJECT', 'REST.POST.UPLOADS')
        AND (http_status = 403 AND error_code = 'AccessDenied' OR http_status BETWEEN 200 AND 299)
        AND NOT is_anonymous
        AND NOT is_aws_internal
) AS uploads
    ON uploads.bucket = configuration.name
GROUP BY bucket, principal, encryption_algorithm, audited_at
HAVING count(*) FILTER (WHERE is_refused) >= $min_refused
ORDER BY first_seen, bucket, subject
