--! id = "upload-denied-then-accepted"
--! kind = "detection"
--! title = "Uploads were refused, and soon after accepted from the same caller"
--! level = "informational"
--! description = """
--! A caller's uploads were answered 403 AccessDenied, and within the window the same caller's upload below the same
--! prefix (the key up to its first slash) was accepted; in the window before, none was accepted there. This is what a
--! policy that demands encryption looks like at work: the client is refused, is taught to ask for encryption, and
--! comes through.
--! That is inferred. Neither the header nor the reason for a refusal is in these logs, and a missing permission that
--! was granted in between looks the same. policy_changed says whether the bucket policy was changed between refusal
--! and acceptance: if so, more likely the policy gave way than the client. Changes of IAM policies are not in these
--! logs. count is the number of refusals that were followed by an acceptance. Anonymous callers are left out."""
--! runbook = [
--!     "Read the bucket policy for conditions on s3:x-amz-server-side-encryption: aws s3api get-bucket-policy --bucket BUCKET --query Policy --output text",
--!     "If there is such a condition, the policy does what it should; tell the owner of the client to set the encryption from the start.",
--!     "If there is none, find in CloudTrail what changed between refusal and acceptance: the bucket policy, an IAM policy or the key policy.",
--!     "Look at how the accepted objects are encrypted: aws s3api head-object --bucket BUCKET --key KEY",
--! ]
--! falsepositives = [
--!     "A permission was missing and was granted.",
--!     "A condition other than encryption: the ACL, a tag, the network or the storage class that the policy demands.",
--!     "A role with two programs, of which only one may write.",
--! ]
--! tags = ["encryption-at-rest", "configuration"]
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Findings from this time on"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Findings before this time"
--! [params.window]
--! type = "duration"
--! default = "1h"
--! help = "A refusal counts when an upload is accepted within this time after it"
--! [params.min_refused]
--! type = "int"
--! default = 3
--! help = "So many refusals in a row, with none accepted between them, below one prefix"
WITH refusals AS (
    -- Slots of the length of the window: refusals that count together lie in two that follow each other.
    SELECT
        bucket,
        principal,
        key_prefix AS prefix,
        CAST(floor(date_part('epoch', time) / date_part('epoch', CAST($window AS interval))) AS bigint) AS slot,
        count(*) AS refusals
    FROM requests
    WHERE time >= $since AND time < $until
        AND http_status = 403
        AND error_code = 'AccessDenied'
        AND operation IN ('REST.PUT.OBJECT', 'REST.POST.OBJECT', 'REST.POST.UPLOADS', 'REST.COPY.OBJECT')
        AND requester IS NOT NULL
        AND NOT is_aws_internal
    GROUP BY bucket, principal, prefix, slot
),
refused AS (
    SELECT DISTINCT bucket, principal, prefix, unnest([slot - 2, slot - 1, slot, slot + 1]) AS slot
    FROM (
        SELECT
            refusals.*,
            lag(slot) OVER (PARTITION BY bucket, principal, prefix ORDER BY slot) AS slot_before,
            lag(refusals) OVER (PARTITION BY bucket, principal, prefix ORDER BY slot) AS refusals_before
        FROM refusals
    ) AS slots
    WHERE refusals + CASE WHEN slot_before = slot - 1 THEN refusals_before ELSE 0 END >= $min_refused
),
events AS (
    -- Uploads where and when there were refusals. The small side comes first: without refusals the other is not read.
    SELECT
        CASE WHEN uploads.http_status = 403 THEN 'refused' ELSE 'accepted' END AS kind,
        uploads.time, uploads.bucket, uploads.principal, uploads.prefix,
        uploads.log_bucket, uploads.log_key, uploads.log_offset
    FROM refused
    INNER JOIN (
        SELECT
            time, bucket, principal, key_prefix AS prefix, http_status, log_bucket, log_key, log_offset,
            CAST(floor(date_part('epoch', time) / date_part('epoch', CAST($window AS interval))) AS bigint) AS slot
        FROM requests
        WHERE time < $until
            AND operation IN ('REST.PUT.OBJECT', 'REST.POST.OBJECT', 'REST.POST.UPLOADS', 'REST.COPY.OBJECT')
            AND (is_success OR http_status = 403 AND error_code = 'AccessDenied')
    ) AS uploads
        ON refused.bucket = uploads.bucket
        AND refused.slot = uploads.slot
        AND refused.principal = uploads.principal
        AND refused.prefix = uploads.prefix
    UNION ALL
    SELECT 'policy', time, bucket, NULL, NULL, NULL, NULL, NULL
    FROM requests
    WHERE time >= $since AND time < $until
        AND operation IN ('REST.PUT.BUCKETPOLICY', 'REST.DELETE.BUCKETPOLICY')
        AND is_success
),
-- For each event, what came before and what comes next. Within one second the order is not known: an acceptance
-- counts as later.
placed AS (
    SELECT
        events.*,
        max(CASE WHEN kind = 'accepted' THEN time END) OVER (
            PARTITION BY bucket, principal, prefix ORDER BY time, kind DESC ROWS UNBOUNDED PRECEDING
        ) AS accepted_before,
        min(CASE WHEN kind = 'accepted' THEN time END) OVER (
            PARTITION BY bucket, principal, prefix ORDER BY time DESC, kind ROWS UNBOUNDED PRECEDING
        ) AS accepted_at,
        min(CASE WHEN kind = 'policy' THEN time END) OVER (
            PARTITION BY bucket ORDER BY time DESC, kind ROWS UNBOUNDED PRECEDING
        ) AS policy_at
    FROM events
),
-- Refusals in a row, up to the acceptance that ended them.
runs AS (
    SELECT
        bucket,
        principal,
        prefix,
        accepted_at,
        min(time) AS first_refused,
        count(*) AS refusals,
        coalesce(bool_or(policy_at <= accepted_at), false) AS policy_changed,
        evidence(log_bucket, log_key, log_offset, time) AS places
    FROM placed
    WHERE kind = 'refused'
        AND time >= $since
        AND accepted_at <= time + $window
        AND (accepted_before IS NULL OR accepted_before < time - $window)
    GROUP BY bucket, principal, prefix, accepted_at
    HAVING count(*) >= $min_refused
)
SELECT
    min(first_refused) AS first_seen,
    max(accepted_at) AS last_seen,
    bucket,
    principal AS subject,
    sum(refusals) AS count,
    first_value(places ORDER BY first_refused, prefix) AS evidence,
    count(DISTINCT prefix) AS prefixes,
    min(prefix) AS example_prefix,
    bool_or(policy_changed) AS policy_changed
FROM runs
GROUP BY bucket, principal
ORDER BY first_seen, bucket, subject
