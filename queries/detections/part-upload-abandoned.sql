--! id = "part-upload-abandoned"
--! kind = "detection"
--! title = "Multipart uploads were begun and never finished"
--! level = "informational"
--! description = """
--! Parts were uploaded, and for some days after the last of them no completion, no abort and no clean-up by lifecycle
--! followed. S3 keeps such parts, and bills them, until the upload is aborted; they show in no listing of objects.
--! Uploads are told apart by the upload id in the request-URI. Bytes are those of the parts as logged, repeated parts
--! included. Delivery of logs is best effort: a completion that was never logged looks like an abandoned upload."""
--! runbook = [
--!     "List what is there: aws s3api list-multipart-uploads --bucket BUCKET. Abort what is not needed: aws s3api abort-multipart-upload --bucket BUCKET --key KEY --upload-id ID",
--!     "Let S3 do it: a lifecycle rule with AbortIncompleteMultipartUpload and DaysAfterInitiation 7. Put it beside the rules that are there: aws s3api get-bucket-lifecycle-configuration --bucket BUCKET, since aws s3api put-bucket-lifecycle-configuration replaces them all.",
--!     "Look at why the caller did not finish: query error-breakdown for its errors.",
--! ]
--! falsepositives = ["An upload that goes on for longer, with pauses of days", "A completion that S3 did not log"]
--! tags = ["operations"]
--! [params.after]
--! type = "duration"
--! default = "7d"
--! help = "How long nothing must have happened after the last part; the records of the bucket must go on for that long"
--! [params.min_bytes]
--! type = "int"
--! default = 100000000
--! help = "At least this many bytes left behind by one caller in one bucket; 100 MB"
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Findings from this time on: an upload counts from the moment at which it was left for so long"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Findings before this time"
WITH parts AS (
    SELECT
        bucket,
        key,
        uri_param(request_uri, 'uploadId') AS upload_id,
        min(requester) AS requester,
        min(time) AS first_part,
        max(time) AS last_part,
        count(*) AS parts,
        sum(object_size) AS bytes,
        first_value(log_bucket ORDER BY time) AS log_bucket,
        first_value(log_key ORDER BY time) AS log_key,
        first_value(log_offset ORDER BY time) AS log_offset
    FROM access_logs
    WHERE operation IN ('REST.PUT.PART', 'REST.COPY.PART')
        AND http_status BETWEEN 200 AND 299
        AND time < $until
    GROUP BY bucket, key, uri_param(request_uri, 'uploadId')
),
ended AS (
    SELECT bucket, uri_param(request_uri, 'uploadId') AS upload_id
    FROM access_logs
    WHERE operation IN ('REST.POST.UPLOAD', 'REST.DELETE.UPLOAD')
        AND http_status BETWEEN 200 AND 299
        AND time < $until
),
cleaned AS (
    SELECT bucket, key, max(time) AS time
    FROM access_logs
    WHERE operation = 'S3.DELETE.UPLOAD'
        AND time < $until
    GROUP BY bucket, key
),
ends AS (
    SELECT bucket, max(time) AS last_time
    FROM access_logs
    WHERE time < $until
    GROUP BY bucket
)
SELECT
    min(parts.first_part) AS first_seen,
    max(parts.last_part) AS last_seen,
    parts.bucket AS bucket,
    principal(parts.requester) AS subject,
    count(*) AS count,
    evidence(parts.log_bucket, parts.log_key, parts.log_offset, parts.first_part) AS evidence,
    sum(parts.parts) AS parts,
    sum(parts.bytes) AS bytes,
    count(DISTINCT parts.key) AS keys,
    min(parts.key) AS example_key
FROM parts
JOIN ends ON ends.bucket = parts.bucket AND parts.last_part < ends.last_time - $after
LEFT JOIN cleaned
    ON cleaned.bucket = parts.bucket AND cleaned.key = parts.key AND cleaned.time >= parts.last_part
WHERE cleaned.time IS NULL
    AND parts.upload_id IS NOT NULL
    AND parts.last_part >= $since - $after
    AND NOT EXISTS (
        SELECT 1 FROM ended WHERE ended.bucket = parts.bucket AND ended.upload_id = parts.upload_id
    )
GROUP BY parts.bucket, principal(parts.requester)
HAVING sum(parts.bytes) >= $min_bytes
ORDER BY bytes DESC, bucket, subject
