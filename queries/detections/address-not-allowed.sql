--! id = "address-not-allowed"
--! kind = "detection"
--! title = "A bucket was used from an address outside the allowed networks"
--! level = "medium"
--! description = """
--! Requests came to a bucket from addresses that are in none of the networks in allowed. It needs both lists: while allowed
--! or buckets is empty, nothing is said. Only requests that succeeded count, unless include_refused is set. Work
--! inside AWS (lifecycle, replication, services) has no address and is left out, and so is CloudFront. An address behind a
--! VPC endpoint is private, so the private networks belong into the list too. Masked addresses, as in published logs, are
--! no addresses and are left out. The address is the one that S3 sees: a proxy hides the caller."""
--! runbook = [
--!     "See what was done from there: s3trail query principal-activity -p principal=EXAMPLE_PRINCIPAL -p bucket=BUCKET, and ask its owner",
--!     "If nobody knows the address, switch the credentials off (aws iam update-access-key --user-name USER --access-key-id KEY --status Inactive; for a role revoke its sessions)",
--!     "To refuse such requests from now on, add a Deny with NotIpAddress on aws:SourceIp (and aws:VpcSourceIp or aws:SourceVpce for private addresses) to the bucket policy",
--! ]
--! falsepositives = [
--!     "A list that is not up to date: new offices, NAT gateways, VPN exits",
--!     "AWS services that call with an address of AWS on behalf of a user, such as the console",
--! ]
--! tags = ["anomalies", "public-access", "attack.t1530", "attack.t1078"]
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Findings from this time on"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Findings before this time"
--! [params.buckets]
--! type = "text_list"
--! default = []
--! help = "Buckets to look at; * means all of them; empty gives no finding"
--! [params.allowed]
--! type = "cidr_list"
--! default = []
--! help = "Networks from which they may be used, such as 192.0.2.0/24; empty gives no finding"
--! [params.include_refused]
--! type = "bool"
--! default = false
--! help = "Also requests that were refused or failed"
SELECT
    min(time) AS first_seen,
    max(time) AS last_seen,
    bucket,
    remote_ip AS subject,
    count(*) AS count,
    evidence(log_bucket, log_key, log_offset, time) AS evidence,
    min(principal) AS example_principal,
    count(DISTINCT principal) AS principals,
    min(user_agent_family) AS example_agent,
    array_to_string(array_sort(array_agg(DISTINCT operation_class)), ', ') AS kinds,
    coalesce(sum(bytes_sent), 0) AS bytes_sent
FROM requests
WHERE time >= $since AND time < $until
    AND cardinality($allowed) > 0
    AND (array_has($buckets, '*') OR array_has($buckets, bucket))
    -- The source side of a copy can be without status.
    AND (
        $include_refused
        OR error_code IS NULL
            AND (
                http_status BETWEEN 200 AND 299
                OR http_status IS NULL AND operation IN ('REST.COPY.OBJECT_GET', 'REST.COPY.PART_GET')
            )
    )
    -- null, so left out, where there is no address or a masked one
    AND NOT ip_in_cidr(remote_ip, $allowed)
    AND NOT is_aws_internal
    AND principal_type <> 'cloudfront_oai'
GROUP BY bucket, remote_ip
ORDER BY first_seen, bucket, subject
