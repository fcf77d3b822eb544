--! id = "script-upload"
--! kind = "detection"
--! title = "A script or page of a website was written by somebody who is not its usual uploader"
--! level = "medium"
--! description = """
--! A script or a page (.js, .html and the like) was written into a bucket that serves such objects to the public,
--! by a caller that is not one of its deployers. Whoever changes a script of a website reaches all of its visitors.
--! Without a list of deployers the history decides: an uploader counts as new in its first days, when the records of
--! the bucket reach back further than the set history; when they do not, nothing is said.
--! That a bucket serves the public is inferred from successful reads of scripts or pages by anonymous callers or by
--! CloudFront. What was changed is not in the logs."""
--! runbook = [
--!     "Compare the object with what was deployed: aws s3 cp s3://BUCKET/KEY - | diff - YOUR_COPY. If it was tampered with, put the right version back (aws s3api list-object-versions --bucket BUCKET --prefix KEY) and invalidate the CDN: aws cloudfront create-invalidation --distribution-id ID --paths '/KEY'.",
--!     "Ask the owner of the identity. If it was not theirs: aws iam update-access-key --user-name NAME --access-key-id ID --status Inactive, or revoke the sessions of the role.",
--!     "Let only the deployment role write to the bucket, and name it in the parameter deployers.",
--! ]
--! falsepositives = ["A new deployment role", "A person who fixes a page by hand"]
--! tags = ["anomalies", "attack.t1491.002", "attack.t1565.001"]
--! [params.pattern]
--! type = "text"
--! default = '(?i)\.(m?js|html?|xhtml|svg|wasm|php)$'
--! help = "Regular expression of keys that are scripts and pages; name your web paths if only some of the bucket is a website"
--! [params.deployers]
--! type = "text_list"
--! default = []
--! help = "Principals (roles without session) that deploy; all others are findings, whatever the history"
--! [params.history]
--! type = "duration"
--! default = "7d"
--! help = "How far the records must reach back before an uploader counts as new, and how long it stays new"
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Findings from this time on"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Findings before this time"
WITH uploads AS (
    SELECT
        bucket,
        principal(requester) AS principal,
        key,
        time,
        remote_ip,
        user_agent,
        log_bucket,
        log_key,
        log_offset,
        min(time) OVER (PARTITION BY bucket, principal(requester)) AS first_upload
    FROM access_logs
    WHERE operation IN ('REST.PUT.OBJECT', 'REST.POST.OBJECT', 'REST.POST.UPLOAD', 'REST.COPY.OBJECT')
        AND (http_status BETWEEN 200 AND 299 OR http_status IS NULL)
        AND error_code IS NULL
        AND remote_ip IS NOT NULL
        AND time < $until
        AND regexp_like(key, $pattern)
),
starts AS (
    SELECT bucket, min(time) AS first_time
    FROM access_logs
    GROUP BY bucket
)
SELECT
    min(uploads.time) AS first_seen,
    max(uploads.time) AS last_seen,
    uploads.bucket AS bucket,
    uploads.principal AS subject,
    count(*) AS count,
    evidence(uploads.log_bucket, uploads.log_key, uploads.log_offset, uploads.time) AS evidence,
    count(DISTINCT uploads.key) AS keys,
    min(uploads.key) AS example_key,
    count(DISTINCT uploads.remote_ip) AS addresses,
    min(uploads.remote_ip) AS example_address,
    min(uploads.user_agent) AS example_user_agent
FROM uploads
JOIN starts ON starts.bucket = uploads.bucket
WHERE uploads.time >= $since
    AND CASE
        WHEN array_to_string($deployers, ',') = '' THEN
            uploads.first_upload >= starts.first_time + $history
            AND uploads.time < uploads.first_upload + $history
        ELSE NOT array_has($deployers, uploads.principal)
    END
    -- The bucket serves scripts or pages to the public.
    AND uploads.bucket IN (
        SELECT bucket
        FROM access_logs
        WHERE operation IN ('REST.GET.OBJECT', 'WEBSITE.GET.OBJECT')
            AND http_status IN (200, 206, 304)
            AND (
                principal_type(requester) IN ('anonymous', 'cloudfront_oai')
                OR requester = 'svc:cloudfront.amazonaws.com'
            )
            AND time < $until
            AND regexp_like(key, $pattern)
    )
GROUP BY uploads.bucket, uploads.principal
ORDER BY count DESC, bucket, subject
