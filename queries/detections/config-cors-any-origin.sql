--! id = "config-cors-any-origin"
--! kind = "detection"
--! title = "Web pages of any origin may write to a bucket"
--! level = "low"
--! description = """
--! A CORS rule of the bucket, as audited, allows PUT, POST or DELETE to pages of every origin. CORS gives nobody a
--! right that policy and credentials do not give; but any web page can make the browser of somebody who holds a
--! pre-signed URL or form use it, and read the answer. Rules that allow every origin only to read are usual and not
--! found. evidence_kind: `configured and observed` when preflight requests of browsers were granted (in the time asked
--! for); count is their number. Which origin and method they asked for is not logged; referers is, where browsers sent
--! it. Else `configured only`: count is 1, the times are that of the audit."""
--! runbook = [
--!     "Read the rules: aws s3api get-bucket-cors --bucket BUCKET",
--!     "Name the origins of your own pages in AllowedOrigins, or leave the writing methods out.",
--!     "See which pages would break: example_referer, and s3trail detect --only cors-refused afterwards.",
--! ]
--! falsepositives = ["An upload service for pages that are not known beforehand, with pre-signed URLs that live for minutes."]
--! tags = ["cors", "configuration", "audit"]
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Requests from this time on; the configuration is that of the last audit"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Requests before this time"
SELECT
    coalesce(min(time), audited_at) AS first_seen,
    coalesce(max(time), audited_at) AS last_seen,
    name AS bucket,
    'any origin may write' AS subject,
    greatest(count(time), 1) AS count,
    evidence(log_bucket, log_key, log_offset, time) FILTER (WHERE time IS NOT NULL) AS evidence,
    CASE WHEN count(time) > 0 THEN 'configured and observed' ELSE 'configured only' END AS evidence_kind,
    cors_rules,
    count(DISTINCT referer) AS referers,
    min(referer) AS example_referer,
    audited_at
FROM (
    SELECT name, audited_at, cors_rules FROM bucket_configuration WHERE kind = 'bucket' AND cors_any_origin_writes
) AS configuration
LEFT JOIN (
    SELECT bucket, time, referer, log_bucket, log_key, log_offset
    FROM access_logs
    WHERE time >= $since AND time < $until
        AND operation_class(operation) = 'preflight' AND http_status BETWEEN 200 AND 299
) AS granted
    ON granted.bucket = configuration.name
GROUP BY name, audited_at, cors_rules
ORDER BY first_seen, bucket
