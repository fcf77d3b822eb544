--! id = "access-point-public-address"
--! kind = "detection"
--! title = "An access point meant for a VPC was asked from a public address"
--! level = "medium"
--! description = """
--! An access point is listed in vpc_only, and requests came through it from an address that is not private. Through a
--! VPC endpoint the address is a private one. Fulfilled requests mean that the access point is not limited to a VPC;
--! refused ones that somebody tries from outside. Whether an access point is limited to a VPC is not in the log:
--! hence the list. The address is the apparent one. One finding per access point. The count is of requests."""
--! runbook = [
--!     "See how the access point is set up: aws s3control get-access-point --account-id ACCOUNT --name NAME; NetworkOrigin must be VPC. It cannot be changed afterwards: make a new one and delete this one.",
--!     "With fulfilled above 0: see what was read and by whom: s3trail query access-point-use.",
--!     "Check the block of public access and the policy of the access point.",
--! ]
--! falsepositives = [
--!     "IPv6 addresses inside a VPC, which are not private by their form.",
--!     "A list that names an access point with internet origin.",
--! ]
--! tags = ["access-points", "public-access", "attack.t1530"]
--! [params.vpc_only]
--! type = "text_list"
--! default = []
--! help = "Access points, by name or ARN, that should be used from a VPC only"
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Findings from this time on"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Findings before this time"
SELECT
    min(time) AS first_seen,
    max(time) AS last_seen,
    bucket,
    split_part(access_point_arn, '/', 2) AS subject,
    count(*) AS count,
    evidence(log_bucket, log_key, log_offset, time) AS evidence,
    count(*) FILTER (WHERE http_status < 400) AS fulfilled,
    count(DISTINCT remote_ip) AS addresses,
    min(remote_ip) AS example_address,
    count(DISTINCT principal) AS principals,
    min(principal) AS example_principal,
    min(source_region) AS example_source_region
FROM requests
WHERE time >= $since AND time < $until
    AND access_point_arn IS NOT NULL
    AND (array_has($vpc_only, access_point_arn) OR array_has($vpc_only, split_part(access_point_arn, '/', 2)))
    -- Addresses of documentation stand for public ones in samples.
    AND ip_class IN ('public', 'documentation')
GROUP BY bucket, access_point_arn
ORDER BY bucket, subject
