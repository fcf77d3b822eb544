--! id = "custom-parameter"
--! kind = "report"
--! title = "Use by a parameter that callers add to the URL"
--! description = """
--! S3 ignores query parameters that begin with x- and logs them, so that a page or an application can mark its
--! requests, such as by customer. One row for each value of the parameter. Anybody can write any value; in a
--! pre-signed URL the parameter is signed if it was there when the URL was made."""
--! tags = ["cost", "presigned", "traffic"]
--! [params.parameter]
--! type = "text"
--! required = true
--! help = "Name of the parameter, such as x-customer"
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
    value,
    count(*) AS requests,
    count(*) FILTER (WHERE http_status >= 400) AS errors,
    approx_distinct(key) AS keys_approx,
    approx_distinct(remote_ip) AS addresses_approx,
    coalesce(sum(bytes_sent), 0) AS bytes_sent,
    min(time) AS first_time,
    max(time) AS last_time
FROM (
    SELECT *, uri_param(request_uri, $parameter) AS value
    FROM access_logs
    WHERE time >= $since AND time < $until
        AND ($bucket = '' OR bucket = $bucket)
        AND request_uri LIKE '%?%'
        -- No way round the redaction of credentials, and no keys of SSE-C.
        AND lower($parameter) NOT IN (
            'x-amz-signature', 'x-amz-security-token', 'x-amz-credential', 'signature', 'awsaccesskeyid',
            'x-amz-server-side-encryption-customer-key', 'x-amz-server-side-encryption-customer-key-md5',
            'x-amz-copy-source-server-side-encryption-customer-key',
            'x-amz-copy-source-server-side-encryption-customer-key-md5'
        )
) AS requests
WHERE value IS NOT NULL
GROUP BY bucket, value
ORDER BY requests DESC, bucket, value
LIMIT $limit
