--! id = "canary-touched"
--! kind = "detection"
--! title = "A canary object was touched"
--! level = "high"
--! description = """
--! Canaries are objects that nobody has a reason to touch: a file with a tempting name, a decoy bucket. Any request
--! for one is a finding, refused ones too, and so is a listing of just its prefix. Name them in the parameter
--! canaries; without names there are no findings.
--! Work of S3 itself and of AWS services (lifecycle, replication) is left out, and so are the callers in known."""
--! runbook = [
--!     "Ask who or what is behind the caller and the address. If nobody can say, stop the identity: aws iam update-access-key --user-name NAME --access-key-id ID --status Inactive, or revoke the sessions of the role.",
--!     "See what else it did, in all buckets: query principal-activity.",
--!     "If it was a backup, a scanner or an inventory of yours, add its principal to the parameter known.",
--! ]
--! falsepositives = ["Backup, inventory and antivirus jobs that go over everything", "Somebody who browses the bucket in the console"]
--! tags = ["exfiltration", "reconnaissance", "attack.t1530", "attack.t1619"]
--! [params.canaries]
--! type = "text_list"
--! default = []
--! help = "Canaries as bucket/key, with * at the end for all that begins so, or a bucket alone for all in it: amzn-s3-demo-data/hr/salaries.xlsx, amzn-s3-demo-data/hr/*, amzn-s3-demo-decoy"
--! [params.known]
--! type = "text_list"
--! default = []
--! help = "Principals (roles without session) that may touch canaries"
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Findings from this time on"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Findings before this time"
WITH canaries AS (
    SELECT
        entry,
        split_part(entry, '/', 1) AS bucket,
        -- A bucket alone is all that is in it.
        CASE WHEN strpos(entry, '/') > 0 THEN rtrim(substr(entry, strpos(entry, '/') + 1), '*') ELSE '' END AS stem,
        strpos(entry, '/') = 0 OR right(entry, 1) = '*' AS is_prefix
    -- unnest() takes no parameter, whose type it does not know.
    FROM (SELECT unnest(string_to_array(array_to_string($canaries, chr(10)), chr(10))) AS entry) AS entries
),
touches AS (
    SELECT canaries.entry, principal(requests.requester) AS principal, requests.*
    FROM canaries
    JOIN access_logs AS requests
        ON requests.bucket = canaries.bucket
        AND (
            requests.key = canaries.stem
            OR (canaries.is_prefix AND starts_with(requests.key, canaries.stem))
            OR (canaries.is_prefix AND canaries.stem = '')
            OR (
                requests.operation IN ('REST.GET.BUCKET', 'REST.GET.BUCKETVERSIONS', 'REST.GET.UPLOADS')
                AND starts_with(uri_param(requests.request_uri, 'prefix'), canaries.stem)
            )
        )
    WHERE requests.remote_ip IS NOT NULL
        AND requests.time >= $since AND requests.time < $until
)
SELECT
    min(time) AS first_seen,
    max(time) AS last_seen,
    bucket,
    concat(entry, ' by ', principal) AS subject,
    count(*) AS count,
    evidence(log_bucket, log_key, log_offset, time) AS evidence,
    count(*) FILTER (WHERE http_status < 400 AND error_code IS NULL) AS succeeded,
    count(DISTINCT key) AS keys,
    min(operation) AS example_operation,
    count(DISTINCT remote_ip) AS addresses,
    min(remote_ip) AS example_address,
    min(user_agent) AS example_user_agent
FROM touches
WHERE principal_type(requester) NOT IN ('aws_s3', 'service', 'log_delivery')
    AND NOT array_has($known, principal)
GROUP BY bucket, entry, principal
ORDER BY count DESC, bucket, subject
