--! id = "transfer-classes"
--! kind = "report"
--! title = "Where the bytes go: the internet, other Regions, the same Region"
--! description = """
--! Bytes sent by where the request came from, which decides the price of the transfer. Needs the source Region, which
--! records have since 2026: older ones with an address are "not known". The Region of the bucket is taken from the
--! host name unless region names it; a host name without Region leaves it open. No Region is logged for callers on
--! the internet. What AWS logs there for callers in a VPC is not documented."""
--! tags = ["cost", "exfiltration"]
--! [params.region]
--! type = "text"
--! default = ""
--! help = "Region of the bucket; empty to take it from the host name"
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Records from this time on"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Records before this time"
--! [params.bucket]
--! type = "text"
--! default = ""
--! help = "Only this bucket; empty for all"
--! [params.limit]
--! type = "int"
--! default = 100
--! help = "At most this many rows"
SELECT
    bucket,
    CASE
        WHEN inside_aws THEN 'inside AWS, no address'
        WHEN is_private THEN 'private address'
        WHEN source_region IS NOT NULL AND bucket_region = '' THEN 'a Region, that of the bucket not known'
        WHEN source_region = bucket_region THEN 'same Region'
        WHEN source_region IS NOT NULL THEN 'another Region'
        WHEN source_regions_logged THEN 'the internet'
        ELSE 'not known'
    END AS destination,
    source_region,
    CAST(sum(requests) AS bigint) AS requests,
    CAST(sum(bytes_sent) AS bigint) AS bytes_sent,
    round(100.0 * sum(bytes_sent) / nullif(sum(sum(bytes_sent)) OVER (PARTITION BY bucket), 0), 2) AS share_percent
FROM (
    SELECT
        *,
        -- A bucket and day that has Regions has records of 27 fields: there a dash means none.
        max(source_region) OVER (PARTITION BY bucket, day) IS NOT NULL AS source_regions_logged,
        CASE
            WHEN $region <> '' THEN $region
            ELSE coalesce(
                regexp_match(
                    host_header,
                    's3(?:-website|-accesspoint|-fips)*[.-](?:dualstack[.])?([a-z]+(?:-[a-z]+)+-[0-9])[.]'
                )[1],
                ''
            )
        END AS bucket_region
    FROM (
        SELECT
            bucket,
            event_date AS day,
            host_header,
            source_region,
            is_aws_internal AS inside_aws,
            ip_class IN ('private', 'shared') AS is_private,
            count(*) AS requests,
            coalesce(sum(bytes_sent), 0) AS bytes_sent
        FROM requests
        WHERE time >= $since AND time < $until
            AND ($bucket = '' OR bucket = $bucket)
        GROUP BY bucket, day, host_header, source_region, inside_aws, is_private
    ) AS groups
) AS classes
GROUP BY bucket, destination, source_region
ORDER BY bytes_sent DESC, bucket, destination, source_region
LIMIT $limit
