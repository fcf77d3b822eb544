--! id = "bulk-download"
--! kind = "detection"
--! title = "Far more was downloaded than this caller usually reads"
--! level = "medium"
--! description = """
--! One caller read more than a set volume from a bucket to one address within one window, and many times what the
--! caller reads there in all. That is the volume which it exceeds in one window out of four, windows without a read
--! included; so a download that goes on for more than a quarter of the records counts as usual. With less than 24
--! windows of records the volume decides alone. Who did the same on earlier days is left out after the third day.
--! Anonymous callers are one finding for the bucket, whatever their addresses.
--! Bytes are the bodies that S3 sent. Copies inside AWS send no body: copy-out is for those. Behind a proxy or a
--! NAT an address is not one machine, and where the data went from there is not in the logs."""
--! runbook = [
--!     "Ask the owner of the identity whether the download was theirs. If not, stop it: for a user, aws iam update-access-key --user-name NAME --access-key-id ID --status Inactive; for a role, revoke its sessions in the IAM console (Revoke active sessions).",
--!     "List the keys that were read (query object-history, or the evidence) and find out what they hold.",
--!     "Look at what else the address and the identity did: query principal-activity.",
--!     "If the bucket is public without reason: aws s3api put-public-access-block --bucket BUCKET --public-access-block-configuration BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true",
--! ]
--! falsepositives = [
--!     "A restore, a migration, or the first run of a new job",
--!     "A public data set that somebody fetches as a whole",
--! ]
--! tags = ["exfiltration", "attack.t1530"]
--! [params.window]
--! type = "duration"
--! default = "1h"
--! help = "Length of the windows in which bytes are added up"
--! [params.min_bytes]
--! type = "int"
--! default = 10000000000
--! help = "Bytes sent to one address in one window that count as much; 10 GB"
--! [params.min_requests]
--! type = "int"
--! default = 20
--! help = "At least this many requests in that window; tools split large objects, so that a few large reads stay out"
--! [params.factor]
--! type = "float"
--! default = 10.0
--! help = "How many times the usual window of the caller it must be"
--! [params.habit_days]
--! type = "int"
--! default = 3
--! help = "After this many days with such a download by the same caller to the same address it is a habit"
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Findings from this time on"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Findings before this time"
WITH totals AS (
    -- What was read in each window, all addresses together: cheap, and it leaves few windows to look into.
    SELECT
        bucket,
        coalesce(requester, '-') AS requester,
        principal(requester) AS principal,
        starts,
        sum(bytes) OVER (PARTITION BY bucket, principal(requester), starts) AS bytes
    FROM (
        SELECT bucket, requester, date_bin($window, time) AS starts, coalesce(sum(bytes_sent), 0) AS bytes
        FROM access_logs
        WHERE operation IN ('REST.GET.OBJECT', 'REST.GET.PART', 'REST.POST.SELECT', 'WEBSITE.GET.OBJECT')
            AND time < $until
        GROUP BY bucket, requester, starts
    ) AS reads
),
ranked AS (
    -- A caller has one place for each window, whatever the number of its sessions.
    SELECT
        *,
        dense_rank() OVER (PARTITION BY bucket, principal ORDER BY bytes DESC, starts) AS place,
        CAST(
            date_part('epoch', max(starts) OVER (PARTITION BY bucket) - min(starts) OVER (PARTITION BY bucket))
                / date_part('epoch', CAST($window AS interval))
        AS bigint) + 1 AS windows
    FROM totals
),
compared AS (
    -- What the caller exceeds in a quarter of all windows: nothing, for one that is silent in more.
    SELECT
        *,
        max(CASE WHEN windows >= 24 AND place = windows / 4 + 1 THEN bytes ELSE 0 END)
            OVER (PARTITION BY bucket, principal) AS usual_bytes
    FROM ranked
),
cells AS (
    SELECT
        hot.bucket,
        hot.principal,
        hot.starts,
        hot.usual_bytes,
        reads.remote_ip,
        min(reads.time) AS first_seen,
        max(reads.time) AS last_seen,
        count(*) AS requests,
        sum(reads.bytes_sent) AS bytes,
        approx_distinct(reads.key) AS keys_approx,
        max(reads.user_agent) AS user_agent,
        evidence(reads.log_bucket, reads.log_key, reads.log_offset, reads.time) AS evidence
    FROM compared AS hot
    JOIN access_logs AS reads
        ON reads.bucket = hot.bucket
        AND coalesce(reads.requester, '-') = hot.requester
        AND date_bin($window, reads.time) = hot.starts
    WHERE hot.bytes >= $min_bytes
        AND hot.bytes >= $factor * hot.usual_bytes
        AND reads.operation IN ('REST.GET.OBJECT', 'REST.GET.PART', 'REST.POST.SELECT', 'WEBSITE.GET.OBJECT')
        AND reads.http_status BETWEEN 200 AND 299
        AND reads.bytes_sent > 0
        AND reads.time < $until
        -- Work inside AWS has no address, and CloudFront reads on behalf of its own visitors.
        AND reads.remote_ip IS NOT NULL
        AND coalesce(reads.requester, '-') NOT LIKE 'arn:aws:iam::cloudfront:%'
    GROUP BY hot.bucket, hot.principal, hot.starts, hot.usual_bytes, reads.remote_ip
),
days AS (
    SELECT
        *,
        dense_rank() OVER (
            PARTITION BY bucket, principal, remote_ip ORDER BY date_trunc('day', starts)
        ) AS hot_day
    FROM cells
    WHERE bytes >= $min_bytes
        AND bytes >= $factor * usual_bytes
        AND requests >= $min_requests
)
SELECT
    min(first_seen) AS first_seen,
    max(last_seen) AS last_seen,
    bucket,
    CASE WHEN principal = 'anonymous' THEN principal ELSE concat(principal, ' to ', remote_ip) END AS subject,
    sum(requests) AS count,
    array_slice(flatten(array_agg(evidence ORDER BY starts)), 1, 10) AS evidence,
    sum(bytes) AS bytes_sent,
    max(bytes) AS largest_window_bytes,
    max(usual_bytes) AS usual_window_bytes,
    max(keys_approx) AS most_keys_approx,
    count(DISTINCT remote_ip) AS addresses,
    max(user_agent) AS example_user_agent
FROM days
WHERE hot_day <= $habit_days AND last_seen >= $since
GROUP BY bucket, subject
ORDER BY bytes_sent DESC, bucket, subject
