--! id = "enumeration"
--! kind = "detection"
--! title = "One caller searched for keys or buckets"
--! level = "medium"
--! description = """
--! One principal, or one address without credentials, met refusals (403) or nothing (404) for many different keys of a
--! bucket, or refusals in many buckets, or listed a bucket very often. That is how names are guessed and how contents are
--! mapped before they are taken. Spans are those of the clock (window), so a search is counted in each hour by itself.
--! A search through many buckets is one finding with the bucket "*", and buckets says how many; a bucket whose keys were
--! searched or which was listed so often is a finding of its own, also beside such a one. A bucket in which keys were
--! merely not there does not count among the many: every program asks for an object too early now and then.
--! Answers that only say that some configuration is not set are left out, as are reads of archived objects, CORS
--! preflights, and callers that are AWS itself or CloudFront. Only buckets that are logged are seen, and names of buckets
--! that do not exist never are. What the caller found is not in this finding: only that it searched."""
--! runbook = [
--!     "See what the caller got: s3trail query principal-activity -p principal=SUBJECT (for an address: s3trail query anonymous-requests -p successful=true -p bucket=BUCKET)",
--!     "If a principal of yours did it and its owner does not know of it, switch its credentials off: aws iam update-access-key --user-name USER --access-key-id KEY --status Inactive",
--!     "If anybody can list or read the bucket and should not: aws s3api get-bucket-policy-status --bucket BUCKET; aws s3api get-public-access-block --bucket BUCKET",
--! ]
--! falsepositives = [
--!     "Crawlers, scanners and dead links on a public website",
--!     "A program that tests for keys before it writes them, such as a cache or a sync",
--!     "Backup, inventory and data-lake software that lists all the time; raise min_listings",
--!     "A CDN that asks for its visitors, when it does so without credentials",
--! ]
--! tags = ["reconnaissance", "attack.t1619", "attack.t1580"]
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Findings from this time on"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Findings before this time"
--! [params.window]
--! type = "duration"
--! default = "1h"
--! help = "Length of the spans in which requests are counted"
--! [params.min_keys]
--! type = "int"
--! default = 100
--! help = "Different keys of a bucket that were refused or not there"
--! [params.min_buckets]
--! type = "int"
--! default = 5
--! help = "Different buckets with a refusal (403)"
--! [params.min_listings]
--! type = "int"
--! default = 5000
--! help = "Listings of a bucket"
WITH probes AS (
    SELECT
        time,
        date_bin($window, time) AS span,
        bucket,
        CASE WHEN is_anonymous THEN remote_ip ELSE principal END AS subject,
        key,
        operation IN ('REST.GET.BUCKET', 'REST.GET.BUCKETVERSIONS') AS is_listing,
        http_status IN (403, 404) AS is_miss,
        http_status = 403 AS is_refused,
        remote_ip,
        user_agent,
        log_bucket,
        log_key,
        log_offset
    FROM requests
    WHERE time >= $since AND time < $until
        AND (http_status IN (403, 404) OR operation IN ('REST.GET.BUCKET', 'REST.GET.BUCKETVERSIONS'))
        AND operation_class <> 'preflight'
        -- configuration that is not there, which every inventory meets, and objects in the archive
        AND (
            error_code IS NULL
            OR error_code NOT IN (
                'NoSuchTagSet',
                'NoSuchConfiguration',
                'NoSuchCORSConfiguration',
                'NoSuchLifecycleConfiguration',
                'NoSuchBucketPolicy',
                'NoSuchWebsiteConfiguration',
                'ReplicationConfigurationNotFoundError',
                'NoSuchPublicAccessBlockConfiguration',
                'ServerSideEncryptionConfigurationNotFoundError',
                'ObjectLockConfigurationNotFoundError',
                'NoSuchObjectLockConfiguration',
                'OwnershipControlsNotFoundError',
                'InvalidObjectState'
            )
        )
        AND NOT is_aws_internal
        AND principal_type <> 'cloudfront_oai'
),
-- one row for each key, so that keys are counted exactly and cheaply; a listing has none
by_key AS (
    SELECT
        span,
        bucket,
        subject,
        key,
        count(*) FILTER (WHERE is_listing) AS listings,
        count(*) FILTER (WHERE is_refused) AS refusals
    FROM probes
    GROUP BY span, bucket, subject, key
),
by_bucket AS (
    SELECT
        span,
        bucket,
        subject,
        count(key) AS keys,
        sum(listings) AS listings,
        sum(refusals) AS refusals
    FROM by_key
    GROUP BY span, bucket, subject
),
by_subject AS (
    SELECT
        *,
        count(*) FILTER (WHERE refusals > 0) OVER (PARTITION BY span, subject) AS buckets
    FROM by_bucket
),
searches AS (
    SELECT span, bucket, subject, '*' AS searched
    FROM by_subject
    WHERE buckets >= $min_buckets AND refusals > 0
    UNION ALL
    SELECT span, bucket, subject, bucket AS searched
    FROM by_subject
    WHERE keys >= $min_keys OR listings >= $min_listings
)
SELECT
    min(time) AS first_seen,
    max(time) AS last_seen,
    searched AS bucket,
    probes.subject,
    count(*) AS count,
    evidence(log_bucket, log_key, log_offset, time) AS evidence,
    count(DISTINCT probes.bucket) AS buckets,
    count(DISTINCT key) AS keys,
    count(*) FILTER (WHERE is_listing) AS listings,
    min(key) AS example_key,
    approx_distinct(remote_ip) AS addresses_approx,
    min(user_agent_family(user_agent)) AS example_agent
FROM searches
INNER JOIN probes
    ON probes.span = searches.span
    AND probes.bucket = searches.bucket
    AND probes.subject = searches.subject
GROUP BY searched, probes.subject
ORDER BY first_seen, bucket, subject
