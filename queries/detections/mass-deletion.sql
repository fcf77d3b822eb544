--! id = "mass-deletion"
--! kind = "detection"
--! title = "One caller deleted very many objects in a short time"
--! level = "high"
--! description = """
--! A caller deleted at least min_keys keys or versions in a bucket within the window, with success: single deletes,
--! and the rows of multi-object deletes, of which S3 writes one for each key. Data is being destroyed, or cleaned up.
--! Deletes with a version id (versions) are final; others too, unless versioning is on, which these logs do not tell.
--! S3 answers a delete with success whether or not there was such an object; bytes adds up the sizes that were logged.
--! A caller who deletes about as much on many other days is taken for a clean-up job and left out: the window must have
--! times_usual as many deletes as the busiest windows of its other days have on average, once there are routine_days
--! such days. Before that (cold start) only min_keys counts. Lifecycle expirations are left out; they have no caller.
--! The window moves in steps of half its length. count adds up all windows that are part of the finding; versions and
--! bytes are those of all deletes between its first and last."""
--! runbook = [
--!     "Disable the caller's credentials first, unless its owner says that the deletion is meant: aws iam update-access-key --access-key-id ID --status Inactive --user-name USER, or revoke the sessions of the role.",
--!     "See whether the bucket has versioning: aws s3api get-bucket-versioning --bucket BUCKET",
--!     "With versioning, bring objects back by deleting their delete markers: aws s3api list-object-versions --bucket BUCKET --query DeleteMarkers",
--!     "Without it, or where versions are greater than 0, restore from a replica or a backup.",
--!     "Look for what the caller read before: exfiltration comes before destruction.",
--! ]
--! falsepositives = [
--!     "A bucket is emptied before it is removed.",
--!     "A clean-up job on its first days, or one that had an unusual amount to do.",
--!     "Tables of a data lake that are compacted or vacuumed.",
--! ]
--! tags = ["destruction", "versioning", "attack.t1485"]
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Findings from this time on"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Findings before this time"
--! [params.min_keys]
--! type = "int"
--! default = 1000
--! help = "So many keys or versions deleted within the window; 1000 is one full multi-object delete"
--! [params.window]
--! type = "duration"
--! default = "1h"
--! help = "Deletes within this time count together"
--! [params.routine_days]
--! type = "int"
--! default = 5
--! help = "On so many other days a caller must have deleted before its usual amount is known"
--! [params.times_usual]
--! type = "float"
--! default = 3.0
--! help = "A window must have this many times the usual amount, once it is known"
WITH slots AS (
    -- Slots of half a window, all of them history; two that follow each other are a window.
    SELECT
        bucket,
        principal,
        CAST(floor(2 * date_part('epoch', time) / date_part('epoch', CAST($window AS interval))) AS bigint) AS slot,
        min(time) AS first_time,
        max(time) AS last_time,
        count(*) AS keys
    FROM requests
    WHERE time < $until
        AND operation IN ('REST.DELETE.OBJECT', 'BATCH.DELETE.OBJECT')
        AND is_success
        AND NOT is_aws_internal
    GROUP BY bucket, principal, slot
),
windows AS (
    SELECT
        slots.*,
        date_trunc('day', first_time) AS day,
        keys + CASE
            WHEN lead(slot) OVER (PARTITION BY bucket, principal ORDER BY slot) = slot + 1
                THEN lead(keys) OVER (PARTITION BY bucket, principal ORDER BY slot)
            ELSE 0
        END AS in_window
    FROM slots
),
days AS (
    -- The busiest window of each day, once for each day.
    SELECT
        windows.*,
        max(in_window) OVER (PARTITION BY bucket, principal, day) AS busiest,
        CASE
            WHEN slot = min(slot) OVER (PARTITION BY bucket, principal, day)
                THEN max(in_window) OVER (PARTITION BY bucket, principal, day)
        END AS busiest_once
    FROM windows
),
usual AS (
    -- What is usual on a day is the average of all other days.
    SELECT
        days.*,
        count(busiest_once) OVER (PARTITION BY bucket, principal) - 1 AS other_days,
        (sum(busiest_once) OVER (PARTITION BY bucket, principal) - busiest)
            / nullif(count(busiest_once) OVER (PARTITION BY bucket, principal) - 1.0, 0) AS usual_window
    FROM days
),
judged AS (
    SELECT
        usual.*,
        in_window >= $min_keys
            AND (other_days < $routine_days OR in_window >= $times_usual * usual_window) AS is_mass
    FROM usual
),
marked AS (
    -- A window has its own slot and the next one.
    SELECT
        judged.*,
        is_mass OR coalesce(
            lag(is_mass) OVER (PARTITION BY bucket, principal ORDER BY slot)
                AND lag(slot) OVER (PARTITION BY bucket, principal ORDER BY slot) = slot - 1,
            false
        ) AS is_part
    FROM judged
),
found AS (
    SELECT
        bucket,
        principal,
        min(first_time) AS first_seen,
        max(last_time) AS last_seen,
        sum(keys) AS keys,
        max(in_window) AS busiest_window,
        round(min(CASE WHEN other_days >= $routine_days THEN usual_window END), 1) AS usual_window
    FROM marked
    WHERE is_part
        AND last_time >= $since
    GROUP BY bucket, principal
)
SELECT
    found.first_seen,
    found.last_seen,
    found.bucket,
    found.principal AS subject,
    found.keys AS count,
    evidence(deletes.log_bucket, deletes.log_key, deletes.log_offset, deletes.time) AS evidence,
    found.busiest_window,
    found.usual_window,
    round(1.0 * count(*) FILTER (WHERE deletes.operation = 'BATCH.DELETE.OBJECT') / count(*), 2) AS share_in_batches,
    count(*) FILTER (
        WHERE deletes.version_id IS NOT NULL OR uri_param(deletes.request_uri, 'versionId') IS NOT NULL
    ) AS versions,
    sum(deletes.object_size) AS bytes,
    min(deletes.session_name) AS example_session,
    min(deletes.remote_ip) AS example_address
-- The small side comes first: when it is empty the other is not read.
FROM found
INNER JOIN (
    SELECT *
    FROM requests
    WHERE time < $until
        AND operation IN ('REST.DELETE.OBJECT', 'BATCH.DELETE.OBJECT')
        AND is_success
        AND NOT is_aws_internal
) AS deletes
    ON deletes.bucket = found.bucket
    AND deletes.principal = found.principal
    AND deletes.time BETWEEN found.first_seen AND found.last_seen
GROUP BY
    found.first_seen, found.last_seen, found.bucket, found.principal, found.keys,
    found.busiest_window, found.usual_window
ORDER BY first_seen, bucket, subject
