--! id = "delivery-graph"
--! kind = "report"
--! title = "Which bucket's log is delivered where, and the loops in it"
--! description = """
--! One row per edge of the delivery graph and kind of evidence: log objects of source_bucket delivered to
--! destination_bucket. The kinds can describe the same deliveries, so do not add them.
--! certain: log objects were read from the destination; or the write of one stands in the log of the bucket, and its
--! key, or the log object itself, names this very bucket as its source.
--! observed: S3's log delivery wrote log objects into the destination, as the destination's own log says; source_bucket
--! is null where neither a partitioned key nor a log object that was taken in names it.
--! inferred: shape and sizes only, by a writer that is not known as log delivery.
--! ended_at is when the logging of source_bucket was changed, where no delivery of that edge was seen afterwards
--! (but for two hours, the time such a change takes) and the log goes on for another hour at least; null otherwise.
--! loop is the path of the shortest loop that the edge is on, such as a -> b -> a; null for none. records is null where
--! the log objects themselves were not taken in. The command s3trail recursion draws this report."""
--! tags = ["recursion", "access-logging"]
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
--! help = "Only edges from or to this bucket; empty for all"
--! [params.limit]
--! type = "int"
--! default = 1000
--! help = "At most this many rows"
SELECT
    edges.source_bucket,
    edges.destination_bucket,
    edges.evidence_kind,
    edges.objects,
    edges.bytes,
    edges.records,
    edges.first_seen,
    edges.last_seen,
    first_value(endings.ended_at) AS ended_at,
    first_value(loops.loop ORDER BY loops.hops, loops.loop) AS loop
FROM (
    SELECT
        source_bucket,
        destination_bucket,
        kind AS evidence_kind,
        -- Log objects that were read and writes that were seen are the same deliveries: count one of them.
        CASE WHEN count(is_object) > 0 THEN count(is_object) ELSE count(*) END AS objects,
        CASE WHEN count(is_object) > 0 THEN sum(size_bytes) FILTER (WHERE is_object) ELSE sum(size_bytes) END AS bytes,
        CASE WHEN count(is_object) > 0 THEN sum(records) FILTER (WHERE is_object) ELSE sum(records) END AS records,
        min(time) AS first_seen,
        max(time) AS last_seen
    FROM (
        SELECT
            *,
            CASE WHEN source_from = 'records' THEN TRUE END AS is_object,
            CASE
                WHEN evidence_kind = 'observed' AND source_from IN ('key', 'object')
                    AND source_bucket = destination_bucket THEN 'certain'
                ELSE evidence_kind
            END AS kind
        FROM deliveries
        WHERE time >= $since AND time < $until
            AND ($bucket = '' OR source_bucket = $bucket OR destination_bucket = $bucket)
    ) AS known
    GROUP BY source_bucket, destination_bucket, kind
) AS edges
LEFT JOIN (
    SELECT
        loop, hops, buckets[position] AS source_bucket, buckets[position + 1] AS destination_bucket
    FROM (SELECT loop, hops, buckets, unnest(range(1, hops + 1)) AS position FROM log_loops) AS positions
) AS loops
    ON loops.source_bucket = edges.source_bucket AND loops.destination_bucket = edges.destination_bucket
LEFT JOIN (
    SELECT delivered.source_bucket, delivered.destination_bucket, min(changed.time) AS ended_at
    FROM (
        SELECT
            source_bucket,
            destination_bucket,
            min(time) AS first_seen,
            -- The records of the destination are the better witness of whether it still goes on.
            coalesce(max(time) FILTER (WHERE evidence_kind <> 'certain'), max(time)) AS last_delivery
        FROM deliveries
        WHERE time >= $since AND time < $until
        GROUP BY source_bucket, destination_bucket
    ) AS delivered
    INNER JOIN (
        SELECT bucket, time
        FROM access_logs
        WHERE operation = 'REST.PUT.LOGGING_STATUS' AND http_status BETWEEN 200 AND 299 AND time < $until
    ) AS changed
        ON changed.bucket = delivered.source_bucket
    CROSS JOIN (SELECT max(time) AS data_end FROM access_logs WHERE time < $until) AS clock
    WHERE changed.time > first_seen
        AND last_delivery - changed.time <= INTERVAL '2 hours'
        AND data_end >= greatest(changed.time, last_delivery) + INTERVAL '1 hour'
    GROUP BY delivered.source_bucket, delivered.destination_bucket
) AS endings
    ON endings.source_bucket = edges.source_bucket AND endings.destination_bucket = edges.destination_bucket
GROUP BY edges.source_bucket, edges.destination_bucket, edges.evidence_kind, edges.objects, edges.bytes, edges.records,
    edges.first_seen, edges.last_seen
ORDER BY destination_bucket, source_bucket NULLS LAST, evidence_kind
LIMIT $limit
