--! id = "presigned-upload"
--! kind = "detection"
--! title = "Objects are uploaded by pre-signed URL"
--! level = "low"
--! description = """
--! Whoever holds a pre-signed URL for PUT writes with the rights of its signer: what arrives was chosen by the
--! holder. One finding per bucket and signer. The S3 console uploads this way: requests with a console Referer are
--! left out unless asked for. A Referer is what the caller writes, so leaving them out can hide a forged one. Browser
--! forms (HtmlForm) are another way to upload and are not counted here. The content is not in the log. The count is
--! of fulfilled PUT requests; each part of a multipart upload is one."""
--! runbook = [
--!     "Ask the owner of the signer whether uploads by link belong to the application; if not, find the URLs in use: s3trail query presigned-requests -p bucket=BUCKET.",
--!     "See what came in: example_key, and s3trail query object-history -p key=KEY.",
--!     "Limit what a link can do: short life, one key per link, signed headers for size and type, and a scan of what arrives.",
--! ]
--! falsepositives = [
--!     "Applications that let users upload directly to S3 by design.",
--!     "Consoles of other partitions, whose host name is another.",
--! ]
--! tags = ["presigned", "attack.t1105"]
--! [params.include_console]
--! type = "bool"
--! default = false
--! help = "Also uploads with a Referer of the AWS console"
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Findings from this time on"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Findings before this time"
SELECT
    min(time) AS first_seen,
    max(time) AS last_seen,
    bucket,
    principal AS subject,
    count(*) AS count,
    evidence(log_bucket, log_key, log_offset, time) AS evidence,
    approx_distinct(key) AS keys_approx,
    count(DISTINCT remote_ip) AS addresses,
    coalesce(sum(object_size), 0) AS bytes,
    min(key) AS example_key
FROM requests
WHERE time >= $since AND time < $until
    AND operation IN ('REST.PUT.OBJECT', 'REST.PUT.PART')
    AND http_status < 400
    -- Records too old to name the authentication have no host header either.
    AND (authentication_type = 'QueryString'
        OR authentication_type IS NULL AND host_header IS NULL AND request_uri LIKE '%xpires=%')
    AND is_presigned
    AND (
        $include_console
        OR NOT coalesce(regexp_like(referer, '^https://([a-z0-9-]+[.])*console[.]aws[.]amazon[.]com(/|$)'), false)
    )
GROUP BY bucket, principal
ORDER BY bucket, subject
