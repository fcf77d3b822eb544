--! id = "bucket_configuration"
--! kind = "view"
--! title = "The configuration of accounts, buckets and access points, as last audited"
--! description = """
--! One row per account, Region, bucket, access point and Object Lambda access point, from the newest audit that was
--! about it (s3trail audit); bucket_config has every audit there was. Empty when there was none.
--! A thing that a newer audit of the same source did not find any more is left out, where that audit had the list that
--! it would be on: a bucket, when all of the account were asked about (is_complete); an access point, when those of its
--! bucket were listed (access_points is not null); one of Object Lambda, when those of its Region were: the row of the
--! Region, of kind region, names the lists that failed. Of a bucket that several accounts audited, what an account
--! knows that does not own it counts only where there is nothing else.
--! Null is what could not be read, or makes no sense for the kind; what is known not to be configured is false, 0, none
--! or Off. denied and failed name the calls that were not answered.
--! policy_denies_... are true or false only where that follows from the text of the bucket's own policy: true when
--! every such request is denied that no AWS service makes, false when some is certainly not. logging_permitted and
--! logging_expires are those of the log's target, for the prefix of this bucket, as read in the same audit."""
--! tags = ["audit"]
SELECT * EXCEPT (nth, complete_at, bucket_at, points_at, lambda_at)
FROM (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY kind, name, CASE WHEN kind <> 'bucket' THEN concat(account_id, '/', region) END
            ORDER BY is_own IS NOT FALSE DESC, audited_at DESC, audit_id DESC
        ) AS nth
    FROM (
        -- When the lists were last read that this row would be on.
        SELECT
            *,
            max(CASE WHEN is_complete THEN audited_at END) OVER (PARTITION BY source) AS complete_at,
            max(CASE WHEN kind = 'bucket' THEN audited_at END) OVER of_bucket AS bucket_at,
            max(CASE WHEN kind = 'bucket' AND access_points IS NOT NULL THEN audited_at END) OVER of_bucket AS points_at,
            max(
                CASE
                    WHEN kind = 'region'
                        AND strpos(concat(denied, ',', failed), 'list-access-points-for-object-lambda') = 0
                        THEN audited_at
                END
            ) OVER (PARTITION BY source, region) AS lambda_at
        FROM bucket_config
        WINDOW of_bucket AS (PARTITION BY source, bucket)
    ) AS listed
    WHERE CASE
        WHEN kind = 'access_point'
            THEN audited_at >= coalesce(points_at, audited_at) AND bucket_at >= coalesce(complete_at, bucket_at)
        WHEN kind = 'object_lambda_access_point' AND region IS NOT NULL
            THEN audited_at >= coalesce(lambda_at, audited_at)
        ELSE audited_at >= coalesce(complete_at, audited_at)
    END
) AS ranked
WHERE nth = 1
