--! id = "access-point-use"
--! kind = "report"
--! title = "Who uses which access point, for what"
--! description = """
--! Requests through access points by caller, kind of operation and prefix, with the addresses they came from: what to
--! know before a policy is narrowed or an access point is deleted. The access point is its ARN as logged; older
--! records and multi-Region access points show it only in the host name, which is given then. Requests without access
--! point are not here. An access point that nobody used is not either: compare with aws s3control list-access-points.
--! Whether an access point is limited to a VPC is not in the log; private_addresses is a hint."""
--! tags = ["access-points"]
--! [params.depth]
--! type = "int"
--! default = 1
--! help = "How many folders of the key make a prefix"
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
    access_point,
    principal,
    operation_class,
    prefix,
    count(*) AS requests,
    count(*) FILTER (WHERE http_status >= 400) AS errors,
    count(*) FILTER (WHERE http_status = 403) AS refused,
    approx_distinct(key) AS keys_approx,
    coalesce(sum(bytes_sent), 0) AS bytes_sent,
    approx_distinct(remote_ip) AS addresses_approx,
    approx_distinct(remote_ip) FILTER (WHERE ip_class IN ('private', 'shared')) AS private_addresses_approx,
    min(source_region) AS example_source_region,
    min(time) AS first_time,
    max(time) AS last_time
FROM (
    SELECT
        bucket,
        key,
        principal,
        operation_class,
        http_status,
        bytes_sent,
        remote_ip,
        ip_class,
        source_region,
        time,
        coalesce(access_point_arn, host_header) AS access_point,
        CASE WHEN key IS NULL THEN '' ELSE array_to_string(
            array_slice(
                string_to_array(key, '/'),
                1,
                least($depth, CAST(array_length(string_to_array(key, '/')) AS bigint) - 1)
            ),
            '/'
        ) END AS prefix
    FROM requests
    WHERE time >= $since AND time < $until
        AND ($bucket = '' OR bucket = $bucket)
        AND (
            access_point_arn IS NOT NULL
            -- The host name on the source side of a copy is that of its destination.
            OR operation NOT IN ('REST.COPY.OBJECT_GET', 'REST.COPY.PART_GET')
                AND (
                    host_header LIKE '%.s3-accesspoint%'
                    OR host_header LIKE '%-s3alias.%'
                    OR host_header LIKE '%.mrap.accesspoint.s3-global.%'
                )
        )
) AS uses
GROUP BY bucket, access_point, principal, operation_class, prefix
ORDER BY bucket, access_point, requests DESC, principal, operation_class, prefix
LIMIT $limit
