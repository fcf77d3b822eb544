--! id = "configuration-history"
--! kind = "report"
--! title = "What changed in the configuration of buckets from audit to audit"
--! description = """
--! One row per fact of a bucket or access point that one audit read otherwise than the audit of it before: what it was,
--! what it is, and between which audits it changed. Facts that either of the two could not read are left out.
--! changed_by names callers whose calls changed the configuration of the bucket in that time, where the logs show them:
--! calls that wrote the configuration, of whatever kind. Empty with fewer than two audits."""
--! tags = ["audit", "configuration"]
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Changes found by audits from this time on"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Changes found by audits before this time"
--! [params.bucket]
--! type = "text"
--! default = ""
--! help = "Only this bucket; empty for all"
--! [params.limit]
--! type = "int"
--! default = 1000
--! help = "At most this many rows"
WITH facts AS (
    SELECT kind, name, account_id, region, bucket, audited_at, audit_id, fact['name'] AS fact, fact['value'] AS value
    FROM (
        SELECT
            kind,
            name,
            account_id,
            region,
            bucket,
            audited_at,
            audit_id,
            unnest([
                named_struct('name', 'logging_target_bucket',
                    'value', CASE WHEN logging_known THEN coalesce(logging_target_bucket, 'not logged') END),
                named_struct('name', 'logging_target_prefix', 'value', logging_target_prefix),
                named_struct('name', 'logging_key_format', 'value', logging_key_format),
                named_struct('name', 'logging_permitted', 'value', CAST(logging_permitted AS text)),
                named_struct('name', 'logging_expires', 'value', CAST(logging_expires AS text)),
                named_struct('name', 'versioning', 'value', versioning),
                named_struct('name', 'mfa_delete', 'value', CAST(mfa_delete AS text)),
                named_struct('name', 'encryption_algorithm', 'value', encryption_algorithm),
                named_struct('name', 'kms_key_id',
                    'value', CASE WHEN encryption_algorithm IS NOT NULL THEN coalesce(kms_key_id, 'none') END),
                named_struct('name', 'bucket_key', 'value', CAST(bucket_key AS text)),
                named_struct('name', 'sse_c_blocked', 'value', CAST(sse_c_blocked AS text)),
                named_struct('name', 'block_public_acls', 'value', CAST(block_public_acls AS text)),
                named_struct('name', 'ignore_public_acls', 'value', CAST(ignore_public_acls AS text)),
                named_struct('name', 'block_public_policy', 'value', CAST(block_public_policy AS text)),
                named_struct('name', 'restrict_public_buckets', 'value', CAST(restrict_public_buckets AS text)),
                named_struct('name', 'policy',
                    'value', CASE WHEN policy_known THEN coalesce(policy, 'none') END),
                named_struct('name', 'policy_is_public', 'value', CAST(policy_is_public AS text)),
                named_struct('name', 'object_ownership', 'value', object_ownership),
                named_struct('name', 'acl_is_public', 'value', CAST(acl_is_public AS text)),
                named_struct('name', 'cors_rules', 'value', CAST(cors_rules AS text)),
                named_struct('name', 'cors_any_origin', 'value', CAST(cors_any_origin AS text)),
                named_struct('name', 'cors_any_origin_writes', 'value', CAST(cors_any_origin_writes AS text)),
                named_struct('name', 'object_lock', 'value', CAST(object_lock AS text)),
                named_struct('name', 'default_retention_mode',
                    'value', CASE WHEN object_lock IS NOT NULL THEN coalesce(default_retention_mode, 'none') END),
                named_struct('name', 'default_retention_days',
                    'value', CASE
                        WHEN object_lock IS NOT NULL THEN coalesce(CAST(default_retention_days AS text), 'none')
                    END),
                named_struct('name', 'request_payment', 'value', request_payment),
                named_struct('name', 'lifecycle_rules', 'value', CAST(lifecycle_rules AS text)),
                named_struct('name', 'replication', 'value', CAST(replication AS text)),
                named_struct('name', 'replication_destinations',
                    'value', CASE WHEN replication IS NOT NULL THEN coalesce(replication_destinations, 'none') END),
                named_struct('name', 'access_points', 'value', CAST(access_points AS text)),
                named_struct('name', 'network_origin', 'value', network_origin),
                named_struct('name', 'vpc_id',
                    'value', CASE WHEN network_origin IS NOT NULL THEN coalesce(vpc_id, 'none') END)
            ]) AS fact
        FROM bucket_config
        WHERE $bucket = '' OR bucket = $bucket
    ) AS unnested
),
changes AS (
    SELECT *
    FROM (
        SELECT
            *,
            lag(value) OVER of_fact AS before,
            lag(audited_at) OVER of_fact AS after_audit
        FROM facts
        WHERE value IS NOT NULL
        WINDOW of_fact AS (
            PARTITION BY kind, name, CASE WHEN kind <> 'bucket' THEN concat(account_id, '/', region) END, fact
            ORDER BY audited_at, audit_id
        )
    ) AS lagged
    WHERE before <> value AND audited_at >= $since AND audited_at < $until
)
SELECT
    changes.audited_at AS found_at,
    changes.after_audit,
    changes.kind,
    changes.name,
    changes.fact,
    -- Policies are long; bucket_config has them.
    CASE
        WHEN changes.fact = 'policy' AND changes.before <> 'none' THEN concat(length(changes.before), ' characters')
        ELSE changes.before
    END AS before,
    CASE
        WHEN changes.fact = 'policy' AND changes.value <> 'none' THEN concat(length(changes.value), ' characters')
        ELSE changes.value
    END AS after,
    array_to_string(array_sort(array_agg(DISTINCT writes.principal)), ', ') AS changed_by
FROM changes
LEFT JOIN (
    SELECT bucket, time, principal
    FROM requests
    -- With a key it is about an object: its tags, its ACL.
    WHERE operation_class = 'config_write' AND is_success AND key IS NULL AND time < $until
) AS writes
    ON writes.bucket = changes.bucket AND writes.time > changes.after_audit AND writes.time <= changes.audited_at
GROUP BY
    changes.audited_at, changes.after_audit, changes.kind, changes.name, changes.fact, changes.before, changes.value
ORDER BY found_at DESC, name, fact
LIMIT $limit
