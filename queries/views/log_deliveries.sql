--! id = "log_deliveries"
--! kind = "view"
--! title = "Which bucket's logs go to which bucket"
--! description = """
--! One row per source bucket, destination bucket and kind of evidence; deliveries has every single one.
--! certain: log objects taken in from a bucket that is known (log_objects); bytes are those of the objects, records
--! those in them.
--! observed: successful writes of keys shaped like log objects by S3's log delivery or a service, in the records of the
--! destination bucket; bytes are object sizes as logged, records those of the log objects that were taken in too. The
--! source bucket is known from a partitioned key, from the log object itself where that was taken in, or, for a bucket
--! that logs into itself, from the sizes; else it is null.
--! inferred: the same by a writer that is not known as log delivery, by sizes and times only.
--! The kinds can describe the same deliveries: do not add them. A bucket whose logs were never taken in, or that
--! delivers to a bucket which is not logged, is not here."""
--! tags = ["recursion"]
SELECT
    source_bucket,
    destination_bucket,
    evidence_kind,
    count(*) AS objects,
    sum(size_bytes) AS bytes,
    sum(records) AS records,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM deliveries
GROUP BY source_bucket, destination_bucket, evidence_kind
