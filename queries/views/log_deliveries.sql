--! id = "log_deliveries"
--! kind = "view"
--! title = "Which bucket's logs go to which bucket"
--! description = """
--! One row per source bucket, destination bucket and kind of evidence.
--! certain: log objects taken in from a bucket that is known (log_objects); bytes are those of the objects.
--! observed: successful writes of keys shaped like log objects by S3's log delivery or a service, in the records of the
--! destination bucket; bytes are object sizes as logged. The source bucket stands in the key only with partitioned
--! prefixes; else it is null.
--! Both kinds can describe the same deliveries: do not add them. A bucket whose logs were never taken in, or that
--! delivers to a bucket which is not logged, is not here."""
--! tags = ["recursion"]
SELECT
    source_bucket,
    log_bucket AS destination_bucket,
    'certain' AS evidence_kind,
    count(*) AS objects,
    sum(size_bytes) AS bytes,
    min(coalesce(delivered_at, first_time)) AS first_seen,
    max(coalesce(delivered_at, last_time)) AS last_seen
FROM log_objects
WHERE log_bucket IS NOT NULL AND source_bucket IS NOT NULL
GROUP BY source_bucket, log_bucket
UNION ALL
SELECT
    source_bucket,
    destination_bucket,
    'observed' AS evidence_kind,
    count(*) AS objects,
    sum(object_size) AS bytes,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM (
    SELECT
        bucket AS destination_bucket,
        time,
        object_size,
        -- [prefix][account]/[region]/[bucket]/YYYY/MM/DD/ before the name of the log object
        regexp_match(
            key,
            '[0-9]{12}/[a-z0-9-]+/([A-Za-z0-9._-]{3,255})/[0-9]{4}/[0-9]{2}/[0-9]{2}/[0-9]{4}(-[0-9]{2}){5}-[0-9A-Z]{16,}$'
        )[1] AS source_bucket
    FROM access_logs
    WHERE operation IN ('REST.PUT.OBJECT', 'SOAP.PUT.OBJECT')
        AND http_status BETWEEN 200 AND 299
        AND principal_type(requester) IN ('log_delivery', 'service', 'aws_s3')
        AND regexp_like(key, '[0-9]{4}(-[0-9]{2}){5}-[0-9A-Z]{16,}$')
) AS deliveries
GROUP BY source_bucket, destination_bucket
