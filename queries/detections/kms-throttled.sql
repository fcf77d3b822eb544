--! id = "kms-throttled"
--! kind = "detection"
--! title = "Reads or writes of objects were throttled, perhaps by KMS"
--! level = "low"
--! description = """
--! Reads and writes of object data failed with an error code that speaks of throttling. With SSE-KMS each of them can
--! cost a call to KMS, whose quota all buckets and programs of an account in a Region share; when it is used up,
--! reads and writes fail although the bucket itself is not busy.
--! How S3 writes a throttled KMS call into its access log is not documented and was not found in a published record:
--! KMS itself says ThrottlingException. So three kinds of codes are looked for: those that contain Throttl
--! (names_throttling is true, any number), SlowDown, and ServiceUnavailable. The last two are mostly S3's own request
--! to slow down on one prefix; they count only when there are many in an hour.
--! Which objects use SSE-KMS is not in these logs; name the buckets that do in kms_buckets. Requests that need no key
--! (lists, heads, deletes) are left out."""
--! runbook = [
--!     "See whether the bucket uses SSE-KMS, and whether BucketKeyEnabled is true: aws s3api get-bucket-encryption --bucket BUCKET",
--!     "With SSE-KMS, compare with the account's KMS quota: aws service-quotas list-service-quotas --service-code kms, and the CloudWatch usage metrics of KMS; run kms-quota-headroom.",
--!     "Switch bucket keys on, which makes far fewer calls to KMS for new objects, or ask for a higher quota.",
--!     "Without SSE-KMS it is S3's own limit per prefix: spread the load over more prefixes, and let clients back off.",
--! ]
--! falsepositives = ["S3 answers SlowDown for a while when the load on one prefix grows quickly; retries succeed."]
--! tags = ["encryption-at-rest", "operations"]
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Findings from this time on"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Findings before this time"
--! [params.min_slow_down]
--! type = "int"
--! default = 50
--! help = "SlowDown and ServiceUnavailable count in hours that have at least this many in a bucket"
--! [params.kms_buckets]
--! type = "text_list"
--! default = []
--! help = "The buckets that use SSE-KMS; empty for all buckets"
SELECT
    min(first_time) AS first_seen,
    max(last_time) AS last_seen,
    bucket,
    error_code AS subject,
    sum(requests) AS count,
    first_value(places ORDER BY hour) AS evidence,
    names_throttling,
    count(*) AS hours,
    max(requests) AS requests_in_busiest_hour,
    sum(writes) AS writes,
    min(example_principal) AS example_principal
FROM (
    SELECT
        bucket,
        error_code,
        date_bin(INTERVAL '1 hour', time) AS hour,
        error_code ILIKE '%throttl%' AS names_throttling,
        count(*) AS requests,
        count(*) FILTER (WHERE operation_class = 'write') AS writes,
        min(time) AS first_time,
        max(time) AS last_time,
        min(principal) AS example_principal,
        evidence(log_bucket, log_key, log_offset, time) AS places
    FROM requests
    WHERE time >= $since AND time < $until
        -- Most records have none, and need not be searched.
        AND error_code IS NOT NULL
        AND (
            error_code ILIKE '%throttl%'
            OR error_code LIKE '%SlowDown%'
            OR error_code LIKE '%ServiceUnavailable%'
        )
        AND operation_class IN ('read', 'write')
        AND method <> 'HEAD'
        AND (cardinality($kms_buckets) = 0 OR array_has($kms_buckets, bucket))
    GROUP BY bucket, error_code, hour
) AS hours
WHERE names_throttling OR requests >= $min_slow_down
GROUP BY bucket, error_code, names_throttling
ORDER BY first_seen, bucket, subject
