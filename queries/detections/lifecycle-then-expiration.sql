--! id = "lifecycle-then-expiration"
--! kind = "detection"
--! title = "Objects expired in bulk after the lifecycle rules were changed"
--! level = "medium"
--! description = """
--! Somebody changed the lifecycle configuration of a bucket, and in the days after it S3 expired many more objects
--! than before. Setting a rule that expires everything destroys a bucket without a single delete request. Only these
--! logs show the expirations; CloudTrail has none of them.
--! That the rule caused the expirations is inferred from the order of the two: the body of the request is not logged,
--! so neither the rule nor its prefix is known. Rises are judged against the records before the change; when they
--! reach back less than the set history nothing is said.
--! S3.EXPIRE.OBJECT removes for good (or a noncurrent version); S3.CREATE.DELETEMARKER leaves the version behind."""
--! runbook = [
--!     "Look at the rules as they are now: aws s3api get-bucket-lifecycle-configuration --bucket BUCKET. If they are wrong: aws s3api delete-bucket-lifecycle --bucket BUCKET; it takes a while until S3 stops.",
--!     "Ask the caller who made the change; look it up in CloudTrail, which has the body: aws cloudtrail lookup-events --lookup-attributes AttributeKey=EventName,AttributeValue=PutBucketLifecycle",
--!     "In a versioned bucket bring back what got a delete marker: aws s3api list-object-versions --bucket BUCKET --query 'DeleteMarkers[?IsLatest]', then aws s3api delete-object with the version id of each marker.",
--! ]
--! falsepositives = ["A clean-up by lifecycle rule that was meant", "A rule that first matches much, long after it was set, and another change shortly before"]
--! tags = ["destruction", "configuration", "attack.t1485.001"]
--! [params.within]
--! type = "duration"
--! default = "3d"
--! help = "How long after the change expirations are counted, and before it for comparison; S3 runs rules about once a day"
--! [params.min_objects]
--! type = "int"
--! default = 1000
--! help = "At least this many expirations and delete markers after the change"
--! [params.factor]
--! type = "float"
--! default = 5.0
--! help = "How many times as many as in the same time before"
--! [params.history]
--! type = "duration"
--! default = "1d"
--! help = "How far the records of the bucket must reach back before the change"
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Findings from this time on"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Findings before this time"
WITH changes AS (
    SELECT bucket, principal(requester) AS principal, time, remote_ip, log_bucket, log_key, log_offset
    FROM access_logs
    WHERE operation = 'REST.PUT.LIFECYCLE'
        AND http_status BETWEEN 200 AND 299
        -- A change before $since counts when what it did goes on after it.
        AND time >= $since - $within AND time < $until
),
starts AS (
    SELECT bucket, min(time) AS first_time
    FROM access_logs
    GROUP BY bucket
),
hours AS (
    SELECT
        bucket,
        date_trunc('hour', time) AS hour,
        min(time) AS first_time,
        max(time) AS last_time,
        count(*) AS objects,
        count(*) FILTER (WHERE operation = 'S3.CREATE.DELETEMARKER') AS delete_markers,
        evidence(log_bucket, log_key, log_offset, time) AS evidence
    FROM access_logs
    WHERE operation IN ('S3.EXPIRE.OBJECT', 'S3.CREATE.DELETEMARKER')
        AND time < $until
    GROUP BY bucket, date_trunc('hour', time)
),
compared AS (
    -- Expirations of the hour of the change count as before it: S3 is not that fast.
    SELECT
        changes.bucket,
        changes.principal,
        changes.remote_ip,
        changes.time,
        max(hours.last_time) AS last_time,
        sum(hours.objects) FILTER (WHERE hours.hour > changes.time) AS objects_after,
        sum(hours.delete_markers) FILTER (WHERE hours.hour > changes.time) AS delete_markers,
        coalesce(sum(hours.objects) FILTER (WHERE hours.hour <= changes.time), 0) AS objects_before,
        -- Records that reach back for less than the time compared must not make it look quiet.
        date_part('epoch', CAST($within AS interval))
            / least(
                date_part('epoch', CAST($within AS interval)), date_part('epoch', changes.time - min(starts.first_time))
            ) AS scale,
        evidence(changes.log_bucket, changes.log_key, changes.log_offset, changes.time) AS change_evidence,
        first_value(hours.evidence ORDER BY hours.hour) FILTER (WHERE hours.hour > changes.time) AS expiry_evidence
    FROM changes
    JOIN starts ON starts.bucket = changes.bucket AND starts.first_time <= changes.time - $history
    JOIN hours
        ON hours.bucket = changes.bucket
        AND hours.hour > changes.time - $within
        AND hours.hour <= changes.time + $within
    GROUP BY changes.bucket, changes.principal, changes.remote_ip, changes.time
)
SELECT
    min(time) AS first_seen,
    max(last_time) AS last_seen,
    bucket,
    principal AS subject,
    max(objects_after) AS count,
    array_concat(
        array_slice(flatten(array_agg(change_evidence ORDER BY time)), 1, 5),
        first_value(expiry_evidence ORDER BY time)
    ) AS evidence,
    count(*) AS changes,
    max(delete_markers) AS delete_markers,
    CAST(max(objects_before * scale) AS bigint) AS usual_before,
    max(remote_ip) AS address
FROM compared
WHERE last_time >= $since
    AND objects_after >= $min_objects
    AND objects_after >= $factor * objects_before * scale
GROUP BY bucket, principal
ORDER BY count DESC, bucket, subject
