--! id = "download-aborted"
--! kind = "detection"
--! title = "Many downloads of a prefix end early"
--! level = "informational"
--! description = """
--! Requests for whole objects (status 200, no range) of a prefix ended long before all bytes were sent, and that was a
--! large share of such requests. S3 bills what was sent, so that retries cost; and somebody does not get the data.
--! The logs do not say who hung up: the caller, a proxy with a time limit, or the network. Players of video and audio
--! do it all the time; ranges (206) are not looked at, since their length is not in the logs."""
--! runbook = [
--!     "See for whom it happens: compare user agents, addresses and total times of the evidence lines. The same total time again and again is a time limit.",
--!     "Raise the time limit of the client or the proxy, or let it read in ranges (aws configure set default.s3.multipart_chunksize).",
--! ]
--! falsepositives = ["Video and audio for browsers", "Programs that read the head of a file and hang up, instead of asking for a range"]
--! tags = ["operations"]
--! [params.min_aborted]
--! type = "int"
--! default = 100
--! help = "At least this many downloads that ended early"
--! [params.min_share]
--! type = "float"
--! default = 0.2
--! help = "At least this share of the prefix' requests for whole objects"
--! [params.min_size]
--! type = "int"
--! default = 1000000
--! help = "Only objects of at least this many bytes"
--! [params.sent]
--! type = "float"
--! default = 0.5
--! help = "A download ended early when less than this share of the object was sent"
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Findings from this time on"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Findings before this time"
WITH prefixes AS (
    SELECT
        bucket,
        substr(key, 1, strpos(key, '/')) AS prefix,
        count(*) AS downloads
    FROM access_logs
    WHERE operation IN ('REST.GET.OBJECT', 'WEBSITE.GET.OBJECT')
        AND http_status = 200
        AND object_size >= $min_size
        AND time >= $since AND time < $until
    GROUP BY bucket, substr(key, 1, strpos(key, '/'))
    HAVING count(*) FILTER (WHERE coalesce(bytes_sent, 0) < $sent * object_size)
        >= greatest($min_aborted, $min_share * count(*))
)
SELECT
    min(aborted.time) AS first_seen,
    max(aborted.time) AS last_seen,
    prefixes.bucket AS bucket,
    CASE WHEN prefixes.prefix = '' THEN '(no prefix)' ELSE prefixes.prefix END AS subject,
    count(*) AS count,
    evidence(aborted.log_bucket, aborted.log_key, aborted.log_offset, aborted.time) AS evidence,
    round(100.0 * count(*) / max(prefixes.downloads), 1) AS percent,
    coalesce(sum(aborted.bytes_sent), 0) AS bytes_sent,
    sum(aborted.object_size) AS bytes_asked_for,
    approx_distinct(aborted.remote_ip) AS addresses_approx,
    min(aborted.user_agent) AS example_user_agent
FROM prefixes
JOIN access_logs AS aborted
    ON aborted.bucket = prefixes.bucket
    AND substr(aborted.key, 1, strpos(aborted.key, '/')) = prefixes.prefix
WHERE aborted.operation IN ('REST.GET.OBJECT', 'WEBSITE.GET.OBJECT')
    AND aborted.http_status = 200
    AND aborted.object_size >= $min_size
    AND coalesce(aborted.bytes_sent, 0) < $sent * aborted.object_size
    AND aborted.time >= $since AND aborted.time < $until
GROUP BY prefixes.bucket, prefixes.prefix
ORDER BY percent DESC, bucket, subject
