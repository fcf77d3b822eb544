--! id = "config-no-expiry"
--! kind = "detection"
--! title = "Access logs pile up: no lifecycle rule of the log bucket expires them"
--! level = "low"
--! description = """
--! Access logs are delivered to the bucket under a prefix, and no enabled lifecycle rule of it expires all objects
--! there. Millions of small objects gather, for ever, and whoever may read the bucket can read who did what years ago.
--! Several rules that only together might cover the prefix are not judged. subject is the prefix.
--! count is the number of buckets that log there. objects, bytes and oldest tell what of it was taken into this lake
--! (in the time asked for): at least so much lies there, where nobody deletes it in another way. The times are that of
--! the audit."""
--! runbook = [
--!     "Decide how long access logs are needed, and add a rule for the prefix: aws s3api put-bucket-lifecycle-configuration --bucket BUCKET --lifecycle-configuration file://lifecycle.json (it replaces all rules: read them first with get-bucket-lifecycle-configuration)",
--!     "Take them into a lake first, if they are to be kept: s3trail ingest.",
--!     "With versioning on, expire noncurrent versions too, and expired delete markers.",
--! ]
--! falsepositives = ["Logs are deleted or moved by another job, or must be kept."]
--! tags = ["access-logging", "cost", "configuration", "audit"]
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Log objects delivered from this time on are counted"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Log objects delivered before this time are counted"
SELECT
    kept.audited_at AS first_seen,
    kept.audited_at AS last_seen,
    kept.target AS bucket,
    concat('prefix ', CASE WHEN kept.prefix = '' THEN '(none)' ELSE kept.prefix END) AS subject,
    kept.source_buckets AS count,
    evidence(CAST(NULL AS text), CAST(NULL AS text), CAST(NULL AS bigint), kept.audited_at) FILTER (WHERE FALSE)
        AS evidence,
    kept.example_source,
    kept.lifecycle_rules,
    count(objects.log_key) AS objects,
    coalesce(sum(objects.size_bytes), 0) AS bytes,
    min(objects.delivered_at) AS oldest,
    kept.audited_at
-- The small side comes first: when it is empty the other is not read.
FROM (
    SELECT
        source.logging_target_bucket AS target,
        coalesce(source.logging_target_prefix, '') AS prefix,
        count(*) AS source_buckets,
        min(source.name) AS example_source,
        max(target.lifecycle_rules) AS lifecycle_rules,
        max(source.audited_at) AS audited_at
    FROM bucket_configuration AS source
    INNER JOIN bucket_configuration AS target
        ON target.name = source.logging_target_bucket AND target.kind = 'bucket'
    WHERE source.kind = 'bucket' AND source.logging_expires = FALSE
    GROUP BY 1, 2
) AS kept
LEFT JOIN (
    SELECT log_bucket, log_key, size_bytes, coalesce(delivered_at, last_time) AS delivered_at
    FROM log_objects
    WHERE coalesce(delivered_at, last_time) >= $since AND coalesce(delivered_at, last_time) < $until
) AS objects
    ON objects.log_bucket = kept.target AND starts_with(objects.log_key, kept.prefix)
GROUP BY
    kept.target, kept.prefix, kept.source_buckets, kept.example_source, kept.lifecycle_rules, kept.audited_at
ORDER BY bucket, subject
