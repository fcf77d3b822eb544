--! id = "new-address"
--! kind = "detection"
--! title = "A bucket was used from an address not seen before"
--! level = "low"
--! description = """
--! Successful requests came from a network from which the bucket had never been used. A network is the /24 of an IPv4
--! address and the /64 of an IPv6 address (parameter networks); all private addresses (VPC endpoints, old internal callers)
--! are one network, "private". history_days says on how many days before the bucket was used; with fewer than
--! min_history_days it is left out, and so is one that meets new networks all the time (usual_new): there a new one means
--! nothing, and nothing is said. Without since, what is new is looked for in the last day of records (window). Pre-signed
--! URLs and forms are left out, since they are used by others than the principal who signed, and so is CloudFront; callers
--! without credentials as well, unless asked for. Where an address is in the world is not in the logs."""
--! runbook = [
--!     "Find out whose address it is (whois, the VPN and office networks), and ask the owner of the principal whether they were there",
--!     "If not, switch the credentials off (aws iam update-access-key --user-name USER --access-key-id KEY --status Inactive; for a role revoke its sessions), then see what was done: s3trail query principal-activity -p principal=EXAMPLE_PRINCIPAL -p bucket=BUCKET",
--! ]
--! falsepositives = [
--!     "People who travel or work from home, new offices, new NAT gateways",
--!     "Programs that run in the cloud with changing public addresses",
--!     "Proxies: the address is the one that S3 sees",
--! ]
--! tags = ["anomalies", "attack.t1078", "attack.t1530"]
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Findings from this time on"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Findings before this time"
--! [params.window]
--! type = "duration"
--! default = "1d"
--! help = "Without since, findings are of this time up to the last record; with since, from then on"
--! [params.min_history_days]
--! type = "int"
--! default = 7
--! help = "On how many days before there must have been use; fewer give no finding"
--! [params.networks]
--! type = "bool"
--! default = true
--! help = "Compare networks (/24, /64); false compares single addresses"
--! [params.anonymous]
--! type = "bool"
--! default = false
--! help = "Also requests without credentials; on a public bucket everybody is new"
--! [params.usual_new]
--! type = "float"
--! default = 3.0
--! help = "A bucket that met more new networks a day than this, over the three days before, is left out"
WITH bounds AS (
    -- from when on something counts as new; all before is history
    SELECT CASE WHEN $since > TIMESTAMP '1970-01-01T00:00:00Z' THEN $since ELSE max(time) - $window END AS start
    FROM access_logs
    WHERE time < $until
),
-- plain columns: the functions come after the join, where few rows are left
successes AS (
    SELECT *
    FROM access_logs
    WHERE time < $until
        AND remote_ip IS NOT NULL
        -- the source side of a copy can be without status
        AND (http_status BETWEEN 200 AND 299
            OR http_status IS NULL AND operation IN ('REST.COPY.OBJECT_GET', 'REST.COPY.PART_GET'))
        AND error_code IS NULL
        AND (authentication_type IS NULL OR authentication_type = 'AuthHeader')
        AND CASE
            WHEN requester IS NULL THEN $anonymous
            WHEN requester LIKE 'arn:%' THEN requester NOT LIKE 'arn:%:iam::cloudfront:%'
            -- the function only for the few others
            WHEN principal_type(requester) = 'anonymous' THEN $anonymous
            ELSE principal_type(requester) NOT IN ('aws_s3', 'service', 'log_delivery')
        END
),
days AS (
    SELECT bucket, remote_ip, event_date, min(time) AS first_time
    FROM successes
    GROUP BY bucket, remote_ip, event_date
),
-- an IPv6 address in full, lower case: the zeros of :: are written out
spelled AS (
    SELECT
        bucket,
        remote_ip,
        event_date,
        first_time,
        CASE
            WHEN remote_ip LIKE '%::%' THEN concat(
                split_part(lower(remote_ip), '::', 1),
                ':',
                repeat('0:', 8 - regexp_count(remote_ip, '[0-9a-fA-F]+')),
                split_part(lower(remote_ip), '::', 2)
            )
            ELSE lower(remote_ip)
        END AS groups
    FROM days
),
networks AS (
    SELECT
        bucket,
        remote_ip,
        event_date,
        first_time,
        CASE
            WHEN ip_class(remote_ip) IN ('private', 'shared', 'loopback', 'link_local') THEN 'private'
            WHEN NOT $networks THEN remote_ip
            WHEN remote_ip LIKE '%.%.%.%' THEN concat(
                replace(lower(substr(remote_ip, 1, length(remote_ip) - strpos(reverse(remote_ip), '.'))), '::ffff:', ''),
                '.0/24'
            )
            WHEN remote_ip LIKE '%:%' THEN concat(
                coalesce(nullif(ltrim(split_part(groups, ':', 1), '0'), ''), '0'), ':',
                coalesce(nullif(ltrim(split_part(groups, ':', 2), '0'), ''), '0'), ':',
                coalesce(nullif(ltrim(split_part(groups, ':', 3), '0'), ''), '0'), ':',
                coalesce(nullif(ltrim(split_part(groups, ':', 4), '0'), ''), '0'), '::/64'
            )
            ELSE remote_ip
        END AS network
    FROM spelled
),
known AS (
    SELECT
        *,
        count(DISTINCT CASE WHEN first_time < start THEN event_date END) OVER (PARTITION BY bucket) AS history_days,
        min(first_time) OVER (PARTITION BY bucket, network) AS network_since
    FROM networks
    CROSS JOIN bounds
),
judged AS (
    SELECT
        *,
        count(DISTINCT CASE WHEN network_since < start AND network_since >= start - INTERVAL '3 days' THEN network END)
            OVER (PARTITION BY bucket) / 3.0 AS new_per_day
    FROM known
),
new AS (
    SELECT bucket, remote_ip, event_date, network, history_days
    FROM judged
    WHERE network_since >= start AND history_days >= $min_history_days AND new_per_day <= $usual_new
)
SELECT
    min(time) AS first_seen,
    max(time) AS last_seen,
    successes.bucket,
    network AS subject,
    count(*) AS count,
    evidence(log_bucket, log_key, log_offset, time) AS evidence,
    max(history_days) AS history_days,
    count(DISTINCT successes.remote_ip) AS addresses,
    min(principal(requester)) AS example_principal,
    count(DISTINCT principal(requester)) AS principals,
    min(user_agent_family(user_agent)) AS example_agent,
    array_to_string(array_sort(array_agg(DISTINCT operation_class(operation))), ', ') AS kinds,
    coalesce(sum(bytes_sent), 0) AS bytes_sent
FROM new
INNER JOIN successes
    ON successes.event_date = new.event_date
    AND successes.bucket = new.bucket
    AND successes.remote_ip = new.remote_ip
-- holds for every row of new; said here so that older files are not read again
WHERE successes.time >= (SELECT start FROM bounds)
GROUP BY successes.bucket, network
ORDER BY first_seen, bucket, subject
