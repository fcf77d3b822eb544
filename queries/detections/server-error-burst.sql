--! id = "server-error-burst"
--! kind = "detection"
--! title = "S3 answered with a burst of server errors"
--! level = "low"
--! description = """
--! Within one window many requests to a bucket got an answer of status 500 or above, and they were more than a small
--! share of all. Throttling (503 SlowDown, ServiceUnavailable) is for throttled-prefix, refused expedited restores are
--! left out. Single 500s are normal; clients are meant to retry them. The reason is not in the logs."""
--! runbook = [
--!     "Look at the AWS Health Dashboard for the region and the time.",
--!     "Check that the clients retried and got through: query object-history for a key of the evidence.",
--!     "Give AWS Support the request id and the host id (x-amz-id-2) of some of the records; both are in the evidence lines.",
--! ]
--! falsepositives = ["A bucket with little traffic, where few errors are a large share", "S3-compatible servers under maintenance"]
--! tags = ["operations"]
--! [params.window]
--! type = "duration"
--! default = "15m"
--! help = "Length of the windows in which answers are counted"
--! [params.min_errors]
--! type = "int"
--! default = 20
--! help = "At least this many of one error code in one window"
--! [params.min_share]
--! type = "float"
--! default = 0.01
--! help = "At least this share of all requests to the bucket in that window"
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Findings from this time on"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Findings before this time"
WITH errors AS (
    SELECT
        bucket,
        date_bin($window, time) AS starts,
        coalesce(error_code, CAST(http_status AS varchar)) AS code,
        min(time) AS first_seen,
        max(time) AS last_seen,
        count(*) AS errors,
        evidence(log_bucket, log_key, log_offset, time) AS evidence,
        min(operation) AS example_operation
    FROM access_logs
    WHERE http_status >= 500
        AND (
            error_code IS NULL
            OR error_code NOT IN ('SlowDown', 'ServiceUnavailable', 'GlacierExpeditedRetrievalNotAvailable')
        )
        AND time >= $since AND time < $until
    GROUP BY bucket, date_bin($window, time), coalesce(error_code, CAST(http_status AS varchar))
),
totals AS (
    SELECT bucket, date_bin($window, time) AS starts, count(*) AS requests
    FROM access_logs
    WHERE time >= $since AND time < $until
    GROUP BY bucket, date_bin($window, time)
)
SELECT
    min(errors.first_seen) AS first_seen,
    max(errors.last_seen) AS last_seen,
    errors.bucket AS bucket,
    errors.code AS subject,
    sum(errors.errors) AS count,
    array_slice(flatten(array_agg(errors.evidence ORDER BY errors.starts)), 1, 10) AS evidence,
    count(*) AS windows,
    max(errors.errors) AS most_in_a_window,
    round(max(100.0 * errors.errors / totals.requests), 1) AS highest_percent,
    min(errors.example_operation) AS example_operation
FROM errors
JOIN totals ON totals.bucket = errors.bucket AND totals.starts = errors.starts
WHERE errors.errors >= $min_errors
    AND errors.errors >= $min_share * totals.requests
GROUP BY errors.bucket, errors.code
ORDER BY count DESC, bucket, subject
