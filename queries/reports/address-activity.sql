--! id = "address-activity"
--! kind = "report"
--! title = "What came from an address or a network"
--! description = """
--! Requests, errors and bytes for each address, bucket and kind of operation. Bytes are bodies of answers. The
--! address is the apparent one: behind a proxy or NAT are many callers. Work inside AWS has no address and is not
--! here."""
--! tags = ["operations", "traffic", "forensics"]
--! [params.networks]
--! type = "cidr_list"
--! default = ["0.0.0.0/0", "::/0"]
--! help = "Only addresses in these networks; one address is a network too"
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
    remote_ip,
    bucket,
    operation_class,
    count(*) AS requests,
    count(*) FILTER (WHERE http_status >= 400 OR error_code IS NOT NULL) AS errors,
    approx_distinct(key) AS keys_approx,
    approx_distinct(principal) AS principals_approx,
    min(principal) AS example_principal,
    min(user_agent_family) AS example_software,
    coalesce(sum(bytes_sent), 0) AS bytes_sent,
    min(time) AS first_time,
    max(time) AS last_time
FROM requests
WHERE time >= $since AND time < $until
    AND ($bucket = '' OR bucket = $bucket)
    AND remote_ip IS NOT NULL
    AND ip_in_cidr(remote_ip, $networks)
GROUP BY remote_ip, bucket, operation_class
ORDER BY requests DESC, remote_ip, bucket, operation_class
LIMIT $limit
