--! id = "downloads"
--! kind = "report"
--! title = "Complete downloads per day"
--! description = """
--! Downloads by day, bucket and prefix (depth 0: by object) or Region. Complete: status 200 and all bytes of the object
--! sent. Ranged: status 206, a part of the object, often one of many for one download. Given up: status 200 with fewer
--! bytes than the object has. Not changed: status 304, a copy at the caller's was still good. A caller that reads an
--! object twice counts twice. The source Region is logged only in records of 2026 and later, and not for callers on the
--! internet: there the name is empty."""
--! tags = ["operations", "traffic"]
--! [params.by]
--! type = "text"
--! default = "prefix"
--! choices = ["prefix", "source_region"]
--! help = "What to count by"
--! [params.depth]
--! type = "int"
--! default = 1
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
    day,
    bucket,
    name,
    count(*) FILTER (WHERE http_status = 200 AND coalesce(bytes_sent, 0) >= coalesce(object_size, 0)) AS complete,
    count(*) FILTER (WHERE http_status = 206) AS ranged,
    count(*) FILTER (WHERE http_status = 200 AND coalesce(bytes_sent, 0) < coalesce(object_size, 0)) AS given_up,
    count(*) FILTER (WHERE http_status = 304) AS not_changed,
    approx_distinct(remote_ip) AS addresses_approx,
    approx_distinct(principal) AS principals_approx,
    coalesce(sum(bytes_sent), 0) AS bytes_sent
FROM (
    SELECT
        date_trunc('day', time) AS day,
        bucket,
        http_status,
        bytes_sent,
        object_size,
        remote_ip,
        principal,
        CASE WHEN $by = 'source_region' THEN source_region WHEN $depth = 0 THEN key ELSE array_to_string(
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
        AND operation IN ('REST.GET.OBJECT', 'WEBSITE.GET.OBJECT')
        AND http_status < 400
        AND key IS NOT NULL
) AS reads
GROUP BY day, bucket, name
ORDER BY day DESC, complete DESC, bucket, name
LIMIT $limit
