--! id = "config-access-point-unblocked"
--! kind = "detection"
--! title = "Nothing blocks public access through an access point"
--! level = "low"
--! description = """
--! By the audit the access point takes requests from the internet and has a policy, and nothing would stop that policy
--! from letting everybody in: RestrictPublicBuckets is off for the access point (it is on unless it was switched off
--! when the access point was made, and cannot be changed), off for its bucket, and not known to be on for the account;
--! account_block says whether that was read. Whether the policy is public is not judged: read it, bucket_config has it.
--! It takes a bucket policy too that leaves decisions to access points, delegated, or allows the same itself.
--! evidence_kind: `configured and observed` when requests without credentials were fulfilled through the access point
--! (in the time asked for); count is their number. Else `configured only`: count is 1, the times are that of the audit.
--! subject is the access point."""
--! runbook = [
--!     "Read the policy: aws s3control get-access-point-policy --account-id ACCOUNT --name NAME; is it public: aws s3control get-access-point-policy-status --account-id ACCOUNT --name NAME",
--!     "If nobody without credentials is meant to come, close bucket or account: aws s3api put-public-access-block --bucket BUCKET --public-access-block-configuration RestrictPublicBuckets=true,BlockPublicPolicy=true,BlockPublicAcls=true,IgnorePublicAcls=true",
--!     "Or make a new access point with its own block on, move its users there, and delete this one.",
--! ]
--! falsepositives = ["An access point for data that are public on purpose.", "A policy that names its callers."]
--! tags = ["access-points", "public-access", "configuration", "audit", "attack.t1530"]
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Requests from this time on; the configuration is that of the last audit"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Requests before this time"
SELECT
    coalesce(min(time), audited_at) AS first_seen,
    coalesce(max(time), audited_at) AS last_seen,
    point.bucket,
    name AS subject,
    greatest(count(time), 1) AS count,
    evidence(log_bucket, log_key, log_offset, time) FILTER (WHERE time IS NOT NULL) AS evidence,
    CASE WHEN count(time) > 0 THEN 'configured and observed' ELSE 'configured only' END AS evidence_kind,
    account_block,
    delegated,
    approx_distinct(remote_ip) AS addresses_approx,
    min(key) AS example_key,
    audited_at
FROM (
    SELECT
        own.name,
        own.bucket,
        own.arn,
        own.audited_at,
        behind.policy_delegates_to_access_points AS delegated,
        CASE WHEN account.restrict_public_buckets IS NULL THEN 'not known' ELSE 'read' END AS account_block
    FROM (
        SELECT *
        FROM bucket_configuration
        WHERE kind = 'access_point' AND network_origin = 'Internet'
            AND policy IS NOT NULL
            AND restrict_public_buckets = FALSE
    ) AS own
    INNER JOIN (
        SELECT * FROM bucket_configuration WHERE kind = 'bucket' AND restrict_public_buckets = FALSE
    ) AS behind ON behind.name = own.bucket
    LEFT JOIN (SELECT * FROM bucket_configuration WHERE kind = 'account') AS account
        ON account.name = own.account_id
    WHERE account.restrict_public_buckets IS NOT TRUE
) AS point
LEFT JOIN (
    SELECT access_point_arn, time, remote_ip, key, log_bucket, log_key, log_offset
    FROM requests
    WHERE time >= $since AND time < $until
        AND access_point_arn IS NOT NULL
        AND http_status BETWEEN 200 AND 299
        AND error_code IS NULL
        AND is_anonymous
) AS anonymous
    ON anonymous.access_point_arn = point.arn
GROUP BY point.bucket, name, audited_at, account_block, delegated
ORDER BY first_seen, bucket, subject
