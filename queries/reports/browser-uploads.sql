--! id = "browser-uploads"
--! kind = "report"
--! title = "Uploads by browser forms"
--! description = """
--! POST uploads that an HTML form made (authentication HtmlForm), by signer and page. The form carries a policy that
--! somebody signed: whoever has the form can upload until it ends. The policy is in the body and not logged. The page
--! is the Referer, which the caller writes."""
--! tags = ["presigned", "traffic"]
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
    split_part(split_part(referer, '?', 1), '#', 1) AS page,
    count(*) AS requests,
    count(*) FILTER (WHERE http_status < 400) AS successful,
    coalesce(sum(object_size) FILTER (WHERE http_status < 400), 0) AS bytes_received,
    max(object_size) AS largest_bytes,
    approx_distinct(remote_ip) AS addresses_approx,
    min(key) AS example_key,
    min(time) AS first_time,
    max(time) AS last_time
FROM requests
WHERE time >= $since AND time < $until
    AND ($bucket = '' OR bucket = $bucket)
    AND authentication_type = 'HtmlForm'
GROUP BY bucket, principal, page
ORDER BY requests DESC, bucket, principal, page
LIMIT $limit
