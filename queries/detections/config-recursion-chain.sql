--! id = "config-recursion-chain"
--! kind = "detection"
--! title = "A log bucket is configured to be logged itself, into another bucket"
--! level = "low"
--! description = """
--! By the audited configuration the bucket receives access logs of others and has an access log of its own, which goes
--! to another bucket: every log object delivered to it makes one more record in a log of logs. This is no loop, the
--! chain ends; AWS advises against it. subject is the path from the first log bucket on; it ends in (not known) where
--! the logging of the last bucket could not be read, so that it might go on, even back to where it came from.
--! evidence_kind: `configured and observed` when the log bucket's own log shows deliveries to it; count is their
--! number, and first_seen and last_seen are theirs. Else `configured only`: count is 1, the times are that of the
--! audit. Chains that lead into a loop are left to config-recursion-loop."""
--! runbook = [
--!     "Ask what the log of the log bucket is for. If it is for nothing, switch it off: aws s3api put-bucket-logging --bucket BUCKET --bucket-logging-status '{}'",
--!     "If it is wanted, to see who reads the logs, let the last log expire early with a lifecycle rule; CloudTrail data events for the log bucket are the other way.",
--! ]
--! falsepositives = ["The access to the logs is meant to be audited, and the audit log ends in a bucket without logging."]
--! tags = ["recursion", "access-logging", "configuration", "audit"]
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Deliveries in the logs from this time on; the configuration is that of the last audit"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Deliveries in the logs before this time"
WITH RECURSIVE
graph AS (
    -- A bucket logs to one place, so the edges are two lists that go together.
    SELECT
        array_agg(name ORDER BY name) FILTER (WHERE logging_target_bucket IS NOT NULL) AS sources,
        array_agg(logging_target_bucket ORDER BY name) FILTER (WHERE logging_target_bucket IS NOT NULL) AS destinations,
        array_agg(name) FILTER (WHERE logging_known) AS known,
        min(audited_at) AS audited_at
    FROM bucket_configuration
    WHERE kind = 'bucket'
),
walk AS (
    SELECT
        [bucket] AS path,
        FALSE AS looped,
        bucket,
        count(*) AS source_buckets,
        first_value(audited_at) AS audited_at,
        first_value(sources) AS sources,
        first_value(destinations) AS destinations,
        first_value(known) AS known
    FROM (
        SELECT unnest(sources) AS source, unnest(destinations) AS bucket, sources, destinations, known, audited_at
        FROM graph
    ) AS edges
    WHERE array_has(sources, bucket)
    GROUP BY bucket
    -- The first of its path: something is delivered to it by a bucket that is no log bucket itself.
    HAVING count(*) FILTER (WHERE NOT array_has(destinations, source)) > 0
    UNION ALL
    SELECT
        array_append(path, destinations[CAST(array_position(sources, path[-1]) AS bigint)]),
        array_has(path, destinations[CAST(array_position(sources, path[-1]) AS bigint)]),
        bucket,
        source_buckets,
        audited_at,
        sources,
        destinations,
        known
    FROM walk
    WHERE NOT looped AND array_has(sources, path[-1])
)
SELECT
    coalesce(min(time), chains.audited_at) AS first_seen,
    coalesce(max(time), chains.audited_at) AS last_seen,
    chains.bucket,
    chains.subject,
    greatest(count(time), 1) AS count,
    evidence(log_bucket, log_key, log_offset, time) FILTER (WHERE time IS NOT NULL) AS evidence,
    CASE WHEN count(time) > 0 THEN 'configured and observed' ELSE 'configured only' END AS evidence_kind,
    chains.source_buckets,
    chains.audited_at
FROM (
    SELECT
        bucket,
        source_buckets,
        audited_at,
        concat(array_to_string(path, ' -> '), CASE WHEN array_has(known, path[-1]) THEN '' ELSE ' -> (not known)' END)
            AS subject
    FROM walk
    -- Whole paths only
    WHERE NOT looped AND NOT array_has(sources, path[-1])
) AS chains
LEFT JOIN (
    SELECT * FROM deliveries WHERE evidence_kind <> 'certain' AND time >= $since AND time < $until
) AS seen
    ON seen.destination_bucket = chains.bucket
GROUP BY chains.bucket, chains.subject, chains.source_buckets, chains.audited_at
ORDER BY first_seen, bucket
