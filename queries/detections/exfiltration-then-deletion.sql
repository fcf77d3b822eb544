--! id = "exfiltration-then-deletion"
--! kind = "detection"
--! title = "Objects were read and then deleted in bulk by the same caller"
--! level = "high"
--! description = """
--! Within one window a caller deleted many objects, and most of them it had read shortly before, or somebody at the
--! same address had. This is the course of an extortion: the data is taken, then destroyed. Copies to elsewhere
--! count as reads; each key of a batch delete counts.
--! Only objects read before the first of these deletions count, so that a worker which takes one object after the
--! other and deletes it stays out, and only objects that nobody wrote in that time, so that files on their way
--! through a pipeline stay out. A compaction or a move looks the same; who did so on earlier days is left out after
--! the third day.
--! In a versioned bucket a plain delete leaves a delete marker and the object can be brought back;
--! permanent_deletes counts those that named a version. How much of the bucket is left is not in the logs."""
--! runbook = [
--!     "Stop the identity now: for a user, aws iam update-access-key --user-name NAME --access-key-id ID --status Inactive; for a role, revoke its sessions in the IAM console (Revoke active sessions).",
--!     "See what can be brought back: aws s3api list-object-versions --bucket BUCKET --prefix PREFIX --query 'DeleteMarkers[?IsLatest]', then aws s3api delete-object --bucket BUCKET --key KEY --version-id MARKER_ID removes a marker.",
--!     "Stop lifecycle rules from expiring noncurrent versions until that is done: aws s3api get-bucket-lifecycle-configuration --bucket BUCKET",
--!     "List what was read and deleted, for the report of the loss: query who-deleted and the evidence.",
--! ]
--! falsepositives = [
--!     "Compaction, or a move of a prefix (aws s3 mv, rename in Spark) that is done once",
--!     "A migration to another bucket or account",
--! ]
--! tags = ["exfiltration", "destruction", "attack.t1530", "attack.t1485", "attack.t1486"]
--! [params.within]
--! type = "duration"
--! default = "30h"
--! help = "Longest time between reading an object and deleting it; objects written in that time before their deletion do not count"
--! [params.burst]
--! type = "duration"
--! default = "1h"
--! help = "Length of the windows in which deletions are counted"
--! [params.min_keys]
--! type = "int"
--! default = 100
--! help = "At least this many keys read and then deleted, within one window of deletions"
--! [params.min_share]
--! type = "float"
--! default = 0.5
--! help = "At least this share of what the caller deleted in that window must have been read before"
--! [params.habit_days]
--! type = "int"
--! default = 3
--! help = "After this many days on which the same caller did so in the same bucket it is a habit"
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Findings from this time on"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Findings before this time"
WITH deletions AS (
    -- One row for each key and window of deletions.
    SELECT
        bucket,
        requester,
        date_bin($burst, time) AS burst,
        key,
        min(time) AS deleted_at,
        min(remote_ip) AS remote_ip,
        bool_or(version_id IS NOT NULL OR uri_param(request_uri, 'versionId') IS NOT NULL) AS is_permanent,
        -- How many keys the caller deleted in this window.
        count(*) OVER (PARTITION BY bucket, requester, date_bin($burst, time)) AS keys_deleted
    FROM access_logs
    WHERE operation IN ('REST.DELETE.OBJECT', 'BATCH.DELETE.OBJECT')
        AND http_status BETWEEN 200 AND 299
        AND remote_ip IS NOT NULL
        AND time < $until
    GROUP BY bucket, requester, date_bin($burst, time), key
),
accesses AS (
    -- The first and the last for each key, party and period of length $within: nothing here is paired with each of
    -- many deletions. Reads count by the same caller or from the same address, writes by anyone (*).
    SELECT
        bucket,
        key,
        who,
        date_bin($within, time) AS period,
        min(time) AS first_at,
        max(time) AS last_at,
        max(object_size) AS object_size
    FROM (
        SELECT
            bucket,
            key,
            time,
            object_size,
            unnest(CASE
                WHEN operation IN ('REST.GET.OBJECT', 'REST.COPY.OBJECT_GET', 'REST.COPY.PART_GET')
                    THEN make_array(requester, remote_ip)
                ELSE make_array('*')
            END) AS who
        FROM (
            SELECT DISTINCT bucket AS deleted_bucket, key AS deleted_key FROM deletions WHERE keys_deleted >= $min_keys
        )
        JOIN access_logs ON bucket = deleted_bucket AND key = deleted_key
        WHERE operation IN (
                'REST.GET.OBJECT', 'REST.COPY.OBJECT_GET', 'REST.COPY.PART_GET',
                'REST.PUT.OBJECT', 'REST.POST.OBJECT', 'REST.POST.UPLOAD', 'REST.COPY.OBJECT'
            )
            -- Copies log no status at times.
            AND (http_status BETWEEN 200 AND 299 OR http_status IS NULL)
            AND error_code IS NULL
            AND time < $until
    )
    GROUP BY bucket, key, who, date_bin($within, time)
),
sought AS (
    -- An access no longer than $within before a deletion lies in the deletion's period or in the one before.
    SELECT
        *,
        unnest(make_array(
            date_bin($within, deleted_at), date_bin($within, deleted_at) - CAST($within AS INTERVAL)
        )) AS period
    FROM (
        SELECT *, unnest(make_array(requester, remote_ip, '*')) AS who
        FROM deletions
        WHERE keys_deleted >= $min_keys
    )
),
met AS (
    -- The first access of that period which is no longer than $within before the deletion; the last one, where others
    -- were before that. Which it is matters only to windows of deletions that lie in two periods, and those do not
    -- where $within is a multiple of $burst.
    SELECT
        sought.*,
        accesses.object_size,
        CASE
            WHEN accesses.first_at >= deleted_at - CAST($within AS INTERVAL) THEN accesses.first_at
            ELSE accesses.last_at
        END AS read_at
    FROM accesses
    JOIN sought
        ON sought.bucket = accesses.bucket
        AND sought.key = accesses.key
        AND sought.who = accesses.who
        AND sought.period = accesses.period
),
touched AS (
    -- What happened to these keys in the time before.
    SELECT
        bucket,
        requester,
        burst,
        key,
        min(keys_deleted) AS keys_deleted,
        min(deleted_at) AS deleted_at,
        min(remote_ip) AS remote_ip,
        bool_or(is_permanent) AS is_permanent,
        bool_or(who = '*') AS is_fresh,
        min(read_at) AS read_at,
        max(object_size) AS object_size
    FROM met
    WHERE read_at >= deleted_at - CAST($within AS INTERVAL) AND read_at < deleted_at
    GROUP BY bucket, requester, burst, key
),
taken AS (
    SELECT
        *,
        min(deleted_at) OVER (PARTITION BY bucket, requester, burst) AS first_deleted_at
    FROM touched
    WHERE NOT is_fresh
),
counted AS (
    SELECT
        *,
        count(*) OVER (PARTITION BY bucket, requester, burst) AS keys_taken
    FROM taken
    WHERE read_at < first_deleted_at
),
ranked AS (
    SELECT
        *,
        principal(requester) AS principal,
        dense_rank() OVER (PARTITION BY bucket, principal(requester) ORDER BY date_trunc('day', burst)) AS hot_day
    FROM counted
    WHERE keys_taken >= $min_keys AND keys_taken >= $min_share * keys_deleted
),
found AS (
    SELECT
        *,
        sum(object_size) OVER (PARTITION BY bucket, principal) AS bytes,
        unnest(make_array(read_at, deleted_at)) AS seen_at
    FROM ranked
    WHERE hot_day <= $habit_days AND deleted_at >= $since
)
SELECT
    min(read_at) AS first_seen,
    max(deleted_at) AS last_seen,
    found.bucket,
    principal AS subject,
    count(DISTINCT found.key) AS count,
    array_concat(
        array_slice(evidence(log_bucket, log_key, log_offset, seen_at) FILTER (WHERE seen_at < deleted_at), 1, 5),
        array_slice(evidence(log_bucket, log_key, log_offset, seen_at) FILTER (WHERE seen_at = deleted_at), 1, 5)
    ) AS evidence,
    min(deleted_at) AS first_deletion,
    min(bytes) AS bytes,
    count(DISTINCT found.key) FILTER (WHERE is_permanent) AS permanent_deletes,
    count(DISTINCT substr(found.key, 1, strpos(found.key, '/'))) AS prefixes,
    min(found.key) AS example_key,
    count(DISTINCT found.remote_ip) AS addresses,
    min(found.remote_ip) AS example_address
FROM found
-- Where they are in the log is looked up of those that are found, and not carried along.
JOIN access_logs AS logged
    ON logged.bucket = found.bucket
    AND logged.key = found.key
    AND logged.time = found.seen_at
    AND ((logged.requester IS NOT DISTINCT FROM found.requester) OR logged.remote_ip = found.remote_ip)
WHERE logged.operation IN (
        'REST.GET.OBJECT', 'REST.COPY.OBJECT_GET', 'REST.COPY.PART_GET', 'REST.DELETE.OBJECT', 'BATCH.DELETE.OBJECT'
    )
    AND logged.error_code IS NULL
    AND (logged.operation LIKE '%DELETE%') = (seen_at = deleted_at)
GROUP BY found.bucket, principal
ORDER BY count DESC, found.bucket, subject
