--! id = "acl-required"
--! kind = "report"
--! title = "Requests that only an ACL allowed"
--! description = """
--! Callers whose requests needed an access control list to be allowed. When a bucket has none of them over a long
--! time, ACLs can be switched off (object ownership: bucket owner enforced) without breaking anybody seen here. The
--! mark exists in records since November 2022; older ones are counted apart, because they cannot say."""
--! tags = ["public-access", "security", "acl"]
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
    CASE WHEN acl_required IS NULL THEN 'not recorded' ELSE 'required' END AS acl,
    CASE WHEN acl_required THEN principal END AS caller,
    CASE WHEN acl_required THEN operation END AS operation_allowed,
    count(*) AS requests,
    approx_distinct(key) AS keys_approx,
    min(key) AS example_key,
    min(time) AS first_time,
    max(time) AS last_time
FROM requests
WHERE time >= $since AND time < $until
    AND ($bucket = '' OR bucket = $bucket)
    AND acl_required IS DISTINCT FROM false
GROUP BY bucket, acl, caller, operation_allowed
ORDER BY acl DESC, requests DESC, bucket, caller, operation_allowed
LIMIT $limit
