--! id = "bucket-posture"
--! kind = "report"
--! title = "What protects each bucket, as last audited"
--! description = """
--! One row per bucket of the last audit (s3trail audit) with its protections. yes and no are what was read or follows
--! from the text of the policy; `not known` is what could not be read, or what the text of the policy leaves open.
--! denied and failed name the calls that were not answered.
--! logged, expires and delivery are about the access log: whether there is one, whether the target's lifecycle expires
--! it, and whether the target lets log delivery write. public says whether policy or ACL open the bucket, the public
--! access block of bucket and account taken into account. tls_only, old_tls_denied, unencrypted_denied and ssec_blocked
--! are yes when every such request is denied. records tells how many records of the bucket are in this lake in the time
--! asked for; a bucket without any may be idle, not logged, or not taken in. Empty without an audit."""
--! tags = ["audit", "configuration"]
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Records from this time on are counted"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Records before this time are counted"
--! [params.bucket]
--! type = "text"
--! default = ""
--! help = "Only this bucket; empty for all"
--! [params.limit]
--! type = "int"
--! default = 1000
--! help = "At most this many rows"
WITH posture AS (
    SELECT
        configuration.*,
        configuration.policy_is_public
            AND NOT configuration.restrict_public_buckets
            AND account.restrict_public_buckets IS NOT TRUE
        OR configuration.acl_is_public
            AND NOT configuration.ignore_public_acls
            AND account.ignore_public_acls IS NOT TRUE
            AND configuration.object_ownership <> 'BucketOwnerEnforced' AS is_public,
        configuration.block_public_acls AND configuration.ignore_public_acls
            AND configuration.block_public_policy AND configuration.restrict_public_buckets AS has_block
    FROM (
        SELECT * FROM bucket_configuration WHERE kind = 'bucket' AND ($bucket = '' OR name = $bucket)
    ) AS configuration
    LEFT JOIN (SELECT * FROM bucket_configuration WHERE kind = 'account') AS account
        ON account.name = configuration.account_id
)
SELECT
    posture.name AS bucket,
    posture.region,
    coalesce(CASE WHEN logging_known THEN coalesce(logging_target_bucket, 'no') END, 'not known') AS logged,
    coalesce(CASE logging_permitted WHEN TRUE THEN 'yes' WHEN FALSE THEN 'no' END, 'not known') AS delivery,
    coalesce(CASE logging_expires WHEN TRUE THEN 'yes' WHEN FALSE THEN 'no' END, 'not known') AS expires,
    coalesce(CASE is_public WHEN TRUE THEN 'yes' WHEN FALSE THEN 'no' END, 'not known') AS public,
    coalesce(CASE has_block WHEN TRUE THEN 'yes' WHEN FALSE THEN 'no' END, 'not known') AS public_access_block,
    coalesce(CASE policy_denies_insecure_transport WHEN TRUE THEN 'yes' WHEN FALSE THEN 'no' END, 'not known') AS tls_only,
    coalesce(CASE policy_denies_old_tls WHEN TRUE THEN 'yes' WHEN FALSE THEN 'no' END, 'not known') AS old_tls_denied,
    coalesce(encryption_algorithm, 'not known') AS encryption,
    coalesce(CASE bucket_key WHEN TRUE THEN 'yes' WHEN FALSE THEN 'no' END, 'not known') AS bucket_key,
    coalesce(CASE policy_denies_unencrypted_puts WHEN TRUE THEN 'yes' WHEN FALSE THEN 'no' END, 'not known')
        AS unencrypted_denied,
    coalesce(CASE sse_c_blocked WHEN TRUE THEN 'yes' WHEN FALSE THEN 'no' END, 'not known') AS ssec_blocked,
    coalesce(versioning, 'not known') AS versioning,
    coalesce(CASE mfa_delete WHEN TRUE THEN 'yes' WHEN FALSE THEN 'no' END, 'not known') AS mfa_delete,
    coalesce(
        CASE
            WHEN default_retention_mode IS NOT NULL
                THEN concat(default_retention_mode, ' ', default_retention_days, ' days')
            WHEN object_lock THEN 'no default'
            WHEN object_lock = FALSE THEN 'no'
        END,
        'not known'
    ) AS object_lock,
    coalesce(
        CASE
            WHEN cors_any_origin_writes THEN 'any origin may write'
            WHEN cors_any_origin THEN 'any origin may read'
            WHEN cors_rules > 0 THEN 'named origins'
            WHEN cors_rules = 0 THEN 'no'
        END,
        'not known'
    ) AS cors,
    coalesce(object_ownership, 'not known') AS object_ownership,
    coalesce(
        CASE
            WHEN policy_access_points_only THEN 'required'
            WHEN policy_delegates_to_access_points THEN 'delegated'
            WHEN access_points > 0 THEN 'there are some'
            WHEN access_points = 0 THEN 'no'
        END,
        'not known'
    ) AS access_points,
    coalesce(replication_destinations, CASE replication WHEN TRUE THEN 'yes' WHEN FALSE THEN 'no' END, 'not known')
        AS replication,
    coalesce(request_payment, 'not known') AS request_payment,
    denied,
    failed,
    coalesce(seen.records, 0) AS records,
    audited_at
FROM posture
LEFT JOIN (
    SELECT source_bucket, sum(records) AS records
    FROM log_objects
    WHERE last_time >= $since AND last_time < $until
    GROUP BY source_bucket
) AS seen
    ON seen.source_bucket = posture.name
ORDER BY bucket
LIMIT $limit
