--! id = "configured_loops"
--! kind = "view"
--! title = "Loops of access logs in the configuration"
--! description = """
--! One row per loop that the audited logging configuration makes: a bucket that logs into itself, or a circle of
--! buckets of any length. loop spells the path, beginning with the least of its buckets, as a -> b -> a; buckets is
--! that path as a list. audited_at is when the first of its edges was read. A loop through a bucket whose logging could
--! not be read is not here. log_loops has the loops that the logs show."""
--! tags = ["recursion", "audit"]
WITH RECURSIVE
graph AS (
    -- A bucket logs to one place, so the edges are two lists that go together; they are read once and not at every step.
    SELECT
        array_agg(name ORDER BY name) AS sources,
        array_agg(logging_target_bucket ORDER BY name) AS destinations,
        array_agg(audited_at ORDER BY name) AS times
    FROM bucket_configuration
    WHERE kind = 'bucket' AND logging_target_bucket IS NOT NULL
),
walk AS (
    SELECT
        [start, destinations[CAST(array_position(sources, start) AS bigint)]] AS path,
        times[CAST(array_position(sources, start) AS bigint)] AS audited_at,
        sources,
        destinations,
        times
    FROM (SELECT unnest(sources) AS start, sources, destinations, times FROM graph) AS starts
    -- What nothing logs to is in no loop.
    WHERE array_has(destinations, start)
    UNION ALL
    SELECT
        array_append(path, destinations[CAST(array_position(sources, path[-1]) AS bigint)]),
        least(audited_at, times[CAST(array_position(sources, path[-1]) AS bigint)]),
        sources,
        destinations,
        times
    FROM walk
    -- A loop is walked from its least bucket only, so it is found once.
    WHERE path[-1] > path[1]
        AND array_has(sources, path[-1])
        AND cardinality(path) <= cardinality(sources)
)
SELECT
    array_to_string(path, ' -> ') AS loop,
    path AS buckets,
    CAST(cardinality(path) AS bigint) - 1 AS hops,
    audited_at
FROM walk
WHERE path[-1] = path[1]
