--! id = "config-recursion-changed"
--! kind = "detection"
--! title = "A logging loop that the logs show is not in the configuration any more"
--! level = "informational"
--! description = """
--! The logs show deliveries in a circle, or of a bucket into itself, and by the audited configuration at least one edge
--! of it is gone (observed only): changed_edges names each with where that log goes now. Either the loop was broken,
--! and what is left is what has piled up; or, when verdict says so, deliveries went on after the audit, and the
--! configuration was changed back or what is known of it is too old. subject is the path as in recursion-self and
--! recursion-cycle. count is the number of deliveries along it, per edge by its best evidence. A loop with a bucket
--! whose logging could not be read is not judged."""
--! runbook = [
--!     "With deliveries after the audit: audit again, s3trail audit, and look at config-recursion-loop.",
--!     "Expire what has piled up under the log prefix with a lifecycle rule; do not delete the objects one by one.",
--!     "See who changed the logging: s3trail detect --only logging-changed.",
--! ]
--! falsepositives = ["Logs that were on their way when the logging was changed are delivered for some hours more: see settle."]
--! tags = ["recursion", "access-logging", "configuration", "audit"]
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Deliveries from this time on"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Deliveries before this time"
--! [params.settle]
--! type = "duration"
--! default = "6h"
--! help = "How long deliveries to the old destination may go on after the audit"
SELECT
    min(first_delivery) AS first_seen,
    max(last_delivery) AS last_seen,
    min(source_bucket) AS bucket,
    loop AS subject,
    sum(deliveries) AS count,
    -- Some records of each edge
    flatten(array_agg(array_slice(places, 1, greatest(1, 10 / hops)) ORDER BY position)) AS evidence,
    'observed only' AS evidence_kind,
    CASE
        WHEN max(last_delivery) > max(audited_at) + $settle THEN 'deliveries went on after the audit: audit again'
        ELSE 'broken'
    END AS verdict,
    array_to_string(array_agg(changed ORDER BY position) FILTER (WHERE changed IS NOT NULL), '; ') AS changed_edges,
    hops,
    min(audited_at) AS audited_at
FROM (
    SELECT
        edges.loop,
        edges.hops,
        edges.position,
        edges.source_bucket,
        configured.audited_at,
        CASE
            WHEN configured.logging_target_bucket IS NULL
                THEN concat(edges.source_bucket, ' -> ', edges.destination_bucket, ' (now not logged)')
            WHEN configured.logging_target_bucket <> edges.destination_bucket
                THEN concat(
                    edges.source_bucket, ' -> ', edges.destination_bucket, ' (now -> ',
                    configured.logging_target_bucket, ')'
                )
        END AS changed,
        min(seen.time) AS first_delivery,
        max(seen.time) AS last_delivery,
        greatest(
            count(*) FILTER (WHERE seen.evidence_kind = 'certain'),
            count(*) FILTER (WHERE seen.evidence_kind <> 'certain')
        ) AS deliveries,
        evidence(seen.log_bucket, seen.log_key, seen.log_offset, seen.time) AS places
    -- The small side comes first: when it is empty the others are not read.
    FROM (SELECT * FROM bucket_configuration WHERE kind = 'bucket' AND logging_known) AS configured
    INNER JOIN (
        SELECT
            loop, hops, position, buckets[position] AS source_bucket, buckets[position + 1] AS destination_bucket
        FROM (SELECT *, unnest(range(1, hops + 1)) AS position FROM log_loops) AS positions
    ) AS edges ON edges.source_bucket = configured.name
    INNER JOIN (SELECT * FROM deliveries WHERE time >= $since AND time < $until) AS seen
        ON seen.source_bucket = edges.source_bucket AND seen.destination_bucket = edges.destination_bucket
    GROUP BY
        edges.loop, edges.hops, edges.position, edges.source_bucket, edges.destination_bucket,
        configured.audited_at, configured.logging_target_bucket
) AS by_edge
GROUP BY loop, hops
-- Every edge can be judged, and one at least is gone.
HAVING count(*) = hops AND count(changed) > 0
ORDER BY first_seen, subject
