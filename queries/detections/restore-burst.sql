--! id = "restore-burst"
--! kind = "detection"
--! title = "Many restores of archived objects by one caller in a short time"
--! level = "medium"
--! description = """
--! Restores cost money, and they come before archived data can be read: a mistake in a script, or somebody who wants
--! everything. One finding per bucket and caller, with the windows of the clock in which S3 accepted at least
--! min_requests restore requests (status 202 for a new one, 200 for a longer one). Which tier was asked for is in the
--! body and not logged. A burst across the edge of two windows can stay below the threshold in both. The count is of
--! accepted requests in those windows; requests by batch jobs show under the role of the job."""
--! runbook = [
--!     "Ask the caller what the restore is for; to stop it meanwhile, take s3:RestoreObject away.",
--!     "See what was restored and whether it was read afterwards: s3trail query principal-history -p principal=SUBJECT.",
--!     "List the rules of the bucket to see what goes to archive storage: aws s3api get-bucket-lifecycle-configuration --bucket BUCKET.",
--! ]
--! falsepositives = ["A planned restore, such as a recovery test, an audit, or S3 Batch Operations."]
--! tags = ["glacier", "cost", "exfiltration", "attack.t1530"]
--! [params.min_requests]
--! type = "int"
--! default = 200
--! help = "Accepted restores in one window from which on it is a burst"
--! [params.window]
--! type = "duration"
--! default = "1h"
--! help = "Length of the windows, counted from full hours and days"
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
    subject,
    CAST(sum(restores) AS bigint) AS count,
    -- Places of the first burst.
    first_value(places ORDER BY first_seen) AS evidence,
    count(*) AS windows,
    max(restores) AS most_in_a_window,
    sum(keys_approx) AS keys_approx,
    sum(bytes) AS bytes,
    min(example_key) AS example_key
FROM (
    SELECT
        bucket,
        principal AS subject,
        date_bin($window, time) AS bin,
        count(*) AS restores,
        min(time) AS first_seen,
        max(time) AS last_seen,
        approx_distinct(key) AS keys_approx,
        coalesce(sum(object_size), 0) AS bytes,
        min(key) AS example_key,
        evidence(log_bucket, log_key, log_offset, time) AS places
    FROM requests
    WHERE time >= $since AND time < $until
        AND operation = 'REST.POST.RESTORE'
        AND http_status BETWEEN 200 AND 299
    GROUP BY bucket, principal, bin
    HAVING count(*) >= $min_requests
) AS bursts
GROUP BY bucket, subject
ORDER BY bucket, subject
