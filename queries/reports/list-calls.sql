--! id = "list-calls"
--! kind = "report"
--! title = "Who lists buckets, and which prefixes"
--! description = """
--! List requests (objects, versions, uploads, parts) by caller and prefix asked for. Lists cost as much as writes,
--! and they are how somebody finds out what there is. How many keys an answer held is not logged; bytes_sent is a
--! hint. ListBuckets is a call on the account and in no access log."""
--! tags = ["reconnaissance", "cost"]
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
    principal,
    operation,
    prefix,
    count(*) AS requests,
    count(*) FILTER (WHERE http_status >= 400) AS errors,
    coalesce(sum(bytes_sent), 0) AS bytes_sent,
    approx_distinct(remote_ip) AS addresses_approx,
    min(user_agent_family) AS example_software,
    min(time) AS first_time,
    max(time) AS last_time
FROM (
    SELECT *, coalesce(uri_param(request_uri, 'prefix'), '') AS prefix
    FROM requests
    WHERE time >= $since AND time < $until
        AND ($bucket = '' OR bucket = $bucket)
        AND operation_class = 'list'
        AND operation <> 'REST.HEAD.BUCKET'
) AS lists
GROUP BY bucket, principal, operation, prefix
ORDER BY requests DESC, bucket, principal, operation, prefix
LIMIT $limit
