--! id = "weak-cipher"
--! kind = "detection"
--! title = "Requests were answered over TLS with a weak cipher suite"
--! level = "informational"
--! description = """
--! A caller connected with TLS 1.2 or newer, yet agreed on a cipher suite without authenticated encryption: CBC mode
--! (such as ECDHE-RSA-AES128-SHA), RC4 or triple DES. Better ones exist in the same version of TLS, so the client does
--! not offer them. TLS 1.1 and older have no better ones; that is the matter of old-tls, and not counted here.
--! Suites are told by name: those with GCM, CCM or CHACHA20 count as strong. The key exchange is not judged here; the
--! report cipher-readiness shows it. Records before March 2019 do not tell the suite."""
--! runbook = [
--!     "Find the owner of the caller; example_user_agent names the software. Its TLS library or its list of ciphers is old.",
--!     "Run the report cipher-readiness to see who else would break.",
--! ]
--! falsepositives = ["Anonymous readers of public objects with old devices.", "Middle boxes that open TLS connections in place of the client."]
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
    string_agg(DISTINCT cipher_suite, ', ' ORDER BY cipher_suite) AS cipher_suites,
    count(*) FILTER (WHERE signature_version IS NOT NULL) AS signed,
    count(*) FILTER (WHERE operation_class = 'write') AS writes,
    approx_distinct(remote_ip) AS addresses_approx,
    min(user_agent) AS example_user_agent
FROM requests
WHERE time >= $since AND time < $until
    AND cipher_suite NOT LIKE '%GCM%'
    AND cipher_suite NOT LIKE '%CHACHA20%'
    AND cipher_suite NOT LIKE '%CCM%'
    AND lower(tls_version) NOT IN ('sslv2', 'sslv3', 'tlsv1', 'tlsv1.0', 'tlsv1.1')
    AND (http_status BETWEEN 200 AND 299 OR http_status = 304)
    -- Rows that S3 writes beside the row of the request itself.
    AND operation NOT IN ('BATCH.DELETE.OBJECT', 'REST.COPY.OBJECT_GET', 'REST.COPY.PART_GET')
    AND NOT is_aws_internal
GROUP BY bucket, principal
ORDER BY first_seen, bucket, subject
