--! id = "log_loops"
--! kind = "view"
--! title = "Loops of log deliveries"
--! description = """
--! One row per loop in log_deliveries: a bucket that logs into itself, or a cycle of up to 20 buckets.
--! loop spells the path, beginning with the least of its buckets, as a -> b -> a; buckets is that path as a list.
--! evidence_kind is that of its weakest edge, by the best evidence for each edge. objects are the deliveries along it.
--! closed_at is when the last of its edges was first seen; from then on there was a loop.
--! Edges that were never seen within a day of each other make no loop: every delivery in a living loop causes others
--! within hours."""
--! tags = ["recursion"]
WITH RECURSIVE
graph AS (
    -- All edges in one value: the graph is small, and what leads to it is read once and not at every step.
    SELECT
        array_agg(source_bucket) AS sources,
        array_agg(destination_bucket) AS destinations,
        array_agg(named_struct(
            'a', source_bucket, 'b', destination_bucket, 'evidence_kind', evidence_kind, 'objects', objects,
            'first_seen', first_seen, 'last_seen', last_seen
        )) AS edges
    FROM (
        SELECT
            source_bucket,
            destination_bucket,
            -- certain sorts before observed; inferred ones are of a bucket to itself.
            min(evidence_kind) AS evidence_kind,
            max(objects) AS objects,
            min(first_seen) AS first_seen,
            max(last_seen) AS last_seen
        FROM log_deliveries
        GROUP BY source_bucket, destination_bucket
    ) AS edges
),
looping AS (
    -- Only edges that lead from a destination to a source can be part of a loop.
    SELECT array_agg(edge) AS edges
    FROM (SELECT sources, destinations, unnest(edges) AS edge FROM graph) AS unnested
    WHERE array_has(destinations, edge['a']) AND array_has(sources, edge['b'])
),
walk AS (
    SELECT
        [edge['a'], edge['b']] AS path,
        edge['a'] = edge['b'] AS closed,
        edge['evidence_kind'] AS evidence_kind,
        edge['objects'] AS objects,
        edge['first_seen'] AS closed_at,
        edge['last_seen'] AS open_until,
        edge['first_seen'] AS first_seen,
        edge['last_seen'] AS last_seen,
        edges
    FROM (SELECT edges, unnest(edges) AS edge FROM looping) AS steps
    -- A loop is walked from its least bucket only, so it is found once.
    WHERE edge['b'] >= edge['a']
    UNION ALL
    SELECT
        array_append(path, edge['b']),
        edge['b'] = path[1],
        greatest(evidence_kind, edge['evidence_kind']),
        objects + edge['objects'],
        greatest(closed_at, edge['first_seen']),
        least(open_until, edge['last_seen']),
        least(first_seen, edge['first_seen']),
        greatest(last_seen, edge['last_seen']),
        edges
    FROM (SELECT *, unnest(edges) AS edge FROM walk WHERE NOT closed AND cardinality(path) <= 20) AS steps
    WHERE edge['a'] = path[-1]
        AND (edge['b'] = path[1] OR edge['b'] > path[1] AND NOT array_has(path, edge['b']))
)
SELECT
    array_to_string(path, ' -> ') AS loop,
    path AS buckets,
    CAST(cardinality(path) AS bigint) - 1 AS hops,
    evidence_kind,
    objects,
    closed_at,
    first_seen,
    last_seen
FROM walk
WHERE closed AND closed_at <= open_until + INTERVAL '24 hours'
