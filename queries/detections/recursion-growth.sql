--! id = "recursion-growth"
--! kind = "detection"
--! title = "What a logging loop amounts to, and whether it grows"
--! level = "informational"
--! description = """
--! One row per loop of recursion-self and recursion-cycle, measured on its deliveries. Posts speak of exponential growth;
--! a delivery makes one record and a log object holds at least one, so a loop sustains itself and grows only with the
--! traffic from outside. verdict says what the data show, by this rule: the time from the first to the last delivery is
--! cut into 24 equal stretches of at least a minute; of the stretches with deliveries, the median count of the later half
--! is divided by that of the earlier half (trend_factor). From $factor on it is growing, down to 1 / $factor shrinking,
--! else steady; with fewer than $min_deliveries deliveries or six stretches it is too short to tell. Stretches without
--! deliveries are left out, since logs come in batches and late. A loop seen for less than some days follows the hours
--! of the day. state says whether it goes on, has ended by a change of logging (ended_at, ended_by), or is silent: no
--! delivery for a day at the end of the data; verdict is then that of its life. What a change of logging changed is not
--! logged.
--! share_of_records and share_of_bytes are the deliveries' part of the log of the buckets in the loop, from its first to
--! its last delivery. The figures per month are what a month (730 hours) brings at the mean rate, had it gone on, with
--! prices from the settings: delivery itself is free, usd_storage is for keeping one month's log objects for a month, and
--! usd_if_read, usd_if_notified and usd_if_transitioned are for one read, one event notification, one lifecycle
--! transition of each. evidence_kind is how the measured deliveries are known; count is their number."""
--! runbook = [
--!     "Break the loop, either way: switch the access log of the bucket off (aws s3api put-bucket-logging --bucket BUCKET --bucket-logging-status '{}'), or deliver it to a bucket that is not logged (aws s3api put-bucket-logging --bucket BUCKET --bucket-logging-status '{\"LoggingEnabled\": {\"TargetBucket\": \"ANOTHER-BUCKET\", \"TargetPrefix\": \"BUCKET/\"}}'). The fix_command of the finding is one of the two; in a loop of several buckets BUCKET is the last of the path before it closes.",
--!     "If it grows, see who sends the traffic that it echoes: run s3trail query top-talkers for the bucket.",
--!     "Look at what runs for every object: aws s3api get-bucket-notification-configuration --bucket BUCKET, and the same with get-bucket-replication and get-bucket-lifecycle-configuration",
--! ]
--! falsepositives = ["As for recursion-self and recursion-cycle"]
--! tags = ["recursion", "access-logging"]
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Findings from this time on"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Findings before this time"
--! [params.min_deliveries]
--! type = "int"
--! default = 20
--! help = "With fewer deliveries it is too short to tell whether a loop grows"
--! [params.factor]
--! type = "float"
--! default = 2.0
--! help = "A loop grows when the later half of its life has this many times the deliveries of the earlier half"
--! [params.settle]
--! type = "duration"
--! default = "6h"
--! help = "How long deliveries to the old destination may go on after a change of logging"
WITH along AS (
    -- The deliveries along each loop: the writes in the logs of its buckets or, where those show none, the objects.
    SELECT
        *,
        min(time) OVER of_loop AS loop_first,
        greatest((date_part('epoch', max(time) OVER of_loop) - date_part('epoch', min(time) OVER of_loop)) / 24, 60)
            AS stretch
    FROM (
        SELECT
            *,
            max(CASE WHEN kind = 'certain' AND is_object THEN 0 ELSE 1 END) OVER (PARTITION BY loop) AS has_writes
        FROM (
            SELECT
                edges.*,
                deliveries.evidence_kind = 'certain' AS is_object,
                CASE
                    WHEN hops = 1 AND deliveries.evidence_kind = 'observed' AND source_from IN ('key', 'object')
                        THEN 'certain'
                    ELSE deliveries.evidence_kind
                END AS kind,
                time,
                size_bytes,
                deliveries.record_bytes,
                log_bucket,
                log_key,
                log_offset
            FROM (
                SELECT
                    loop,
                    hops,
                    buckets,
                    buckets[position] AS source_bucket,
                    buckets[position + 1] AS destination_bucket
                FROM (
                    SELECT loop, hops, buckets, unnest(range(1, hops + 1)) AS position
                    FROM log_loops
                    WHERE closed_at < $until
                ) AS positions
            ) AS edges
            JOIN deliveries
                ON deliveries.source_bucket = edges.source_bucket
                AND deliveries.destination_bucket = edges.destination_bucket
            WHERE time >= $since AND time < $until
        ) AS known
    ) AS known
    WHERE has_writes = 0 OR NOT is_object
    WINDOW of_loop AS (PARTITION BY loop)
),
lives AS (
    SELECT
        loop,
        buckets,
        hops,
        min(first_seen) AS first_seen,
        max(last_seen) AS last_seen,
        named_struct(
            'deliveries', sum(deliveries),
            -- Of certain, inferred and observed, the last one by name that there is: the measure is no better than that.
            'evidence_kind', max(kind),
            'evidence', array_slice(flatten(array_agg(places ORDER BY stretch_number)), 1, 10),
            'mean_bytes', sum(size_bytes) / CAST(sum(deliveries) AS double),
            'record_bytes', coalesce(sum(record_bytes), 0),
            'stretches', max(stretches),
            'trend_factor', median(CAST(deliveries AS double)) FILTER (WHERE 2 * nth > stretches)
                / median(CAST(deliveries AS double)) FILTER (WHERE 2 * nth <= stretches)
        ) AS life
    FROM (
        SELECT
            *,
            row_number() OVER (PARTITION BY loop ORDER BY stretch_number) AS nth,
            count(*) OVER (PARTITION BY loop) AS stretches
        FROM (
            SELECT
                loop,
                buckets,
                hops,
                least(floor((date_part('epoch', time) - date_part('epoch', loop_first)) / stretch), 23) AS stretch_number,
                count(*) AS deliveries,
                min(time) AS first_seen,
                max(time) AS last_seen,
                sum(size_bytes) AS size_bytes,
                sum(record_bytes) AS record_bytes,
                max(kind) AS kind,
                evidence(log_bucket, log_key, log_offset, time) AS places
            FROM along
            GROUP BY loop, buckets, hops, stretch_number
        ) AS stretches
    ) AS numbered
    GROUP BY loop, buckets, hops
),
shares AS (
    SELECT
        loop,
        first_value(buckets) AS buckets,
        first_seen,
        last_seen,
        first_value(life) AS life,
        count(access_logs.time) AS records,
        sum(access_logs.record_bytes) AS record_bytes
    FROM (SELECT *, unnest(array_slice(buckets, 1, hops)) AS bucket FROM lives) AS members
    JOIN access_logs
        ON access_logs.bucket = members.bucket
        AND access_logs.time BETWEEN members.first_seen AND members.last_seen
    GROUP BY loop, first_seen, last_seen
),
changes AS (
    SELECT
        loop,
        first_seen,
        last_seen,
        first_value(life) AS life,
        first_value(records) AS records,
        first_value(record_bytes) AS record_bytes,
        max(changed_at) FILTER (WHERE is_before) AS started_at,
        last_value(changed_by ORDER BY changed_at) FILTER (WHERE is_before) AS started_by,
        first_value(changed_at ORDER BY from_end, changed_at) FILTER (WHERE is_after) AS ended_at,
        first_value(changed_by ORDER BY from_end, changed_at) FILTER (WHERE is_after) AS ended_by
    FROM (
        SELECT
            shares.*,
            changed.time AS changed_at,
            changed.principal AS changed_by,
            changed.time BETWEEN shares.first_seen - INTERVAL '24 hours' AND shares.first_seen AS is_before,
            changed.time > shares.first_seen AND shares.last_seen - changed.time <= $settle AS is_after,
            abs(date_part('epoch', changed.time) - date_part('epoch', shares.last_seen)) AS from_end
        FROM shares
        LEFT JOIN (
            SELECT bucket, time, principal
            FROM requests
            WHERE operation = 'REST.PUT.LOGGING_STATUS' AND http_status BETWEEN 200 AND 299 AND time < $until
        ) AS changed ON array_has(shares.buckets, changed.bucket)
    ) AS changes
    GROUP BY loop, first_seen, last_seen
)
SELECT
    first_seen,
    last_seen,
    bucket,
    loop AS subject,
    deliveries AS count,
    evidence,
    evidence_kind,
    verdict,
    state,
    round(trend_factor, 2) AS trend_factor,
    -- The later half of a life is half a life later than the earlier one.
    CASE WHEN verdict = 'growing' THEN round(hours / 2 / log2(trend_factor), 1) END AS doubling_hours,
    round(per_hour, 2) AS deliveries_per_hour,
    round(deliveries / CAST(greatest(records, 1) AS double), 3) AS share_of_records,
    round(delivery_record_bytes / CAST(greatest(record_bytes, 1) AS double), 3) AS share_of_bytes,
    started_at,
    started_by,
    CASE WHEN state = 'ended' THEN ended_at END AS ended_at,
    CASE WHEN state = 'ended' THEN ended_by END AS ended_by,
    CAST(round(per_hour * 730) AS bigint) AS objects_per_month,
    CAST(round(per_hour * 730 * mean_bytes) AS bigint) AS bytes_per_month,
    round(per_hour * 730 * mean_bytes / 1e9 * (SELECT usd FROM prices WHERE item = 'storage_gb_month'), 4) AS usd_storage,
    round(per_hour * 0.73 * (SELECT usd FROM prices WHERE item = 'requests_read_1000'), 4) AS usd_if_read,
    round(per_hour * 0.73 * (SELECT usd FROM prices WHERE item = 'event_1000'), 4) AS usd_if_notified,
    round(per_hour * 0.73 * (SELECT usd FROM prices WHERE item = 'lifecycle_transition_1000'), 4)
        AS usd_if_transitioned,
    concat(
        CASE WHEN state = 'ended' THEN 'It has ended. Should it come back: ' ELSE '' END,
        'Switch off the access log of ', closing, ', or deliver it to a bucket that is not logged.'
    ) AS fix,
    CASE
        WHEN regexp_like(closing, '^[a-z0-9][a-z0-9.-]*$')
            THEN concat('aws s3api put-bucket-logging --bucket ', closing, ' --bucket-logging-status ''{}''')
        ELSE 'unsafe name'
    END AS fix_command
