--! id = "recursion-chain"
--! kind = "detection"
--! title = "A log bucket is logged itself, into another bucket"
--! level = "low"
--! description = """
--! The bucket receives access logs of others and has an access log of its own, so every log object delivered to it makes
--! one more record in a log of logs. This is no loop: the chain ends. It is legitimate where somebody watches who reads
--! the logs; AWS advises against it, for it costs log objects that say mostly that log objects were delivered.
--! subject is the path from the first log bucket to the last bucket known to receive a log; (not known) stands for a
--! destination that the data do not show, which happens when log objects are taken in without --log-bucket. With such a
--! path it cannot be ruled out that the log goes back to where it came from.
--! count is the number of deliveries to the first log bucket: those in its own log (observed), or, where it shows none,
--! the log objects read from it (certain). evidence_kind is that of the weakest edge of the path. Buckets that are part
--! of a loop, or whose log leads into one, are left to recursion-self and recursion-cycle."""
--! runbook = [
--!     "Ask what the log of the log bucket is for. If it is for nothing, switch it off: aws s3api put-bucket-logging --bucket BUCKET --bucket-logging-status '{}'",
--!     "Where the path ends in (not known), see where it goes: aws s3api get-bucket-logging --bucket BUCKET, and take the log objects in again with --log-bucket",
--!     "If it is wanted, to see who reads the logs, let the last log expire early with a lifecycle rule; CloudTrail data events for the log bucket are the other way.",
--! ]
--! falsepositives = ["The access to the logs is meant to be audited, and the audit log ends in a bucket without logging."]
--! tags = ["recursion", "access-logging"]
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Findings from this time on"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Findings before this time"
--! [params.min_deliveries]
--! type = "int"
--! default = 2
--! help = "Report a log bucket from this many deliveries on"
WITH RECURSIVE
graph AS (
    -- All edges in one value: the graph is small, and what leads to it is read once and not at every step.
    SELECT
        array_agg(source_bucket) FILTER (WHERE source_bucket IS NOT NULL) AS sources,
        array_agg(destination_bucket) AS destinations,
        array_agg(destination_bucket) FILTER (WHERE observed > 0) AS logged,
        array_agg(named_struct('a', source_bucket, 'b', destination_bucket, 'evidence_kind', evidence_kind)) AS edges,
        array_agg(named_struct(
            'source', source_bucket, 'bucket', destination_bucket, 'observed', observed, 'certain', certain,
            'first_seen', first_seen, 'last_seen', last_seen, 'evidence', evidence
        )) AS incoming
    FROM (
        SELECT
            source_bucket,
            destination_bucket,
            -- certain sorts before observed; inferred ones are of a bucket to itself.
            min(evidence_kind) AS evidence_kind,
            count(*) FILTER (WHERE evidence_kind = 'observed') AS observed,
            count(*) FILTER (WHERE evidence_kind = 'certain') AS certain,
            min(time) AS first_seen,
            max(time) AS last_seen,
            evidence(log_bucket, log_key, log_offset, time) AS evidence
        FROM deliveries
        WHERE time >= $since AND time < $until
        GROUP BY source_bucket, destination_bucket
    ) AS edges
),
-- Log buckets that are logged: their own log shows deliveries, or somebody receives it.
first_buckets AS (
    SELECT
        log_edge['bucket'] AS bucket,
        min(log_edge['first_seen']) AS first_seen,
        max(log_edge['last_seen']) AS last_seen,
        sum(log_edge['observed']) AS observed,
        sum(log_edge['certain']) AS certain,
        flatten(array_agg(array_slice(log_edge['evidence'], 1, 5) ORDER BY log_edge['first_seen'])) AS evidence,
        array_agg(DISTINCT log_edge['source']) FILTER (WHERE log_edge['source'] IS NOT NULL) AS from_buckets,
        first_value(edges) AS edges,
        first_value(sources) AS sources,
        first_value(logged) AS logged
    FROM (SELECT sources, destinations, logged, edges, unnest(incoming) AS log_edge FROM graph) AS edges
    GROUP BY log_edge['bucket']
    HAVING (sum(log_edge['observed']) > 0 OR array_has(first_value(sources), log_edge['bucket']))
        -- The first of its path: something is delivered to it by a bucket that is no log bucket itself.
        AND count(*) FILTER (WHERE log_edge['source'] IS NULL OR NOT array_has(destinations, log_edge['source'])) > 0
),
walk AS (
    SELECT
        [bucket] AS path, FALSE AS looped, 'certain' AS evidence_kind, first_buckets.*
    FROM first_buckets
    WHERE greatest(observed, certain) >= $min_deliveries
    UNION ALL
    SELECT
        array_append(path, edge['b']),
        array_has(path, edge['b']),
        greatest(evidence_kind, edge['evidence_kind']),
        bucket,
        first_seen,
        last_seen,
        observed,
        certain,
        evidence,
        from_buckets,
        edges,
        sources,
        logged
    FROM (SELECT *, unnest(edges) AS edge FROM walk WHERE NOT looped AND cardinality(path) <= 20) AS steps
    WHERE edge['a'] = path[-1]
)
SELECT
    first_seen,
    last_seen,
    bucket,
    -- Its own log shows deliveries, and where that goes is not in the data.
    concat(
        array_to_string(path, ' -> '), CASE WHEN array_has(logged, path[-1]) THEN ' -> (not known)' ELSE '' END
    ) AS subject,
    CASE WHEN observed > 0 THEN observed ELSE certain END AS count,
    array_slice(evidence, 1, 10) AS evidence,
    CASE WHEN observed > 0 AND certain = 0 THEN 'observed' ELSE evidence_kind END AS evidence_kind,
    cardinality(from_buckets) AS source_buckets,
    array_to_string(array_slice(array_sort(from_buckets), 1, 5), ', ') AS example_sources
FROM (
    SELECT *, max(CASE WHEN looped THEN 1 ELSE 0 END) OVER (PARTITION BY bucket) AS leads_to_loop
    FROM walk
) AS paths
WHERE leads_to_loop = 0
    -- Whole paths only
    AND NOT array_has(coalesce(sources, []), path[-1])
ORDER BY first_seen, bucket, subject
