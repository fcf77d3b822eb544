--! id = "recursion-cycle"
--! kind = "detection"
--! title = "Buckets deliver their access logs to each other in a circle"
--! level = "high"
--! description = """
--! The log of each bucket goes to the next one, and the last one's to the first. Every delivery is a write that the next
--! bucket logs and delivers on, so log objects go round without end, with more writers than in a bucket that logs into
--! itself. subject spells the path, beginning with the least of its buckets; each cycle is reported once, whatever its
--! length up to 20 buckets. Other cycles through the same buckets are reported of their own.
--! count is the number of deliveries along the path, per edge by its best evidence: certain (log objects read from the
--! destination hold records of the source) or observed (log delivery writes keys into the destination that name the
--! source, or log objects that were taken in with the records of the source). evidence_kind is that of the weakest edge.
--! An edge is visible only where the destination is logged with partitioned keys, or where its log objects were taken
--! in. Edges that were never seen within a day of each other are not taken together. The logging configuration itself
--! is not logged."""
--! runbook = [
--!     "Break one edge; the fix_command of the finding switches off the access log of the last bucket of the path: aws s3api put-bucket-logging --bucket BUCKET --bucket-logging-status '{}'",
--!     "Confirm the circle first, if you like, with aws s3api get-bucket-logging --bucket BUCKET for every bucket of the path.",
--!     "Let all log buckets deliver to one bucket that is not logged itself.",
--!     "Expire what has piled up with lifecycle rules on the log prefixes.",
--! ]
--! falsepositives = [
--!     "The destinations of two buckets were swapped within a day, so that both edges existed, but one after the other.",
--!     "Log objects were copied by hand into a logged bucket and read from there.",
--! ]
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
--! default = 1
--! help = "Every edge of the circle must have this many deliveries"
SELECT
    min(first_seen) AS first_seen,
    max(last_seen) AS last_seen,
    min(source_bucket) AS bucket,
    loop AS subject,
    sum(deliveries) AS count,
    -- Some records of each edge
    flatten(array_agg(array_slice(places, 1, greatest(1, 10 / hops)) ORDER BY position)) AS evidence,
    max(evidence_kind) AS evidence_kind,
    hops,
    array_agg(deliveries ORDER BY position) AS deliveries_by_edge,
    concat(
        'Switch off the access log of one bucket of the circle, say ', closing,
        ', or deliver it to a bucket that is not logged.'
    ) AS fix,
    CASE
        WHEN regexp_like(closing, '^[a-z0-9][a-z0-9.-]*$')
            THEN concat('aws s3api put-bucket-logging --bucket ', closing, ' --bucket-logging-status ''{}''')
        ELSE 'unsafe name'
    END AS fix_command
FROM (
    SELECT
        loop,
        hops,
        closing,
        position,
        source_bucket,
        min(time) AS first_seen,
        max(time) AS last_seen,
        greatest(
            count(*) FILTER (WHERE evidence_kind = 'certain'), count(*) FILTER (WHERE evidence_kind = 'observed')
        ) AS deliveries,
        -- certain sorts before observed: the best of an edge is the least, the weakest edge of a loop the greatest.
        min(evidence_kind) AS evidence_kind,
        evidence(log_bucket, log_key, log_offset, time) AS places
    FROM (
        SELECT edges.*, deliveries.evidence_kind, time, log_bucket, log_key, log_offset
        FROM (
            SELECT
                loop,
                hops,
                buckets[hops] AS closing,
                position,
                buckets[position] AS source_bucket,
                buckets[position + 1] AS destination_bucket
            FROM (
                SELECT loop, hops, buckets, unnest(range(1, hops + 1)) AS position
                FROM log_loops
                WHERE hops > 1
            ) AS positions
        ) AS edges
        JOIN deliveries
            ON deliveries.source_bucket = edges.source_bucket
            AND deliveries.destination_bucket = edges.destination_bucket
        WHERE time >= $since AND time < $until
    ) AS along
    GROUP BY loop, hops, closing, position, source_bucket
    HAVING count(*) >= $min_deliveries
) AS edges
GROUP BY loop, hops, closing
-- A circle is one only while all of it delivers.
HAVING count(*) = hops
ORDER BY first_seen, subject
