--! id = "config-vpc-access-point-reached"
--! kind = "detection"
--! title = "An access point of a VPC was asked from a public address"
--! level = "medium"
--! description = """
--! By the audit the access point takes requests from one VPC only, and requests came to it from an address that is not
--! private. S3 refuses those: somebody outside knows its name, and may have credentials. Fulfilled ones should not be
--! there: then the access point was made anew with another origin since the audit, or the address is one that a VPC
--! uses inside (public addresses of your own, IPv6). vpc_id is the VPC. The address is the apparent one.
--! This is access-point-public-address with the list of access points read from the configuration. One finding per
--! access point; count is the number of requests."""
--! runbook = [
--!     "See who asks, and whether the credentials are known: s3trail query access-point-use.",
--!     "With fulfilled above 0: aws s3control get-access-point --account-id ACCOUNT --name NAME; NetworkOrigin must be VPC. It cannot be changed: make a new one and delete this one.",
--!     "Let the bucket policy refuse what does not come through access points of the VPC: condition StringNotEquals s3:AccessPointNetworkOrigin VPC.",
--! ]
--! falsepositives = ["Public or IPv6 addresses that are used inside the VPC.", "A developer who tried the access point from an office."]
--! tags = ["access-points", "configuration", "audit", "attack.t1530"]
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Requests from this time on; the configuration is that of the last audit"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Requests before this time"
SELECT
    min(time) AS first_seen,
    max(time) AS last_seen,
    requests.bucket,
    configuration.name AS subject,
    count(*) AS count,
    evidence(log_bucket, log_key, log_offset, time) AS evidence,
    count(*) FILTER (WHERE http_status < 400) AS fulfilled,
    configuration.vpc_id,
    count(DISTINCT remote_ip) AS addresses,
    min(remote_ip) AS example_address,
    count(DISTINCT principal) AS principals,
    min(principal) AS example_principal,
    configuration.audited_at
-- The small side comes first: when it is empty the other is not read.
FROM (
    SELECT name, arn, vpc_id, audited_at
    FROM bucket_configuration
    WHERE kind = 'access_point' AND network_origin = 'VPC'
) AS configuration
INNER JOIN requests ON requests.access_point_arn = configuration.arn
WHERE requests.time >= $since AND requests.time < $until
    -- Addresses of documentation stand for public ones in samples.
    AND requests.ip_class IN ('public', 'documentation')
GROUP BY requests.bucket, configuration.name, configuration.vpc_id, configuration.audited_at
ORDER BY first_seen, bucket, subject
