--! id = "throttled-prefix"
--! kind = "detection"
--! title = "S3 throttled requests for a prefix"
--! level = "low"
--! description = """
--! S3 answered many requests for one prefix (the key up to its first slash) with 503 SlowDown or ServiceUnavailable
--! within one window. Clients retry by themselves, so that this shows first as slowness. S3 adapts to
--! the load of a prefix, but not at once; a steady rate of 503 means that the load grows faster than that.
--! How S3 logs a request refused by KMS is not documented: such refusals may be among these."""
--! runbook = [
--!     "See who sends the load: query server-errors, then top-talkers for the hour. Let that caller back off or work in parallel over several prefixes.",
--!     "Spread the keys over more prefixes; lists and deletes of whole prefixes can wait for quieter hours.",
--!     "If the objects use SSE-KMS: aws s3api get-bucket-encryption --bucket BUCKET; a bucket key (BucketKeyEnabled) takes the load from KMS.",
--! ]
--! falsepositives = ["A load test", "The start of a large job, for some minutes"]
--! tags = ["operations"]
--! [params.window]
--! type = "duration"
--! default = "1h"
--! help = "Length of the windows in which answers are counted"
--! [params.min_errors]
--! type = "int"
--! default = 100
--! help = "At least this many throttled requests for the prefix in one window"
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Findings from this time on"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Findings before this time"
SELECT
    min(first_seen) AS first_seen,
    max(last_seen) AS last_seen,
    bucket,
    CASE WHEN prefix = '' THEN '(no prefix)' ELSE prefix END AS subject,
    sum(errors) AS count,
    array_slice(flatten(array_agg(evidence ORDER BY first_seen)), 1, 10) AS evidence,
    count(*) AS windows,
    max(errors) AS most_in_a_window,
    min(example_operation) AS example_operation,
    min(example_principal) AS example_principal
FROM (
    SELECT
        bucket,
        coalesce(substr(key, 1, strpos(key, '/')), '') AS prefix,
        date_bin($window, time) AS starts,
        min(time) AS first_seen,
        max(time) AS last_seen,
        count(*) AS errors,
        evidence(log_bucket, log_key, log_offset, time) AS evidence,
        min(operation) AS example_operation,
        min(principal(requester)) AS example_principal
    FROM access_logs
    WHERE http_status = 503
        AND error_code IN ('SlowDown', 'ServiceUnavailable')
        AND time >= $since AND time < $until
    GROUP BY bucket, coalesce(substr(key, 1, strpos(key, '/')), ''), date_bin($window, time)
) AS windows
WHERE errors >= $min_errors
GROUP BY bucket, prefix
ORDER BY count DESC, bucket, subject
