--! id = "config-recursion-loop"
--! kind = "detection"
--! title = "Access logs are configured to be delivered in a circle"
--! level = "high"
--! description = """
--! By the audited configuration a bucket logs into itself, or buckets deliver their access logs to each other in a
--! circle of any length: every delivery is a write that is logged and delivered in turn, without end. subject spells
--! the path, beginning with the least of its buckets.
--! evidence_kind: `configured and observed` when deliveries along every edge of the path stand in the logs too (in the
--! time asked for); count is their number, and first_seen and last_seen are theirs. Else `configured only`: the loop
--! may be new, or idle, or logs of its buckets may not have been taken in. Then count is 1, the times are that of the
--! audit, and observed_edges says how many edges were seen. Another prefix does not end a loop.
--! Loops that the logs show and the configuration does not (any more) are in config-recursion-changed; without an
--! audit, recursion-self and recursion-cycle go by the logs alone."""
--! runbook = [
--!     "Break one edge; the fix_command of the finding switches off the access log of the last bucket of the path: aws s3api put-bucket-logging --bucket BUCKET --bucket-logging-status '{}'",
--!     "Let all buckets deliver to one log bucket that is not logged itself.",
--!     "Find the template that made it: CloudFormation and CDK log a bucket to itself when a prefix is given and no destination.",
--!     "Audit again: s3trail audit; where it was observed too, expire what has piled up with a lifecycle rule on the log prefix.",
--! ]
--! falsepositives = ["The logging was changed since the audit: audited_at says when that was."]
--! tags = ["recursion", "access-logging", "configuration", "audit"]
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Deliveries in the logs from this time on; the configuration is that of the last audit"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Deliveries in the logs before this time"
SELECT
    CASE WHEN is_observed THEN first_delivery ELSE audited_at END AS first_seen,
    CASE WHEN is_observed THEN last_delivery ELSE audited_at END AS last_seen,
    bucket,
    loop AS subject,
    CASE WHEN is_observed THEN deliveries ELSE 1 END AS count,
    evidence,
    CASE WHEN is_observed THEN 'configured and observed' ELSE 'configured only' END AS evidence_kind,
    hops,
    observed_edges,
    deliveries,
    audited_at,
    concat(
        CASE
            WHEN hops = 1 THEN 'Deliver the access log to another bucket, one that is not logged, or switch it off'
            ELSE concat('Switch off the access log of one bucket of the circle, say ', closing)
        END,
        '; another prefix does not help.'
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
        audited_at,
        min(source_bucket) AS bucket,
        min(first_delivery) AS first_delivery,
        max(last_delivery) AS last_delivery,
        sum(deliveries) AS deliveries,
        count(*) FILTER (WHERE deliveries > 0) AS observed_edges,
        count(*) FILTER (WHERE deliveries = 0) = 0 AS is_observed,
        -- Some records of each edge
        flatten(array_agg(array_slice(places, 1, greatest(1, 10 / hops)) ORDER BY position)) AS evidence
    FROM (
        SELECT
            edges.loop,
            edges.hops,
            edges.closing,
            edges.audited_at,
            edges.position,
            edges.source_bucket,
            min(time) AS first_delivery,
            max(time) AS last_delivery,
            greatest(
                count(*) FILTER (WHERE evidence_kind = 'certain'), count(*) FILTER (WHERE evidence_kind <> 'certain')
            ) AS deliveries,
            evidence(log_bucket, log_key, log_offset, time) FILTER (WHERE time IS NOT NULL) AS places
        -- The small side comes first: when it is empty the other is not read.
        FROM (
            SELECT
                loop,
                hops,
                audited_at,
                buckets[hops] AS closing,
                position,
                buckets[position] AS source_bucket,
                buckets[position + 1] AS destination_bucket
            FROM (SELECT *, unnest(range(1, hops + 1)) AS position FROM configured_loops) AS positions
        ) AS edges
        LEFT JOIN (SELECT * FROM deliveries WHERE time >= $since AND time < $until) AS seen
            ON seen.source_bucket = edges.source_bucket AND seen.destination_bucket = edges.destination_bucket
        GROUP BY edges.loop, edges.hops, edges.closing, edges.audited_at, edges.position, edges.source_bucket
    ) AS by_edge
    GROUP BY loop, hops, closing, audited_at
) AS loops
ORDER BY first_seen, subject
