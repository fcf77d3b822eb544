--! id = "presigned-signature-in-clear"
--! kind = "detection"
--! title = "Signatures of pre-signed URLs stand unmasked in the log"
--! level = "medium"
--! description = """
--! AWS masks X-Amz-Signature in access logs. Here it, or the Signature of SigV2, is written in full, so the log line
--! is the whole URL: who can read the logs can use it until it ends. That is grave while the URL is valid (see
--! valid_until) and little afterwards; a saved query has one level, so this one is medium for both. One finding per
--! bucket and signer. Only requests that S3 fulfilled count: a made-up signature is no credential. Access key id,
--! date and security token are not said to be masked; with_session_token counts the requests whose token is logged
--! too. The count is of requests."""
--! runbook = [
--!     "Compare valid_until with the clock. If it is ahead, end the URLs: set the access key inactive (aws iam update-access-key --user-name USER --access-key-id KEY --status Inactive; a key that begins with ASIA is temporary: revoke the sessions of the role), or take the right from the signer.",
--!     "Look who can read the log bucket: aws s3api get-bucket-policy --bucket LOG_BUCKET and aws s3api get-bucket-acl --bucket LOG_BUCKET.",
--!     "Rewrite or expire old log objects that hold signatures; sign with SigV4 and short lifetimes.",
--! ]
--! falsepositives = [
--!     "Records from before masking began, whose URLs ended years ago.",
--!     "Logs of S3-compatible servers, which do not mask.",
--! ]
--! tags = ["presigned", "access-logging", "attack.t1552"]
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
    -- Up to the year 9999: what callers write has no limit.
    to_timestamp_seconds(CAST(max(least(end_s, 253402300799.0)) AS bigint)) AS valid_until,
    count(*) FILTER (WHERE signed_with = 'SigV2') AS sigv2,
    count(*) FILTER (WHERE has_token) AS with_session_token,
    min(key) AS example_key,
    min(
        CASE WHEN $show_credentials THEN key_id ELSE concat(substr(key_id, 1, 4), '...', right(key_id, 4)) END
    ) AS example_access_key
FROM (
    SELECT
        time,
        bucket,
        key,
        principal,
        presigned_credential_key_id AS key_id,
        log_bucket,
        log_key,
        log_offset,
        uri_param(request_uri, 'X-Amz-Security-Token') IS NOT NULL AS has_token,
        -- 64 hexadecimal digits, or 20 bytes in base 64 (whose + may have become a blank); a mask is neither.
        CASE
            WHEN regexp_like(uri_param(request_uri, 'X-Amz-Signature'), '^[0-9A-Fa-f]{64}$') THEN 'SigV4'
            WHEN regexp_like(uri_param(request_uri, 'Signature'), '^[0-9A-Za-z+/ ]{27}=$')
                AND NOT regexp_like(uri_param(request_uri, 'Signature'), '^[Xx]+=$') THEN 'SigV2'
        END AS signed_with,
        coalesce(
            date_part(
                'epoch',
                try_cast(
                    concat(
                        substr(presigned_date, 1, 4), '-', substr(presigned_date, 5, 2), '-', substr(presigned_date, 7, 5),
                        ':', substr(presigned_date, 12, 2), ':', substr(presigned_date, 14)
                    ) AS timestamp
                )
            ) + presigned_expires_s,
            try_cast(uri_param(request_uri, 'Expires') AS double)
        ) AS end_s
    FROM requests
    WHERE time >= $since AND time < $until
        AND http_status < 400
        -- Records too old to name the authentication have no host header either.
        AND (authentication_type = 'QueryString'
            OR authentication_type IS NULL AND host_header IS NULL AND request_uri LIKE '%xpires=%')
        AND is_presigned
) AS uses
WHERE signed_with IS NOT NULL
GROUP BY bucket, principal
ORDER BY bucket, subject
