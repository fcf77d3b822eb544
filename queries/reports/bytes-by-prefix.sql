--! id = "bytes-by-prefix"
--! kind = "report"
--! title = "Traffic per key prefix"
--! description = """
--! Requests and bytes per prefix of the key, to a depth of folders. Sent are the bodies of answers; received are
--! the sizes of objects and parts written successfully, as logged. What the objects of a prefix hold altogether is
--! not in the logs: use S3 Inventory or Storage Lens for that."""
--! tags = ["cost", "traffic"]
--! [params.depth]
--! type = "int"
--! default = 1
--! help = "How many folders of the key make a prefix"
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
    prefix,
    count(*) AS requests,
    count(*) FILTER (WHERE operation_class = 'read') AS reads,
    count(*) FILTER (WHERE operation_class = 'write') AS writes,
    approx_distinct(key) AS keys_approx,
    coalesce(sum(bytes_sent), 0) AS bytes_sent,
    coalesce(sum(object_size) FILTER (WHERE is_upload), 0) AS bytes_received,
    max(time) AS last_time
FROM (
    SELECT
        bucket,
        key,
        operation_class,
        bytes_sent,
        object_size,
        time,
        operation IN ('REST.PUT.OBJECT', 'REST.POST.OBJECT', 'REST.PUT.PART') AND is_success AS is_upload,
        -- The last part of a key is the name of the object, not a folder.
        array_to_string(
            array_slice(
                string_to_array(key, '/'),
                1,
                least($depth, CAST(array_length(string_to_array(key, '/')) AS bigint) - 1)
            ),
            '/'
        ) AS prefix
    FROM requests
    WHERE time >= $since AND time < $until
        AND ($bucket = '' OR bucket = $bucket)
        AND key IS NOT NULL
) AS traffic
GROUP BY bucket, prefix
ORDER BY bytes_sent DESC, requests DESC, bucket, prefix
LIMIT $limit
