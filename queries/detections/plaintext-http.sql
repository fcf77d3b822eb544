--! id = "plaintext-http"
--! kind = "detection"
--! title = "Requests were answered over plain HTTP"
--! level = "low"
--! description = """
--! A caller got data, or wrote it, over a connection without TLS: anybody on the way could read and change it. signed
--! says how many of the requests carried credentials; a signature cannot be turned back into the secret key, but a
--! pre-signed URL that was overheard works for others until it expires.
--! Plain HTTP is a record with a host but neither cipher nor TLS version. Records before March 2019 have no such
--! columns and say nothing; work inside AWS (lifecycle, replication, services, log delivery) is left out. Website
--! endpoints speak nothing but HTTP and are left out too, unless asked for. What was refused is not counted here; the
--! report http-readiness shows it."""
--! runbook = [
--!     "Find the owner of the caller and have its endpoint changed to https; example_user_agent names the software.",
--!     "Run the report http-readiness to see who else would break, then deny plain HTTP in the bucket policy: Deny s3:* with the condition Bool aws:SecureTransport false.",
--!     "Check the policy as it is: aws s3api get-bucket-policy --bucket BUCKET --query Policy --output text",
--!     "For a public site, put CloudFront before the bucket and redirect to https there.",
--! ]
--! falsepositives = [
--!     "Anonymous readers of public objects who follow old http links: signed is 0.",
--!     "A proxy in your own network that ends TLS before it reaches S3.",
--! ]
--! tags = ["in-transit", "attack.t1040"]
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Findings from this time on"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Findings before this time"
--! [params.include_website]
--! type = "bool"
--! default = false
--! help = "Also requests to website endpoints, which are always plain HTTP"
SELECT
    min(time) AS first_seen,
    max(time) AS last_seen,
    bucket,
    principal AS subject,
    count(*) AS count,
    evidence(log_bucket, log_key, log_offset, time) AS evidence,
    count(*) FILTER (WHERE signature_version IS NOT NULL) AS signed,
    count(*) FILTER (WHERE operation LIKE 'WEBSITE.%') AS website,
    count(*) FILTER (WHERE operation_class = 'write') AS writes,
    approx_distinct(remote_ip) AS addresses_approx,
    min(host_header) AS example_host,
    min(user_agent) AS example_user_agent
FROM requests
WHERE time >= $since AND time < $until
    AND tls_version IS NULL
    AND cipher_suite IS NULL
    AND host_header IS NOT NULL
    AND (http_status BETWEEN 200 AND 299 OR http_status = 304)
    -- Rows that S3 writes beside the row of the request itself.
    AND operation NOT IN ('BATCH.DELETE.OBJECT', 'REST.COPY.OBJECT_GET', 'REST.COPY.PART_GET')
    AND ($include_website OR operation NOT LIKE 'WEBSITE.%')
    AND NOT is_aws_internal
GROUP BY bucket, principal
ORDER BY first_seen, bucket, subject
