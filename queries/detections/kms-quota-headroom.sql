--! id = "kms-quota-headroom"
--! kind = "detection"
--! title = "Object requests of a Region come near the KMS request quota"
--! level = "informational"
--! description = """
--! In its busiest second a Region had so many reads and writes of object data that, if each of them cost one call to
--! KMS, the given share of the account's quota for cryptographic requests would be used up. Quotas are in the table
--! kms_quotas: they differ by account and Region and have been raised repeatedly, so put yours into the settings
--! ([kms_quotas]).
--! This is an upper bound. Which objects use SSE-KMS is not in these logs: without a list in kms_buckets every bucket
--! counts. With bucket keys S3 makes far fewer calls to KMS. On the other side, calls of other programs to KMS are not
--! seen, and log records are delivered at best effort.
--! All buckets of the Region in this lake are added up, whatever their account (accounts says how many owners there
--! are). The Region comes from the partitioned key of the log objects, an access point ARN or the endpoint's name; a
--! bucket for which none of them says it counts under `unknown`, with the quota of `*`. The bucket of this finding is
--! therefore `*`, its subject the Region, and its count the requests of the busiest second. first_seen and last_seen
--! are the first and last second that reached the share."""
--! runbook = [
--!     "Find out what the quota really is: aws service-quotas list-service-quotas --service-code kms --region REGION, and write it into [kms_quotas] of s3trail.toml.",
--!     "Name the buckets that use SSE-KMS in kms_buckets and run this again; aws s3api get-bucket-encryption --bucket BUCKET tells for each, and whether bucket keys are on.",
--!     "Switch bucket keys on for the busiest of them, or ask for a higher quota before traffic grows.",
--!     "Run kms-throttled to see whether requests failed already.",
--! ]
--! falsepositives = [
--!     "Buckets with SSE-S3 or with bucket keys: they need hardly any calls to KMS.",
--!     "Several accounts whose logs lie in one lake: each has a quota of its own.",
--! ]
--! tags = ["encryption-at-rest", "operations"]
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Findings from this time on"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Findings before this time"
--! [params.share]
--! type = "float"
--! default = 0.5
--! help = "Share of the quota that the busiest second must reach, 0 to 1"
--! [params.kms_buckets]
--! type = "text_list"
--! default = []
--! help = "The buckets that use SSE-KMS; empty for all buckets, which is an upper bound"
WITH object_requests AS (
    SELECT time, bucket, bucket_owner, log_bucket, log_key, log_offset
    FROM access_logs
    WHERE time >= $since AND time < $until
        AND operation IN (
            'REST.GET.OBJECT', 'REST.PUT.OBJECT', 'REST.POST.OBJECT', 'REST.COPY.OBJECT', 'REST.COPY.OBJECT_GET',
            'REST.PUT.PART', 'REST.GET.PART', 'REST.COPY.PART', 'REST.COPY.PART_GET'
        )
        -- What was not found, not allowed or not modified needs no key. Some copies have no status.
        AND (http_status IS NULL OR http_status NOT BETWEEN 300 AND 499 OR error_code ILIKE '%throttl%')
        AND (cardinality($kms_buckets) = 0 OR array_has($kms_buckets, bucket))
),
-- Seconds that could reach the share of the smallest quota, all Regions together: usually none.
busy AS (
    SELECT time
    FROM object_requests
    GROUP BY time
    HAVING count(*) >= $share * (SELECT min(requests_per_second) FROM kms_quotas)
),
-- Region of each bucket: what AWS wrote into keys of log objects counts more than what callers wrote into requests.
said AS (
    SELECT
        source_bucket AS bucket,
        regexp_match(
            log_key,
            '[0-9]{12}/([a-z0-9-]+)/[^/]+/[0-9]{4}/[0-9]{2}/[0-9]{2}/[0-9]{4}(-[0-9]{2}){5}-[0-9A-Z]{16,}$'
        )[1] AS region,
        1 AS rank,
        records
    FROM log_objects
    UNION ALL
    SELECT
        bucket,
        coalesce(
            nullif(split_part(access_point_arn, ':', 4), ''),
            regexp_match(host_header, '[.-]([a-z]{2}(-[a-z]+)+-[0-9])[.](vpce[.])?amazonaws[.]com')[1]
        ),
        2,
        records
    FROM (
        SELECT bucket, access_point_arn, host_header, count(*) AS records
        FROM access_logs
        WHERE time < $until
            -- The source side of a copy has the host of the destination.
            AND operation NOT IN ('REST.COPY.OBJECT_GET', 'REST.COPY.PART_GET')
        GROUP BY bucket, access_point_arn, host_header
    ) AS addressed
),
regions AS (
    SELECT bucket, first_value(region ORDER BY rank, records DESC, region) AS region
    FROM (
        SELECT bucket, region, min(rank) AS rank, sum(records) AS records
        FROM said
        WHERE region IS NOT NULL
        GROUP BY bucket, region
    ) AS votes
    GROUP BY bucket
),
seconds AS (
    SELECT
        coalesce(regions.region, 'unknown') AS region,
        requests.time,
        count(*) AS requests,
        count(DISTINCT requests.bucket) AS buckets,
        count(DISTINCT requests.bucket_owner) AS accounts,
        min(requests.bucket) AS example_bucket,
        evidence(requests.log_bucket, requests.log_key, requests.log_offset, requests.time) AS places
    FROM busy
    INNER JOIN object_requests AS requests ON requests.time = busy.time
    LEFT JOIN regions ON regions.bucket = requests.bucket
    GROUP BY coalesce(regions.region, 'unknown'), requests.time
)
SELECT
    min(time) AS first_seen,
    max(time) AS last_seen,
    '*' AS bucket,
    region AS subject,
    max(requests) AS count,
    first_value(places ORDER BY requests DESC, time) AS evidence,
    first_value(time ORDER BY requests DESC, time) AS peak_time,
    quota,
    round(100.0 * max(requests) / quota, 1) AS percent_of_quota,
    count(*) AS seconds_at_share,
    first_value(buckets ORDER BY requests DESC, time) AS buckets,
    first_value(accounts ORDER BY requests DESC, time) AS accounts,
    first_value(example_bucket ORDER BY requests DESC, time) AS example_bucket,
    cardinality($kms_buckets) = 0 AS is_upper_bound_over_all_buckets
FROM (
    SELECT seconds.*, coalesce(own.requests_per_second, others.requests_per_second) AS quota
    FROM seconds
    LEFT JOIN kms_quotas AS own ON own.region = seconds.region
    LEFT JOIN kms_quotas AS others ON others.region = '*'
) AS against_quota
WHERE requests >= $share * quota
GROUP BY region, quota
ORDER BY percent_of_quota DESC, subject
