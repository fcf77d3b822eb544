--! id = "denied-burst"
--! kind = "detection"
--! title = "Many requests of one caller to a bucket were refused within minutes"
--! level = "low"
--! description = """
--! One principal, or one address without credentials, was refused at a bucket again and again in a short time: status 403,
--! or the code AccessDenied with another status. That is somebody who tries what they may, or a program that has lost a
--! right. Requests with wrong or expired credentials are logged without requester, so they count by address. Why a request
--! was refused is not in the logs. Not counted: answers that say that there is no such configuration or no such key, reads
--! of archived objects (InvalidObjectState), CORS preflights, the rows of single keys beside a multi-object delete, and
--! callers that are AWS itself or CloudFront.
--! count is the number of refusals in bursts. Requests that the policy of a VPC endpoint refuses are never logged."""
--! runbook = [
--!     "See what was tried, and whether anything worked: s3trail query principal-activity -p principal=SUBJECT -p bucket=BUCKET (for an address: s3trail query anonymous-requests -p bucket=BUCKET)",
--!     "For a principal of yours, ask its owner; after a change of policy: s3trail query policy-changed",
--!     "For a stranger, nothing was lost: check that nothing is open (s3trail query anonymous-success)",
--! ]
--! falsepositives = [
--!     "A program or a job whose right was taken away or never given",
--!     "A website that links to objects which are gone: without the right to list, S3 answers 403 for a missing key",
--! ]
--! tags = ["reconnaissance", "attack.t1619"]
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Findings from this time on"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Findings before this time"
--! [params.min_refusals]
--! type = "int"
--! default = 100
--! help = "Refusals within the window that make a burst, 2 or more"
--! [params.window]
--! type = "duration"
--! default = "5m"
--! help = "Time in which they must come"
WITH refused AS (
    SELECT
        time,
        bucket,
        CASE WHEN is_anonymous THEN remote_ip ELSE principal END AS subject,
        operation,
        key,
        error_code,
        remote_ip,
        log_bucket,
        log_key,
        log_offset
    FROM requests
    -- a burst that began before $since counts when it goes on after it
    WHERE time >= $since - $window AND time < $until
        AND (http_status = 403 OR error_code = 'AccessDenied')
        AND (error_code IS NULL OR error_code <> 'InvalidObjectState')
        AND operation_class <> 'preflight'
        -- one multi-object delete is one request, whatever the number of its keys
        AND operation NOT LIKE 'BATCH.%'
        AND NOT is_aws_internal
        AND principal_type <> 'cloudfront_oai'
),
numbered AS (
    SELECT
        *,
        row_number() OVER inorder AS number,
        -- from here on there are enough within the window
        lead(time, $min_refusals - 1) OVER inorder - time <= $window AS is_start
    FROM refused
    WINDOW inorder AS (PARTITION BY bucket, subject ORDER BY time, log_key, log_offset)
),
bursts AS (
    SELECT
        *,
        max(CASE WHEN is_start THEN number END) OVER (PARTITION BY bucket, subject ORDER BY number) AS start_number
    FROM numbered
)
SELECT
    min(time) AS first_seen,
    max(time) AS last_seen,
    bucket,
    subject,
    count(*) AS count,
    evidence(log_bucket, log_key, log_offset, time) AS evidence,
    array_to_string(array_sort(array_agg(DISTINCT operation)), ', ') AS operations,
    array_to_string(array_sort(array_agg(DISTINCT error_code)), ', ') AS error_codes,
    approx_distinct(key) AS keys_approx,
    min(key) AS example_key,
    approx_distinct(remote_ip) AS addresses_approx
FROM bursts
-- a start and what follows it in its window
WHERE number - start_number < $min_refusals
GROUP BY bucket, subject
HAVING max(time) >= $since
ORDER BY first_seen, bucket, subject
