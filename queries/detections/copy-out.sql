--! id = "copy-out"
--! kind = "detection"
--! title = "Objects were copied to a bucket they were never copied to before"
--! level = "medium"
--! description = """
--! Objects of a bucket were copied, inside AWS, to another bucket that is new to it: no copy went there before, and no
--! access logs of that bucket were ever taken in, as there would be if it were one of yours that is logged. A copy
--! moves any amount of data without a byte going to the caller's address.
--! The source side of a copy is logged with the host name of the destination; its bucket is read from that, so that
--! copies by path-style requests (s3.REGION.amazonaws.com/BUCKET) stay out, and all records from before 2019, which
--! have no host name. Whose bucket it is is not in the logs. The host name of an access point names the access point
--! (NAME-ACCOUNT) and not its bucket: it counts as destination when it is of another account than the caller; aliases
--! of access points (-s3alias) and multi-Region ones tell neither and stay out.
--! Without a list of own buckets the records must reach back further than the set history; else nothing is said."""
--! runbook = [
--!     "Find out whose bucket it is: aws s3api head-bucket --bucket DESTINATION --expected-bucket-owner YOUR_ACCOUNT answers 403 when it is not yours.",
--!     "If nobody knows it, stop the identity: aws iam update-access-key --user-name NAME --access-key-id ID --status Inactive, or revoke the sessions of the role. List the copied keys from the evidence and query principal-activity.",
--!     "Allow copies to your own buckets only: aws:ResourceAccount or aws:ResourceOrgID in the policies of your identities and VPC endpoints.",
--!     "Name your buckets in the parameter own_buckets.",
--! ]
--! falsepositives = ["A new bucket of your own whose logs are not taken in", "A migration, a hand-over to a partner"]
--! tags = ["exfiltration", "attack.t1537"]
--! [params.own_buckets]
--! type = "text_list"
--! default = []
--! help = "Buckets (and access points, as NAME-ACCOUNT) that copies may go to; with names here every other destination is a finding, whatever the history"
--! [params.min_keys]
--! type = "int"
--! default = 10
--! help = "At least this many objects copied there by one caller"
--! [params.history]
--! type = "duration"
--! default = "7d"
--! help = "How far the records must reach back before a destination counts as new, and how long it stays new"
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Findings from this time on"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Findings before this time"
WITH destinations AS (
    -- bucket.s3.region.amazonaws.com, bucket.s3-region..., bucket.bucket.vpce-id.s3.region.vpce... (an interface
    -- endpoint), name-account.s3-accesspoint..., name-account.accesspoint.vpce-id...: there are few, so that each is
    -- taken apart once. max() keeps the planner from doing it row by row.
    SELECT
        host_header,
        CASE
            -- Path-style requests at an interface endpoint, and access points that name neither bucket nor account.
            WHEN regexp_like(max(host_header), '^(bucket|accesspoint)\.vpce-|-s3alias\.|\.mrap\.accesspoint\.') THEN NULL
            ELSE regexp_match(
                regexp_replace(max(host_header), '\.(bucket|accesspoint)\.vpce-.*$', '.s3.'), '^(.+)\.s3[.-]'
            )[1]
        END AS destination,
        regexp_match(max(host_header), '-([0-9]{12})\.(?:s3-accesspoint|accesspoint\.vpce-)')[1] AS point_account
    FROM access_logs
    WHERE operation IN ('REST.COPY.OBJECT_GET', 'REST.COPY.PART_GET')
        AND time < $until
    GROUP BY host_header
),
copies AS (
    SELECT
        rows.*,
        destinations.destination,
        min(rows.time) OVER (PARTITION BY rows.bucket, destinations.destination) AS first_copy
    FROM destinations
    JOIN access_logs AS rows ON rows.host_header = destinations.host_header
    WHERE destinations.destination IS NOT NULL
        AND (
            destinations.point_account IS NULL
            OR destinations.point_account IS DISTINCT FROM principal_account(rows.requester)
        )
        AND rows.operation IN ('REST.COPY.OBJECT_GET', 'REST.COPY.PART_GET')
        AND (rows.http_status BETWEEN 200 AND 299 OR rows.http_status IS NULL)
        AND rows.error_code IS NULL
        AND rows.remote_ip IS NOT NULL
        AND rows.time < $until
),
starts AS (
    SELECT bucket, min(time) AS first_time
    FROM access_logs
    GROUP BY bucket
)
SELECT
    min(copies.time) AS first_seen,
    max(copies.time) AS last_seen,
    copies.bucket AS bucket,
    concat(principal(copies.requester), ' to ', copies.destination) AS subject,
    count(DISTINCT copies.key) AS count,
    evidence(copies.log_bucket, copies.log_key, copies.log_offset, copies.time) AS evidence,
    sum(copies.object_size) AS bytes,
    min(principal_account(copies.requester)) AS account,
    min(copies.key) AS example_key,
    count(DISTINCT copies.remote_ip) AS addresses,
    min(copies.remote_ip) AS example_address
FROM copies
JOIN starts ON starts.bucket = copies.bucket
-- Neither the bucket itself nor another whose logs are here.
WHERE copies.destination NOT IN (SELECT bucket FROM starts WHERE bucket IS NOT NULL)
    AND copies.time >= $since
    AND CASE
        WHEN array_to_string($own_buckets, ',') = '' THEN
            copies.first_copy >= starts.first_time + $history
            AND copies.time < copies.first_copy + $history
        ELSE NOT array_has($own_buckets, copies.destination)
    END
GROUP BY copies.bucket, principal(copies.requester), copies.destination
HAVING count(DISTINCT copies.key) >= $min_keys
ORDER BY count DESC, bucket, subject
