--! id = "config-public-access"
--! kind = "detection"
--! title = "A bucket is open to everybody, by its policy or its ACL"
--! level = "medium"
--! description = """
--! By the audited configuration callers without credentials may use the bucket, and no public access block stops them:
--! opened_by says whether by its policy (S3 calls it public, and RestrictPublicBuckets is off), by its ACL (a grant to
--! everybody or to every AWS account, IgnorePublicAcls off, ACLs in effect), or both. account_block says whether the
--! public access block of the account was read; where it was not, it may still close the bucket. Policies that are open
--! only under conditions are public or not as S3 judges. ACLs of single objects are not read.
--! evidence_kind: `configured and observed` when requests without credentials were fulfilled (in the time asked for);
--! count is their number, writes_and_deletes those that changed something. Else `configured only`: count is 1, the
--! times are that of the audit."""
--! runbook = [
--!     "If the bucket is not meant to be public, close it: aws s3api put-public-access-block --bucket BUCKET --public-access-block-configuration BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true",
--!     "Close the whole account, if no bucket of it is meant to be public: aws s3control put-public-access-block --account-id ACCOUNT ...",
--!     "See what was taken or left there: s3trail query anonymous-requests -p bucket=BUCKET -p successful=true",
--!     "If it is meant to be public, put it into public_buckets.",
--! ]
--! falsepositives = ["A bucket that is public on purpose: open data, downloads, the origin of a website."]
--! tags = ["public-access", "configuration", "audit", "attack.t1530"]
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Requests from this time on; the configuration is that of the last audit"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Requests before this time"
--! [params.public_buckets]
--! type = "text_list"
--! default = []
--! help = "Buckets that are meant to be public; found only when they are written to or deleted from"
WITH open AS (
    SELECT name, audited_at, by_policy, by_acl, account_block
    FROM (
        SELECT
            configuration.name,
            configuration.audited_at,
            configuration.policy_is_public
                AND NOT configuration.restrict_public_buckets
                AND account.restrict_public_buckets IS NOT TRUE AS by_policy,
            configuration.acl_is_public
                AND NOT configuration.ignore_public_acls
                AND account.ignore_public_acls IS NOT TRUE
                AND configuration.object_ownership <> 'BucketOwnerEnforced' AS by_acl,
            CASE WHEN account.restrict_public_buckets IS NULL THEN 'not known' ELSE 'read' END AS account_block
        FROM (SELECT * FROM bucket_configuration WHERE kind = 'bucket') AS configuration
        LEFT JOIN (SELECT * FROM bucket_configuration WHERE kind = 'account') AS account
            ON account.name = configuration.account_id
    ) AS judged
    WHERE by_policy OR by_acl
)
SELECT
    coalesce(min(time), audited_at) AS first_seen,
    coalesce(max(time), audited_at) AS last_seen,
    name AS bucket,
    'everybody' AS subject,
    greatest(count(time), 1) AS count,
    evidence(log_bucket, log_key, log_offset, time) FILTER (WHERE time IS NOT NULL) AS evidence,
    CASE WHEN count(time) > 0 THEN 'configured and observed' ELSE 'configured only' END AS evidence_kind,
    CASE WHEN by_policy AND by_acl THEN 'policy and ACL' WHEN by_policy THEN 'policy' ELSE 'ACL' END AS opened_by,
    account_block,
    count(*) FILTER (WHERE operation_class IN ('write', 'delete', 'config_write')) AS writes_and_deletes,
    approx_distinct(remote_ip) AS addresses_approx,
    coalesce(sum(bytes_sent), 0) AS bytes_sent,
    min(key) AS example_key,
    audited_at
FROM open
LEFT JOIN (
    SELECT *
    FROM requests
    WHERE time >= $since AND time < $until
        AND http_status BETWEEN 200 AND 299
        AND error_code IS NULL
        AND operation_class <> 'preflight'
        -- the function only for the others
        AND CASE WHEN requester LIKE 'arn:%' THEN FALSE ELSE is_anonymous END
) AS anonymous
    ON anonymous.bucket = open.name
GROUP BY name, audited_at, by_policy, by_acl, account_block
HAVING NOT array_has($public_buckets, name)
    OR count(*) FILTER (WHERE operation_class IN ('write', 'delete', 'config_write')) > 0
ORDER BY first_seen, bucket
