--! id = "presigned-long-lived"
--! kind = "detection"
--! title = "Pre-signed URLs that are valid for longer than a limit"
--! level = "low"
--! description = """
--! Whoever holds a pre-signed URL acts with the rights of its signer until it ends; a long life is a long time to
--! leak. One finding per bucket and signer. Only requests that S3 fulfilled count, because only they prove a valid
--! signature. With SigV4 the lifetime stands in X-Amz-Expires. SigV2 states an end, not a lifetime: there the time
--! from the request to that end is taken, which is the least it can be. URLs that nobody used are in no log. The
--! count is of requests."""
--! runbook = [
--!     "Ask the owner of the signer whether the lifetime is needed; longest_lifetime_s is what was asked for, example_key where.",
--!     "Sign with a shorter X-Amz-Expires (aws s3 presign s3://BUCKET/KEY --expires-in 900).",
--!     "To end URLs that are out: take the rights from the signer, or set the key inactive (aws iam update-access-key --user-name USER --access-key-id KEY --status Inactive; a key that begins with ASIA is temporary: revoke the sessions of the role).",
--!     "Refuse old signatures by bucket policy with the condition s3:signatureAge.",
--! ]
--! falsepositives = [
--!     "Links that are sent by mail and meant to live for days.",
--!     "Uploads or downloads so long that a URL of hours is needed.",
--! ]
--! tags = ["presigned", "attack.t1530"]
--! [params.max_lifetime]
--! type = "duration"
--! default = "1d"
--! help = "Longer lifetimes than this are findings"
--! [params.show_credentials]
--! type = "bool"
--! default = false
--! help = "Show access key ids in full; they are shortened otherwise"
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
    max(lifetime_s) AS longest_lifetime_s,
    approx_distinct(concat_ws(' ', presigned_credential_key_id, signed_or_end, key)) AS urls_approx,
    count(*) FILTER (WHERE method NOT IN ('GET', 'HEAD')) AS writes,
    min(key) AS example_key,
    min(
        CASE
            WHEN $show_credentials THEN presigned_credential_key_id
            ELSE concat(substr(presigned_credential_key_id, 1, 4), '...', right(presigned_credential_key_id, 4))
        END
    ) AS example_access_key
FROM (
    SELECT
        time,
        bucket,
        key,
        method,
        principal,
        presigned_credential_key_id,
        log_bucket,
        log_key,
        log_offset,
        coalesce(presigned_date, uri_param(request_uri, 'Expires')) AS signed_or_end,
        coalesce(
            presigned_expires_s,
            try_cast(uri_param(request_uri, 'Expires') AS bigint) - CAST(date_part('epoch', time) AS bigint)
        ) AS lifetime_s
    FROM requests
    WHERE time >= $since AND time < $until
        AND http_status < 400
        -- Records too old to name the authentication have no host header either.
        AND (authentication_type = 'QueryString'
            OR authentication_type IS NULL AND host_header IS NULL AND request_uri LIKE '%xpires=%')
        AND is_presigned
) AS uses
WHERE lifetime_s > date_part('epoch', $max_lifetime)
GROUP BY bucket, principal
ORDER BY bucket, subject
