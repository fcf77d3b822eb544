--! id = "rejects-summary"
--! kind = "report"
--! title = "Lines that could not be read, by reason"
--! description = """
--! Lines of log objects that are no log records, by reason and field, with one place to look at. They are kept
--! whole in the table rejects and counted in log_objects; nothing is dropped. A line has no trustworthy time: the
--! bounds are those of ingestion. A damaged or foreign file shows as many rejects with one log key."""
--! tags = ["access-logging", "logging", "quality"]
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Lines taken in from this time on"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Lines taken in before this time"
--! [params.bucket]
--! type = "text"
--! default = ""
--! help = "Only this bucket, as the source or the destination of the logs; empty for all"
--! [params.limit]
--! type = "int"
--! default = 100
--! help = "At most this many rows"
SELECT
    reason,
    field,
    count(*) AS lines,
    count(DISTINCT log_key) AS log_objects,
    -- The first line of the first log object by name.
    first_value(log_bucket ORDER BY log_key, log_bucket, log_offset) AS example_log_bucket,
    min(log_key) AS example_log_key,
    first_value(log_offset ORDER BY log_key, log_bucket, log_offset) AS example_log_offset,
    min(ingested_at) AS first_ingested_at,
    max(ingested_at) AS last_ingested_at
FROM (
    SELECT
        rejects.reason,
        rejects.field,
        rejects.log_bucket,
        rejects.log_key,
        rejects.log_offset,
        objects.ingested_at
    FROM rejects
    LEFT JOIN (
        SELECT log_bucket, log_key, commit_batch, max(source_bucket) AS source_bucket, max(ingested_at) AS ingested_at
        FROM log_objects
        GROUP BY log_bucket, log_key, commit_batch
    ) AS objects
        ON rejects.log_key = objects.log_key
        AND rejects.commit_batch = objects.commit_batch
        AND rejects.log_bucket IS NOT DISTINCT FROM objects.log_bucket
    WHERE (objects.ingested_at IS NULL OR objects.ingested_at >= $since AND objects.ingested_at < $until)
        AND ($bucket = '' OR objects.source_bucket = $bucket OR rejects.log_bucket = $bucket)
) AS lines
GROUP BY reason, field
ORDER BY lines DESC, reason, field
LIMIT $limit
