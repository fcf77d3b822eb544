--! id = "config-delivery-broken"
--! kind = "detection"
--! title = "Access logs are configured to go where S3 does not deliver them"
--! level = "medium"
--! description = """
--! The bucket is logged, and its target, as last audited, cannot take the log by what AWS documents: the target is
--! missing, in another Region or account, has a default retention, lets requesters pay, encrypts by default with
--! SSE-KMS, or neither its policy nor its ACL, as read together with the bucket, lets log delivery write under the
--! prefix. reasons says which.
--! Delivery fails in silence: records are lost, not delayed. Each reason is given only where it was read; a policy
--! whose text leaves it open is no reason.
--! AWS documents SSE-KMS as not supported; with a customer managed key whose policy lets log delivery use it,
--! deliveries have been reported. So a bucket of which log objects were taken in that were delivered settle or more
--! after the audit is left out: it works, or was mended. last_delivery is the last log object of the bucket in this
--! lake, from before; deliveries is the number of those in the time asked for. subject names the target. count is the
--! number of reasons; the times are that of the audit."""
--! runbook = [
--!     "Missing, other Region, other account: choose a target that is in the Region and account of the bucket: aws s3api put-bucket-logging --bucket BUCKET --bucket-logging-status file://logging.json",
--!     "No permission: let the service principal logging.s3.amazonaws.com do s3:PutObject on arn:aws:s3:::TARGET/PREFIX*, with the conditions aws:SourceAccount and aws:SourceArn.",
--!     "SSE-KMS: aws s3api put-bucket-encryption --bucket TARGET --server-side-encryption-configuration '{\"Rules\": [{\"ApplyServerSideEncryptionByDefault\": {\"SSEAlgorithm\": \"AES256\"}}]}'",
--!     "Default retention or requester pays: use a target without them; a retention protects logs less than an account of their own does.",
--!     "Audit again: s3trail audit; new log objects should come within some hours.",
--! ]
--! falsepositives = [
--!     "An SSE-KMS target with a key policy for log delivery, whose log objects are not taken into this lake.",
--!     "The target was changed since the audit: audited_at says when that was.",
--! ]
--! tags = ["access-logging", "configuration", "audit", "attack.t1562.008"]
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Log objects delivered from this time on are counted"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Log objects delivered before this time are looked at"
--! [params.settle]
--! type = "duration"
--! default = "12h"
--! help = "Deliveries so long after the audit show that it works"
SELECT
    broken.audited_at AS first_seen,
    broken.audited_at AS last_seen,
    broken.bucket,
    concat('delivery to ', broken.target) AS subject,
    broken.reason_count AS count,
    evidence(CAST(NULL AS text), CAST(NULL AS text), CAST(NULL AS bigint), broken.audited_at) FILTER (WHERE FALSE)
        AS evidence,
    broken.reasons,
    broken.prefix,
    broken.target_region,
    broken.region,
    max(objects.delivered_at) AS last_delivery,
    count(*) FILTER (WHERE objects.delivered_at >= $since) AS deliveries,
    broken.audited_at
FROM (
    SELECT
        *,
        concat_ws(
            '; ', missing, other_account, other_region, retention, requester_pays, kms, not_permitted
        ) AS reasons,
        CAST(
            (missing IS NOT NULL)::int + (other_account IS NOT NULL)::int + (other_region IS NOT NULL)::int
            + (retention IS NOT NULL)::int + (requester_pays IS NOT NULL)::int + (kms IS NOT NULL)::int
            + (not_permitted IS NOT NULL)::int AS bigint
        ) AS reason_count
    FROM (
        SELECT
            source.name AS bucket,
            source.region,
            source.audited_at,
            source.logging_target_bucket AS target,
            source.logging_target_prefix AS prefix,
            target.region AS target_region,
            CASE WHEN target.bucket_exists = FALSE THEN 'the target does not exist' END AS missing,
            CASE
                WHEN target.bucket_exists = FALSE THEN NULL
                -- Either account can have audited its own; whether one is not the account's own is for one audit to tell.
                WHEN source.owner_id <> target.owner_id
                    OR source.account_id <> target.account_id
                    OR source.source = target.source AND source.is_own AND NOT target.is_own
                    THEN 'the target belongs to another account'
            END AS other_account,
            CASE WHEN source.region <> target.region THEN concat('the target is in ', target.region) END AS other_region,
            CASE
                WHEN target.default_retention_mode IS NOT NULL
                    THEN concat('the target has a default retention (', target.default_retention_mode, ')')
            END AS retention,
            CASE WHEN target.request_payment = 'Requester' THEN 'the target lets requesters pay' END AS requester_pays,
            CASE
                WHEN target.encryption_algorithm LIKE 'aws:kms%'
                    THEN 'the target encrypts by default with SSE-KMS, which AWS documents as not supported'
            END AS kms,
            CASE
                WHEN source.logging_permitted = FALSE AND target.bucket_exists
                    THEN 'neither policy nor ACL of the target lets log delivery write there'
            END AS not_permitted
        FROM bucket_configuration AS source
        INNER JOIN bucket_configuration AS target
            ON target.name = source.logging_target_bucket AND target.kind = 'bucket'
        WHERE source.kind = 'bucket'
    ) AS judged
) AS broken
LEFT JOIN (
    SELECT source_bucket, log_bucket, coalesce(delivered_at, last_time) AS delivered_at
    FROM log_objects
    -- Older ones show as well that it works.
    WHERE coalesce(delivered_at, last_time) < $until
) AS objects
    ON objects.source_bucket = broken.bucket
    AND (objects.log_bucket IS NULL OR objects.log_bucket = broken.target)
WHERE broken.reason_count > 0
GROUP BY
    broken.bucket, broken.target, broken.prefix, broken.region, broken.target_region, broken.reasons,
    broken.reason_count, broken.audited_at
HAVING max(objects.delivered_at) IS NULL OR max(objects.delivered_at) < broken.audited_at + $settle
ORDER BY bucket, subject
