--! id = "config-kms-without-bucket-key"
--! kind = "detection"
--! title = "A busy bucket encrypts with SSE-KMS and has no bucket key"
--! level = "low"
--! description = """
--! By the audited configuration the bucket encrypts new objects with SSE-KMS, and without a bucket key: each read and
--! write of an object that is encrypted so costs a call to KMS, counts against the quota that the whole account shares
--! in the Region, and is paid for. In its busiest second the bucket had count requests for object data, share or more
--! of the quota of its Region (table kms_quotas, see the settings); or requests of it failed with a
--! throttling error, as KMS gives them.
--! Objects written before the default was set, or with other headers, may be encrypted otherwise, so the requests are
--! an upper bound of the calls. subject is the Region. first_seen and last_seen are the first and last second at the
--! share, or the first and last throttled request; requests and throttled are those of the time asked for."""
--! runbook = [
--!     "Switch the bucket key on: aws s3api put-bucket-encryption --bucket BUCKET --server-side-encryption-configuration '{\"Rules\": [{\"ApplyServerSideEncryptionByDefault\": {\"SSEAlgorithm\": \"aws:kms\", \"KMSMasterKeyID\": \"KEY\"}, \"BucketKeyEnabled\": true}]}'; it holds for new objects, copy old ones over themselves.",
--!     "Find out what the quota really is: aws service-quotas list-service-quotas --service-code kms --region REGION, and write it into [kms_quotas] of s3trail.toml.",
--!     "Policies that check the object's ARN as encryption context must be changed first: with a bucket key it is the bucket's.",
--! ]
--! falsepositives = ["Most objects are encrypted otherwise than the default says."]
--! tags = ["encryption-at-rest", "cost", "configuration", "audit"]
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Requests from this time on; the configuration is that of the last audit"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Requests before this time"
--! [params.share]
--! type = "float"
--! default = 0.1
--! help = "Share of the Region's quota that one bucket's busiest second must reach"
SELECT
    min(time) FILTER (WHERE is_busy OR throttled > 0) AS first_seen,
    max(time) FILTER (WHERE is_busy OR throttled > 0) AS last_seen,
    name AS bucket,
    region AS subject,
    max(in_second) AS count,
    first_value(places ORDER BY throttled DESC, in_second DESC, time) AS evidence,
    quota,
    round(100.0 * max(in_second) / quota, 1) AS percent_of_quota,
    sum(in_second) AS requests,
    sum(throttled) AS throttled,
    kms_key_id,
    audited_at
FROM (
    SELECT seconds.*, in_second >= $share * quota AS is_busy
    FROM (
        SELECT
            name,
            coalesce(region, 'not known') AS region,
            kms_key_id,
            audited_at,
            quota,
            time,
            count(*) AS in_second,
            count(*) FILTER (WHERE error_code ILIKE '%throttl%') AS throttled,
            evidence(log_bucket, log_key, log_offset, time) AS places
        -- The small side comes first: when it is empty the other is not read.
        FROM (
            SELECT configuration.*, coalesce(own.requests_per_second, others.requests_per_second) AS quota
            FROM (
                SELECT * FROM bucket_configuration
                -- Not aws:kms:dsse, for which there are no bucket keys.
                WHERE kind = 'bucket' AND encryption_algorithm = 'aws:kms' AND bucket_key = FALSE
            ) AS configuration
            LEFT JOIN kms_quotas AS own ON own.region = configuration.region
            LEFT JOIN kms_quotas AS others ON others.region = '*'
        ) AS configuration
        INNER JOIN (
            SELECT bucket, time, error_code, log_bucket, log_key, log_offset
            FROM access_logs
            WHERE time >= $since AND time < $until
                AND operation IN (
                    'REST.GET.OBJECT', 'REST.PUT.OBJECT', 'REST.POST.OBJECT', 'REST.COPY.OBJECT',
                    'REST.COPY.OBJECT_GET', 'REST.PUT.PART', 'REST.GET.PART', 'REST.COPY.PART', 'REST.COPY.PART_GET'
                )
                -- What was not found, not allowed or not modified needs no key. Some copies have no status.
                AND (http_status IS NULL OR http_status NOT BETWEEN 300 AND 499 OR error_code ILIKE '%throttl%')
        ) AS data
            ON data.bucket = configuration.name
        GROUP BY name, region, kms_key_id, audited_at, quota, time
    ) AS seconds
) AS judged
GROUP BY name, region, kms_key_id, audited_at, quota
HAVING count(*) FILTER (WHERE is_busy OR throttled > 0) > 0
ORDER BY percent_of_quota DESC, bucket