FROM (
    SELECT
        *,
        split_part(loop, ' -> ', 1) AS bucket,
        split_part(loop, ' -> ', -2) AS closing,
        deliveries / greatest(hours, 1) AS per_hour,
        CASE
            WHEN deliveries < $min_deliveries OR stretches < 6 THEN 'too short to tell'
            WHEN trend_factor >= $factor THEN 'growing'
            WHEN trend_factor * $factor <= 1 THEN 'shrinking'
            ELSE 'steady'
        END AS verdict,
        CASE
            WHEN ended_at IS NOT NULL AND data_end >= greatest(ended_at, last_seen) + INTERVAL '1 hour' THEN 'ended'
            WHEN data_end > last_seen + INTERVAL '24 hours' THEN 'silent'
            ELSE 'going on'
        END AS state
    FROM (
        SELECT
            loop,
            records,
            record_bytes,
            started_at,
            started_by,
            ended_at,
            ended_by,
            first_seen,
            last_seen,
            (date_part('epoch', last_seen) - date_part('epoch', first_seen)) / 3600 AS hours,
            life['deliveries'] AS deliveries,
            life['evidence_kind'] AS evidence_kind,
            life['evidence'] AS evidence,
            life['mean_bytes'] AS mean_bytes,
            life['record_bytes'] AS delivery_record_bytes,
            life['stretches'] AS stretches,
            life['trend_factor'] AS trend_factor,
            (SELECT max(time) FROM access_logs WHERE time < $until) AS data_end
        FROM changes
    ) AS clocked
) AS judged
ORDER BY first_seen, subject
