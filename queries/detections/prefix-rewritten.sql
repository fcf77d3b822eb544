--! id = "prefix-rewritten"
--! kind = "detection"
--! title = "One caller read and then overwrote whole prefixes"
--! level = "high"
--! description = """
--! A caller read many objects below a prefix (the key up to its first slash) and then wrote the same keys again, nearly
--! all of those it read, within the window, and each of them in one go. This is what encryption on the client looks
--! like when it is used for ransom: download, encrypt, put back; a copy of objects onto themselves with another key
--! looks the same.
--! That is inferred from the order of requests. What was written is not logged, nor how it is encrypted; a program that
--! converts all objects of a prefix does the same. How many objects the prefix has is not known either: the share is
--! counted on the keys that the caller read. Keys that the caller wrote again in another such window are taken for
--! its way of working and do not count. A caller (for roles: one session) that reads much more than it writes in the
--! bucket at that time is not seen. An attacker who writes under new names and deletes the old ones is found by
--! mass-deletion. Anonymous callers are left out, and so is replication.
--! Windows overlap by half; a run of up to half a window is always seen whole. count is the number of keys, of each
--! prefix in its busiest window."""
--! runbook = [
--!     "Disable the caller's credentials first, unless its owner says that the rewrite is meant; a run can take hours, and every minute saves objects.",
--!     "Look at one of the objects: aws s3api head-object --bucket BUCKET --key KEY (encryption, size, date), then at what is in it.",
--!     "With versioning, the old versions are still there: aws s3api list-object-versions --bucket BUCKET --prefix PREFIX. See that no version-deleted or lifecycle change follows.",
--!     "Without it, restore from a replica or a backup.",
--! ]
--! falsepositives = [
--!     "Objects are copied onto themselves to change their encryption, storage class or metadata.",
--!     "A migration reads all objects of a prefix, converts them and writes them back under the same keys.",
--! ]
--! tags = ["encryption-at-rest", "destruction", "attack.t1486"]
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
--! default = 50
--! help = "So many keys below one prefix, read and then overwritten within the window"
--! [params.min_share]
--! type = "float"
--! default = 0.9
--! help = "Share of the keys read below the prefix that must have been overwritten, 0 to 1"
--! [params.window]
--! type = "duration"
--! default = "24h"
--! help = "Reads and writes within this time count together"
--! [params.max_reads_per_write]
--! type = "float"
--! default = 2.0
--! help = "At most so many whole reads (status 200) in the bucket for each write, within the window"
WITH slots AS (
    -- First by numbers only, since keys are many. Slots of half a window. No WHERE on operations: most rows would pass
    -- it, and then it costs more than it saves.
    SELECT
        bucket,
        requester,
        CAST(floor(2 * date_part('epoch', time) / date_part('epoch', CAST($window AS interval))) AS bigint) AS slot,
        count(*) FILTER (
            WHERE operation = 'REST.GET.OBJECT' AND http_status IN (200, 206)
                OR operation IN ('REST.COPY.OBJECT_GET', 'REST.COPY.PART_GET')
        ) AS reads,
        count(*) FILTER (
            WHERE operation = 'REST.GET.OBJECT' AND http_status = 200 OR operation = 'REST.COPY.OBJECT_GET'
        ) AS whole_reads,
        count(*) FILTER (
            WHERE operation IN ('REST.PUT.OBJECT', 'REST.POST.OBJECT', 'REST.COPY.OBJECT', 'REST.POST.UPLOAD')
                AND http_status BETWEEN 200 AND 299
        ) AS writes
    FROM access_logs
    WHERE time < $until
    GROUP BY bucket, requester, slot
),
candidates AS (
    -- A window is two slots that follow each other; a slot belongs to the window that it begins and to the one before.
    SELECT bucket, requester, first_slot
    FROM (
        SELECT bucket, requester, reads, whole_reads, writes, unnest([slot - 1, slot]) AS first_slot
        FROM slots
    ) AS halves
    GROUP BY bucket, requester, first_slot
    HAVING sum(reads) >= $min_keys
        AND sum(writes) >= $min_keys
        AND sum(whole_reads) <= $max_reads_per_write * sum(writes)
),
touched AS (
    SELECT
        time,
        bucket,
        requester,
        key,
        key_prefix AS prefix,
        operation IN ('REST.GET.OBJECT', 'REST.COPY.OBJECT_GET', 'REST.COPY.PART_GET') AS is_read,
        CAST(floor(2 * date_part('epoch', time) / date_part('epoch', CAST($window AS interval))) AS bigint) AS slot
    FROM requests
    WHERE time < $until
        AND operation IN (
            'REST.GET.OBJECT', 'REST.COPY.OBJECT_GET', 'REST.COPY.PART_GET',
            'REST.PUT.OBJECT', 'REST.POST.OBJECT', 'REST.COPY.OBJECT', 'REST.POST.UPLOAD'
        )
        -- The source side of a copy can be without status.
        AND (http_status IS NULL OR http_status BETWEEN 200 AND 299)
        AND remote_ip IS NOT NULL
),
hopeful AS (
    -- Who writes what they read, before the question of how long they have been doing so: few are left.
    SELECT bucket, requester, prefix, first_slot
    FROM (
        SELECT
            candidates.bucket,
            candidates.requester,
            touched.prefix,
            candidates.first_slot,
            min(touched.time) FILTER (WHERE touched.is_read) AS first_read,
            max(touched.time) FILTER (WHERE NOT touched.is_read) AS last_write
        -- The small side comes first: when it is empty the other is not read.
        FROM candidates
        INNER JOIN touched
            ON touched.bucket = candidates.bucket
            AND touched.requester = candidates.requester
        WHERE touched.slot - candidates.first_slot IN (0, 1)
        GROUP BY candidates.bucket, candidates.requester, touched.prefix, candidates.first_slot, touched.key
    ) AS keys
    GROUP BY bucket, requester, prefix, first_slot
    HAVING count(*) FILTER (WHERE first_read <= last_write) >= $min_keys
        AND count(*) FILTER (WHERE first_read <= last_write) >= $min_share * count(first_read)
),
lives AS (
    SELECT
        bucket,
        requester,
        prefix,
        first_slot,
        min(time) FILTER (WHERE is_read AND is_within) AS first_read,
        max(time) FILTER (WHERE NOT is_read AND is_within) AS last_write,
        max(time) FILTER (WHERE NOT is_read) - min(time) FILTER (WHERE NOT is_read) AS writes_span
    FROM (
        SELECT
            touched.*,
            hopeful.first_slot,
            touched.slot - hopeful.first_slot IN (0, 1) AS is_within
        FROM hopeful
        INNER JOIN touched
            ON touched.bucket = hopeful.bucket
            AND touched.requester = hopeful.requester
            AND touched.prefix = hopeful.prefix
    ) AS touches
    GROUP BY bucket, requester, prefix, first_slot, key
),
rewritten AS (
    SELECT
        bucket,
        requester,
        prefix,
        first_slot,
        min(first_read) AS first_read,
        max(last_write) AS last_write,
        count(first_read) AS keys_read,
        count(*) FILTER (WHERE first_read <= last_write AND writes_span <= $window) AS keys
    FROM lives
    GROUP BY bucket, requester, prefix, first_slot
),
prefixes AS (
    SELECT
        bucket,
        requester,
        prefix,
        min(first_read) AS first_read,
        max(last_write) AS last_write,
        max(keys) AS keys,
        first_value(keys_read ORDER BY keys DESC, first_slot) AS keys_read
    FROM rewritten
    WHERE keys >= $min_keys
        AND keys >= $min_share * keys_read
        AND last_write >= $since
    GROUP BY bucket, requester, prefix
),
proven AS (
    SELECT
        prefixes.bucket,
        prefixes.requester,
        prefixes.prefix,
        prefixes.first_read,
        prefixes.last_write,
        prefixes.keys,
        prefixes.keys_read,
        min(writes.remote_ip) AS example_address,
        min(writes.user_agent) AS example_user_agent,
        evidence(writes.log_bucket, writes.log_key, writes.log_offset, writes.time) AS places
    FROM prefixes
    INNER JOIN (
        SELECT time, bucket, requester, key_prefix AS prefix, remote_ip, user_agent, log_bucket, log_key, log_offset
        FROM requests
        WHERE time < $until
            AND operation IN ('REST.PUT.OBJECT', 'REST.POST.OBJECT', 'REST.COPY.OBJECT', 'REST.POST.UPLOAD')
            AND http_status BETWEEN 200 AND 299
    ) AS writes
        ON writes.bucket = prefixes.bucket
        AND writes.requester = prefixes.requester
        AND writes.prefix = prefixes.prefix
        AND writes.time BETWEEN prefixes.first_read AND prefixes.last_write
    GROUP BY
        prefixes.bucket, prefixes.requester, prefixes.prefix, prefixes.first_read, prefixes.last_write,
        prefixes.keys, prefixes.keys_read
)
SELECT
    min(first_read) AS first_seen,
    max(last_write) AS last_seen,
    bucket,
    principal(requester) AS subject,
    sum(keys) AS count,
    first_value(places ORDER BY keys DESC, prefix, requester) AS evidence,
    count(DISTINCT prefix) AS prefixes,
    first_value(prefix ORDER BY keys DESC, prefix) AS largest_prefix,
    round(1.0 * sum(keys) / sum(keys_read), 3) AS share_of_keys_read,
    min(session_name(requester)) AS example_session,
    min(example_address) AS example_address,
    min(example_user_agent) AS example_user_agent
FROM proven
GROUP BY bucket, principal(requester)
ORDER BY first_seen, bucket, subject
