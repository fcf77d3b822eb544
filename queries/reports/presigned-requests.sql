--! id = "presigned-requests"
--! kind = "report"
--! title = "Pre-signed URLs and how they are used"
--! description = """
--! One row per pre-signed URL, as far as it can be told apart: S3 masks signatures in its logs, so access key, date
--! of signing, lifetime, bucket and key stand for it; SigV2 states only its end (sigv2_end, in
--! seconds since 1970). Many addresses on one URL mean that it was passed on, or a CDN. A refusal because the URL was
--! expired is logged as AccessDenied like any other. The access key id belongs to whoever signed."""
--! tags = ["presigned", "security"]
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
--! [params.show_credentials]
--! type = "bool"
--! default = false
--! help = "Access key ids in full, not shortened"
--! [params.limit]
--! type = "int"
--! default = 100
--! help = "At most this many rows"
SELECT
    CASE
        WHEN $show_credentials THEN presigned_credential_key_id
        ELSE concat(substr(presigned_credential_key_id, 1, 4), '...', right(presigned_credential_key_id, 4))
    END AS access_key_id,
    presigned_date,
    presigned_expires_s,
    uri_param(request_uri, 'Expires') AS sigv2_end,
    bucket,
    key,
    method,
    count(*) AS requests,
    count(*) FILTER (WHERE is_success) AS successful,
    count(*) FILTER (WHERE http_status = 403) AS refused,
    approx_distinct(remote_ip) AS addresses_approx,
    approx_distinct(user_agent) AS user_agents_approx,
    coalesce(sum(bytes_sent), 0) AS bytes_sent,
    min(time) AS first_time,
    max(time) AS last_time
FROM requests
WHERE time >= $since AND time < $until
    AND ($bucket = '' OR bucket = $bucket)
    AND is_presigned
GROUP BY presigned_credential_key_id, presigned_date, presigned_expires_s, sigv2_end, bucket, key, method
ORDER BY
    requests DESC, presigned_credential_key_id, presigned_date, presigned_expires_s, sigv2_end, bucket, key, method
LIMIT $limit
