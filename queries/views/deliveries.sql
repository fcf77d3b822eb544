--! id = "deliveries"
--! kind = "view"
--! title = "Every delivery of a log object that is known"
--! description = """
--! One row per delivery and way in which it is known; log_deliveries counts them by pair of buckets.
--! evidence_kind says how it is known:
--! certain: the log object itself was taken in from a known bucket (log_objects).
--! observed: the write of a key with the exact shape of a log object's, by S3's log delivery or a service, stands in
--! the log of the destination bucket.
--! inferred: as observed, but the writer is not known as log delivery, nor as a user or role. Kept only where one writer
--! has at least ten such writes, each within two minutes of the time in its key, and eight in ten have the size of one to
--! three records of such writes: log objects that hold the records of earlier ones.
--! The same delivery can be known in two ways, so do not add the kinds.
--! source_from says how the source bucket is known: records (those in the log object), key (a partitioned key names it),
--! object (a log object of that name was taken in), sizes (half or more of at least five deliveries have the size of one
--! to three of their own records, and no log object of the bucket taken in was delivered in the same hours; then the
--! bucket is its own source). It is null where the source bucket is not known.
--! time is that of the write; for a log object taken in, that in its key, else that of its last record."""
--! tags = ["recursion"]
SELECT
    'certain' AS evidence_kind,
    source_bucket,
    'records' AS source_from,
    log_bucket AS destination_bucket,
    coalesce(delivered_at, last_time) AS time,
    log_key AS log_object,
    size_bytes,
    records,
    CAST(NULL AS text) AS requester,
    CAST(NULL AS bigint) AS record_bytes,
    log_bucket,
    log_key,
    CAST(NULL AS bigint) AS log_offset
FROM log_objects
WHERE log_bucket IS NOT NULL AND source_bucket IS NOT NULL
UNION ALL
SELECT
    CASE WHEN is_delivery THEN 'observed' ELSE 'inferred' END AS evidence_kind,
    CASE WHEN is_own THEN destination_bucket ELSE source_bucket END AS source_bucket,
    CASE
        WHEN is_own THEN 'sizes'
        WHEN named_bucket IS NOT NULL THEN 'key'
        WHEN source_bucket IS NOT NULL THEN 'object'
    END AS source_from,
    destination_bucket,
    time,
    log_object,
    size_bytes,
    records,
    requester,
    record_bytes,
    log_bucket,
    log_key,
    log_offset
FROM (
    SELECT
        *,
        source_bucket IS NULL
            AND count(*) OVER same >= 5
            AND avg(echo) OVER same >= 0.5
            AND max(own_objects) OVER same IS NULL AS is_own,
        count(*) OVER same >= 10 AND avg(echo) OVER same >= 0.8 AS is_loop
    FROM (
        SELECT
            writes.*,
            arrow_cast(coalesce(writes.named_bucket, named.source_bucket), 'Utf8') AS source_bucket,
            named.records,
            own.objects AS own_objects
        FROM (
            -- Plain strings from here on: views into the columns they were read from would keep all of those in memory
            -- while the few rows that are left are sorted.
            SELECT
                arrow_cast(bucket, 'Utf8') AS destination_bucket,
                is_delivery,
                arrow_cast(CASE WHEN NOT is_delivery THEN requester END, 'Utf8') AS writer,
                time,
                arrow_cast(key, 'Utf8') AS log_object,
                arrow_cast(split_part(key, '/', -1), 'Utf8') AS name,
                -- [prefix][account]/[region]/[bucket]/YYYY/MM/DD/ before the name, with the date of the name
                arrow_cast(
                    CASE
                        WHEN concat(split_part(key, '/', -4), '-', split_part(key, '/', -3), '-', split_part(key, '/', -2))
                            = substr(split_part(key, '/', -1), 1, 10) AND split_part(key, '/', -7) <> ''
                            THEN nullif(split_part(key, '/', -5), '')
                    END,
                    'Utf8'
                ) AS named_bucket,
                object_size AS size_bytes,
                -- The records of such writes differ in length by a few bytes: addresses, times, host ids.
                CASE
                    WHEN abs(object_size - record_bytes) <= 0.05 * record_bytes THEN 1.0
                    WHEN abs(object_size - 2 * record_bytes) <= 0.1 * record_bytes THEN 1.0
                    WHEN abs(object_size - 3 * record_bytes) <= 0.15 * record_bytes THEN 1.0
                    ELSE 0.0
                END AS echo,
                record_bytes,
                arrow_cast(requester, 'Utf8') AS requester,
                arrow_cast(log_bucket, 'Utf8') AS log_bucket,
                arrow_cast(log_key, 'Utf8') AS log_key,
                log_offset
            FROM (
                SELECT
                    *,
                    principal_type(requester) IN ('log_delivery', 'service', 'aws_s3') AS is_delivery,
                    -- YYYY-MM-DD-hh-mm-ss before the last hyphen
                    regexp_replace(
                        key,
                        '^.*([0-9]{4}-[0-9]{2}-[0-9]{2})-([0-9]{2})-([0-9]{2})-([0-9]{2})-[0-9A-Z]+$',
                        '${1}T${2}:${3}:${4}Z'
                    ) AS stamp
                FROM access_logs
                WHERE operation IN ('REST.PUT.OBJECT', 'SOAP.PUT.OBJECT')
                    AND http_status BETWEEN 200 AND 299
                    -- Users, roles and replication have an ARN; log delivery never had one.
                    AND (requester IS NULL OR requester NOT LIKE 'arn:%')
                    AND regexp_like(key, '[0-9]{4}(-[0-9]{2}){5}-[0-9A-Z]{16,}$')
            ) AS log_shaped
            WHERE is_delivery
                OR abs(date_part('epoch', time) - date_part('epoch', try_cast(stamp AS timestamp))) <= 120
        ) AS writes
        LEFT JOIN (
            SELECT
                replace(replace(split_part(log_key, '/', -1), '.gz', ''), '.zst', '') AS name,
                min(source_bucket) AS source_bucket,
                min(records) AS records
            FROM log_objects
            WHERE layout = 'simple'
            GROUP BY 1
        ) AS named ON named.name = writes.name
        LEFT JOIN (
            -- Log objects of the bucket itself that were taken in: then their names decide, not sizes.
            SELECT
                source_bucket,
                date_bin(INTERVAL '1 hour', coalesce(delivered_at, last_time)) AS hour,
                count(*) AS objects
            FROM log_objects
            WHERE layout <> 'unknown'
            GROUP BY 1, 2
        ) AS own ON own.source_bucket = writes.destination_bucket AND own.hour = date_bin(INTERVAL '1 hour', writes.time)
    ) AS known
    WINDOW same AS (PARTITION BY destination_bucket, writer, source_bucket IS NULL)
) AS deliveries
WHERE is_delivery OR is_loop AND (source_bucket = destination_bucket OR is_own)
