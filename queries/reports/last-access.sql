--! id = "last-access"
--! kind = "report"
--! title = "When each object or prefix was last read and written, and by whom"
--! description = """
--! For each object, or with depth above 0 for each prefix of that many folders: the last fulfilled read and write
--! with their callers, and the last delete. Coldest first: what was not asked for lately can go to a cheaper storage
--! class or away. An object that nobody touched in the time of the logs is not here at all: compare with an
--! inventory. Work inside AWS (lifecycle, replication, log delivery) is no access, but lifecycle deletes show in
--! last_deleted."""
--! tags = ["cost", "operations"]
--! [params.depth]
--! type = "int"
--! default = 0
--! help = "0 for each object, else how many folders of the key make a prefix"
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Records from this time on"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Records before this time"
--! [params.bucket]
--! type = "text"
--! default = ""
--! help = "Only this bucket; empty for all"
--! [params.limit]
--! type = "int"
--! default = 100
--! help = "At most this many rows"
SELECT
    bucket,
    name,
    max(time) FILTER (WHERE kind IN ('read', 'write')) AS last_access,
    max(time) FILTER (WHERE kind = 'read') AS last_read,
    -- The greatest of time and caller together is the last caller; this needs less memory than last_value.
    substr(max(timed_caller) FILTER (WHERE kind = 'read'), 21) AS last_read_by,
    max(time) FILTER (WHERE kind = 'write') AS last_written,
    substr(max(timed_caller) FILTER (WHERE kind = 'write'), 21) AS last_written_by,
    max(time) FILTER (WHERE kind = 'delete') AS last_deleted,
    count(*) FILTER (WHERE kind = 'read') AS reads,
    count(*) FILTER (WHERE kind = 'write') AS writes,
    max(object_size) AS largest_bytes
FROM (
    SELECT
        bucket,
        key,
        time,
        concat(to_char(time, '%Y-%m-%dT%H:%M:%S '), principal) AS timed_caller,
        object_size,
        CASE
            WHEN operation IN ('S3.EXPIRE.OBJECT', 'S3.CREATE.DELETEMARKER') THEN 'delete'
            WHEN is_aws_internal THEN NULL
            -- Beginning or aborting a multipart upload, and its parts, neither write nor delete the object.
            WHEN operation_class = 'read' OR resource IN ('OBJECT', 'UPLOAD') AND operation_class = 'write'
                OR resource = 'OBJECT' AND operation_class = 'delete' THEN operation_class
        END AS kind,
        -- The last part of a key is the name of the object, not a folder.
        CASE WHEN $depth = 0 THEN key ELSE array_to_string(
            array_slice(
                string_to_array(key, '/'),
                1,
                least($depth, CAST(array_length(string_to_array(key, '/')) AS bigint) - 1)
            ),
            '/'
        ) END AS name
    FROM requests
    WHERE time >= $since AND time < $until
        AND ($bucket = '' OR bucket = $bucket)
        AND key IS NOT NULL
        -- No status is logged for lifecycle and for the source side of some copies.
        AND coalesce(http_status, 200) < 400
) AS uses
WHERE kind IS NOT NULL
GROUP BY bucket, name
ORDER BY last_access NULLS LAST, bucket, name
LIMIT $limit
