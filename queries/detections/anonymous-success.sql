--! id = "anonymous-success"
--! kind = "detection"
--! title = "Requests without credentials succeeded"
--! level = "medium"
--! description = """
--! Callers without credentials were served by a bucket: subject says what they could do (read, list, write, delete,
--! config_read, config_write). What they could do, anybody on the internet can do, as far as the bucket's policy and
--! ACLs go by nothing else, such as the address of the caller.
--! CORS preflights are left out: browsers send them without credentials, and they show no object. WEBSITE.* rows are left
--! out unless the parameter website asks for them: a website endpoint serves only callers without credentials, so its
--! rows say what is meant to be public. Requests with a valid pre-signed URL have a requester and are not meant here.
--! Whether a policy, an ACL or both opened the bucket is not in the logs; acl_required counts the requests that needed
--! an ACL, in records that are new enough to say so (November 2022)."""
--! runbook = [
--!     "See what is open: aws s3api get-bucket-policy-status --bucket BUCKET; aws s3api get-public-access-block --bucket BUCKET; aws s3api get-bucket-acl --bucket BUCKET",
--!     "If the bucket is not meant to be public, close it: aws s3api put-public-access-block --bucket BUCKET --public-access-block-configuration BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true",
--!     "See what was taken or left there: s3trail query anonymous-requests -p bucket=BUCKET -p successful=true",
--!     "If it is meant to be public, add it to public_buckets; write and delete are hardly ever meant",
--! ]
--! falsepositives = [
--!     "A bucket that is public on purpose: open data, downloads, the origin of a website",
--!     "A policy that lets callers in by address or by Referer, without credentials",
--! ]
--! tags = ["public-access", "attack.t1530", "attack.t1078.004"]
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Findings from this time on"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Findings before this time"
--! [params.public_buckets]
--! type = "text_list"
--! default = []
--! help = "Buckets that are public on purpose, for reading and listing; writes, deletes and changes are still told"
--! [params.website]
--! type = "bool"
--! default = false
--! help = "Also requests to website endpoints (WEBSITE.*)"
SELECT
    min(time) AS first_seen,
    max(time) AS last_seen,
    bucket,
    operation_class AS subject,
    count(*) AS count,
    evidence(log_bucket, log_key, log_offset, time) AS evidence,
    array_to_string(array_sort(array_agg(DISTINCT operation)), ', ') AS operations,
    approx_distinct(key) AS keys_approx,
    min(key) AS example_key,
    approx_distinct(remote_ip) AS addresses_approx,
    coalesce(sum(bytes_sent), 0) AS bytes_sent,
    count(*) FILTER (WHERE acl_required) AS acl_required
FROM requests
WHERE time >= $since AND time < $until
    AND http_status BETWEEN 200 AND 299
    AND error_code IS NULL
    -- by class: servers compatible with S3 give preflights other names
    AND operation_class <> 'preflight'
    AND ($website OR operation NOT LIKE 'WEBSITE.%')
    -- the function only for the others
    AND CASE WHEN requester LIKE 'arn:%' THEN false ELSE is_anonymous END
GROUP BY bucket, operation_class
HAVING NOT (array_has($public_buckets, bucket) AND operation_class IN ('read', 'list'))
ORDER BY first_seen, bucket, subject
