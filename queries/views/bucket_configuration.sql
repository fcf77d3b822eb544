--! id = "bucket_configuration"
--! kind = "view"
--! title = "The configuration of accounts, buckets and access points, as last audited"
--! description = """
--! One row per account, bucket, access point and Object Lambda access point, from the newest audit that was about it
--! (s3trail audit); bucket_config has every audit there was. Empty when there was none.
--! A thing that a complete audit of the same source did not find any more is left out. Null is what could not be read,
--! or makes no sense for the kind; what is known not to be configured is false, 0, none or Off. denied and failed name
--! the calls that were not answered.
--! policy_denies_... are true or false only where that follows from the text of the bucket's own policy: true when
--! every such request is denied, false when some is certainly not. logging_permitted and logging_expires are those of
--! the log's target, for the prefix of this bucket."""
--! tags = ["audit"]
SELECT * EXCEPT (nth, complete_at)
FROM (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY kind, name, CASE WHEN kind <> 'bucket' THEN concat(account_id, '/', region) END
            ORDER BY audited_at DESC, audit_id DESC
        ) AS nth,
        max(CASE WHEN is_complete THEN audited_at END) OVER (PARTITION BY source) AS complete_at
    FROM bucket_config
) AS ranked
WHERE nth = 1 AND (complete_at IS NULL OR audited_at >= complete_at)
