--! id = "recursion-pipeline"
--! kind = "detection"
--! title = "A tool that reads logs writes into a bucket whose own log lands where it reads"
--! level = "medium"
--! description = """
--! A data loop: a principal reads log objects from a bucket and writes its results into a bucket whose own access log is
--! delivered to where it reads. Every write makes a record that it will read, so it always has something to do. Such a
--! loop can grow, unlike a bucket that logs into itself, because one log object can lead to many writes.
--! Either of two things is found. The reads of log objects are in the logs, in a bucket that is logged too: then
--! evidence_kind is that of the delivery from the bucket written to (bucket) to the one read from (reads_from), certain
--! or observed, and the principal did both in the same hour in $min_rounds hours or more, in at least $min_share of the
--! hours in which it wrote. Or the writer is s3trail itself, by its user agent: whoever put these records together with
--! s3trail read the log of the bucket that it writes into, so evidence_kind is inferred. count is the number of writes;
--! reads is the number of log objects read.
--! That the writes come from what was read is an inference. A tool that reads from a log bucket without logging leaves
--! no trace of its reads."""
--! runbook = [
--!     "Let the tool write into a bucket that is not logged, or whose log goes elsewhere; until then run the fix_command of the finding: aws s3api put-bucket-logging --bucket BUCKET --bucket-logging-status '{}'",
--!     "Or let the tool skip the log of the bucket it writes into: by log prefix or by source bucket.",
--!     "For s3trail: keep the lake in a bucket without access logging.",
--! ]
--! falsepositives = [
--!     "A deployment or backup role that reads logs and writes other data by the same schedule.",
--!     "An s3trail that reads the logs of other buckets than the one its lake is in.",
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
--! [params.min_rounds]
--! type = "int"
--! default = 3
--! help = "In this many hours it must have read log objects and written"
--! [params.min_share]
--! type = "float"
--! default = 0.5
--! help = "Of the hours in which it wrote, the share in which it also read"
WITH readers AS (
    -- Who read log objects, and in which bucket and hour
    SELECT principal, array_agg(concat(bucket, ' ', hour)) AS read_in, sum(reads) AS reads
    FROM (
        SELECT principal(requester) AS principal, bucket, date_bin(INTERVAL '1 hour', time) AS hour, count(*) AS reads
        FROM access_logs
        WHERE time >= $since AND time < $until
            AND operation IN ('REST.GET.OBJECT', 'REST.COPY.OBJECT_GET')
            AND (http_status IS NULL OR http_status BETWEEN 200 AND 299)
            -- Cheap first: most keys are not those of log objects.
            AND right(key, 17) LIKE '-%'
            AND regexp_like(key, '[0-9]{4}(-[0-9]{2}){5}-[0-9A-Z]{16}$')
        GROUP BY 1, 2, 3
    ) AS reads
    GROUP BY principal
),
writes AS (
    SELECT
        principal(requester) AS principal,
        bucket,
        date_bin(INTERVAL '1 hour', time) AS hour,
        count(*) AS writes,
        count(*) FILTER (WHERE user_agent LIKE 's3trail/%') AS own_writes,
        max(log_bucket) AS log_bucket,
        min(time) AS first_seen,
        max(time) AS last_seen,
        first_value(log_key ORDER BY time) AS log_key,
        first_value(log_offset ORDER BY time) AS log_offset
    FROM access_logs
    WHERE time >= $since AND time < $until
        AND operation IN ('REST.PUT.OBJECT', 'REST.POST.OBJECT', 'REST.COPY.OBJECT', 'REST.POST.UPLOAD')
        AND http_status BETWEEN 200 AND 299
    GROUP BY 1, 2, 3
),
rounds AS (
    SELECT
        writes.principal,
        writes.bucket,
        destination_bucket,
        max(log_bucket) AS log_bucket,
        min(evidence_kind) AS evidence_kind,
        max(reads) AS reads,
        count(*) AS hours,
        count(*) FILTER (WHERE array_has(read_in, concat(destination_bucket, ' ', hour))) AS rounds,
        sum(writes) AS writes,
        sum(own_writes) AS own_writes,
        min(first_seen) AS first_seen,
        max(last_seen) AS last_seen,
        -- The first write of each of the first ten hours
        evidence(log_bucket, log_key, log_offset, first_seen) AS evidence
    FROM writes
    LEFT JOIN readers ON readers.principal = writes.principal
    LEFT JOIN (
        SELECT source_bucket, destination_bucket, min(evidence_kind) AS evidence_kind
        FROM log_deliveries
        WHERE source_bucket IS NOT NULL
        GROUP BY source_bucket, destination_bucket
    ) AS edges ON edges.source_bucket = writes.bucket
    -- The others cannot be findings.
    WHERE readers.principal IS NOT NULL OR own_writes > 0
    GROUP BY writes.principal, writes.bucket, destination_bucket
)
SELECT
    first_seen,
    last_seen,
    bucket,
    principal AS subject,
    writes AS count,
    evidence,
    CASE WHEN is_seen THEN evidence_kind ELSE 'inferred' END AS evidence_kind,
    coalesce(destination_bucket, log_bucket, '(not known)') AS reads_from,
    coalesce(reads, 0) AS reads,
    rounds AS hours_of_both,
    hours AS hours_of_writes,
    own_writes AS writes_by_s3trail,
    'Write into a bucket that is not logged, or whose log is delivered elsewhere than to where this principal reads.'
        AS fix,
    CASE
        WHEN regexp_like(bucket, '^[a-z0-9][a-z0-9.-]*$')
            THEN concat('aws s3api put-bucket-logging --bucket ', bucket, ' --bucket-logging-status ''{}''')
        ELSE 'unsafe name'
    END AS fix_command
FROM (
    SELECT
        *,
        row_number() OVER (PARTITION BY bucket, principal ORDER BY is_seen DESC, rounds DESC, destination_bucket) AS nth
    FROM (
        SELECT *, rounds >= $min_rounds AND rounds >= $min_share * hours AS is_seen
        FROM rounds
    ) AS judged
    WHERE is_seen OR own_writes > 0
) AS best
WHERE nth = 1
ORDER BY first_seen, bucket, subject
