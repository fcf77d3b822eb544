--! id = "logging-configuration"
--! kind = "report"
--! title = "Where access logs are configured to go, and what of them is in the lake"
--! description = """
--! One row per bucket of the last audit, beside what the logs show. configured_target and prefix are where its log goes
--! by the audit; observed_targets are the buckets that its log objects were taken in from, or seen to be delivered to.
--! agreement: `as configured`, `elsewhere` (deliveries to another bucket too: the logging was changed, or objects were
--! copied), `nothing seen`, `not logged`, `seen though not logged` (switched off, or switched on since the audit),
--! `not known`. permitted and expires are as in bucket-posture. loop is the configured loop that the bucket is on.
--! Empty without an audit."""
--! tags = ["audit", "access-logging", "recursion"]
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Deliveries from this time on"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Deliveries before this time"
--! [params.bucket]
--! type = "text"
--! default = ""
--! help = "Only this bucket; empty for all"
--! [params.limit]
--! type = "int"
--! default = 1000
--! help = "At most this many rows"
SELECT
    configuration.name AS bucket,
    configuration.region,
    configuration.logging_target_bucket AS configured_target,
    configuration.logging_target_prefix AS prefix,
    configuration.logging_key_format AS key_format,
    configuration.logging_permitted AS permitted,
    configuration.logging_expires AS expires,
    seen.targets AS observed_targets,
    CASE
        WHEN NOT configuration.logging_known THEN 'not known'
        WHEN configuration.logging_target_bucket IS NULL AND seen.objects IS NULL THEN 'not logged'
        WHEN configuration.logging_target_bucket IS NULL THEN 'seen though not logged'
        WHEN seen.objects IS NULL THEN 'nothing seen'
        WHEN seen.targets = configuration.logging_target_bucket THEN 'as configured'
        ELSE 'elsewhere'
    END AS agreement,
    seen.objects,
    seen.last_delivery,
    first_value(loops.loop ORDER BY loops.hops, loops.loop) AS loop,
    configuration.audited_at
FROM (
    SELECT * FROM bucket_configuration WHERE kind = 'bucket' AND ($bucket = '' OR name = $bucket)
) AS configuration
LEFT JOIN (
    SELECT
        source_bucket,
        array_to_string(array_sort(array_agg(DISTINCT destination_bucket)), ', ') AS targets,
        greatest(
            count(*) FILTER (WHERE evidence_kind = 'certain'), count(*) FILTER (WHERE evidence_kind <> 'certain')
        ) AS objects,
        max(time) AS last_delivery
    FROM deliveries
    WHERE time >= $since AND time < $until AND source_bucket IS NOT NULL
    GROUP BY source_bucket
) AS seen
    ON seen.source_bucket = configuration.name
LEFT JOIN (SELECT loop, hops, unnest(buckets) AS bucket FROM configured_loops) AS loops
    ON loops.bucket = configuration.name
GROUP BY
    configuration.name, configuration.region, configuration.logging_known, configuration.logging_target_bucket,
    configuration.logging_target_prefix, configuration.logging_key_format, configuration.logging_permitted,
    configuration.logging_expires, configuration.audited_at, seen.targets, seen.objects, seen.last_delivery
ORDER BY bucket
LIMIT $limit
