--! id = "config-delivery-unrestricted"
--! kind = "detection"
--! title = "A log bucket lets log delivery write for any source bucket"
--! level = "low"
--! description = """
--! By the audited bucket policy the log delivery service may write into the bucket, and a statement that says so names
--! neither the account nor the buckets it may act for (aws:SourceAccount, aws:SourceArn, aws:SourceOrgID). The service
--! is then a confused deputy: what keeps others from having the logs of their buckets delivered there, at your cost and
--! among your records, is only that S3 refuses a target in another account. AWS recommends both conditions.
--! source_buckets is the number of audited buckets that log there. not_configured is the number of source buckets of
--! which log objects were taken in from there (in the time asked for) although no audit says that they log there:
--! an old configuration, a bucket that was not audited, or somebody else's. count is 1; the times are that of the
--! audit."""
--! runbook = [
--!     "Add the conditions to the statement for logging.s3.amazonaws.com: ArnLike aws:SourceArn arn:aws:s3:::SOURCE and StringEquals aws:SourceAccount ACCOUNT; aws s3api put-bucket-policy --bucket BUCKET --policy file://policy.json",
--!     "With not_configured above 0: see whose bucket example_source is, aws s3api head-bucket --bucket SOURCE --expected-bucket-owner ACCOUNT (403: not yours).",
--! ]
--! falsepositives = ["An old log bucket of one account, where the grant of the console was never narrowed."]
--! tags = ["access-logging", "configuration", "audit"]
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Log objects with records from this time on are looked at"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Log objects with records before this time are looked at"
SELECT
    target.audited_at AS first_seen,
    target.audited_at AS last_seen,
    target.name AS bucket,
    'any source bucket' AS subject,
    1 AS count,
    evidence(CAST(NULL AS text), CAST(NULL AS text), CAST(NULL AS bigint), target.audited_at) FILTER (WHERE FALSE)
        AS evidence,
    target.source_buckets,
    count(DISTINCT seen.source_bucket) AS not_configured,
    min(seen.source_bucket) AS example_source,
    target.audited_at
-- The small side comes first: when it is empty the other is not read.
FROM (
    SELECT open.name, open.audited_at, count(source.name) AS source_buckets
    FROM (
        SELECT name, audited_at
        FROM bucket_configuration
        WHERE kind = 'bucket' AND policy_allows_log_delivery AND policy_restricts_log_delivery = FALSE
    ) AS open
    LEFT JOIN (SELECT name, logging_target_bucket FROM bucket_configuration WHERE kind = 'bucket') AS source
        ON source.logging_target_bucket = open.name
    GROUP BY open.name, open.audited_at
) AS target
LEFT JOIN (
    SELECT objects.log_bucket, objects.source_bucket
    FROM (
        SELECT DISTINCT log_bucket, source_bucket
        FROM log_objects
        WHERE last_time >= $since AND last_time < $until AND log_bucket IS NOT NULL AND source_bucket IS NOT NULL
    ) AS objects
    LEFT JOIN (
        SELECT DISTINCT name, logging_target_bucket FROM bucket_config WHERE kind = 'bucket'
    ) AS configured
        ON configured.name = objects.source_bucket AND configured.logging_target_bucket = objects.log_bucket
    WHERE configured.name IS NULL
) AS seen
    ON seen.log_bucket = target.name
GROUP BY target.name, target.audited_at, target.source_buckets
ORDER BY bucket
