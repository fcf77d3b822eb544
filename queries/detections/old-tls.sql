--! id = "old-tls"
--! kind = "detection"
--! title = "Requests were answered over TLS 1.1 or older"
--! level = "low"
--! description = """
--! A caller connected with a TLS version below 1.2 and was answered. The versions are compared without case, and TLSv1
--! is TLS 1.0. Such a client is old software; it breaks as soon as TLS 1.2 is demanded, by S3 or by a policy.
--! Plain HTTP is not old TLS and has a detection of its own. Records before March 2019 do not tell the version."""
--! runbook = [
--!     "Find the owner of the caller; example_user_agent names the software, which needs a newer TLS library or runtime.",
--!     "Run the report tls-readiness to see who else would break.",
--!     "Then deny it in the bucket policy: Deny s3:* with the condition NumericLessThan s3:TlsVersion 1.2.",
--! ]
--! falsepositives = ["Anonymous readers of public objects with old devices.", "Scanners that try old versions on purpose."]
--! tags = ["in-transit"]
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
    string_agg(DISTINCT tls_version, ', ' ORDER BY tls_version) AS tls_versions,
    count(*) FILTER (WHERE signature_version IS NOT NULL) AS signed,
    count(*) FILTER (WHERE operation_class = 'write') AS writes,
    approx_distinct(remote_ip) AS addresses_approx,
    min(user_agent) AS example_user_agent
FROM requests
WHERE time >= $since AND time < $until
    AND lower(tls_version) IN ('sslv2', 'sslv3', 'tlsv1', 'tlsv1.0', 'tlsv1.1')
    AND (http_status BETWEEN 200 AND 299 OR http_status = 304)
    -- Rows that S3 writes beside the row of the request itself.
    AND operation NOT IN ('BATCH.DELETE.OBJECT', 'REST.COPY.OBJECT_GET', 'REST.COPY.PART_GET')
    AND NOT is_aws_internal
GROUP BY bucket, principal
ORDER BY first_seen, bucket, subject
