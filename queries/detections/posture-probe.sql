--! id = "posture-probe"
--! kind = "detection"
--! title = "One caller read the protection settings of a bucket within seconds"
--! level = "low"
--! description = """
--! One principal, or one address without credentials, read many of a bucket's settings in one go: ACL, public access
--! block, policy, policy status, versioning, logging, encryption and the like, whether it got them or was refused. Tools that
--! look for a way in do that first; so do tools that look after security. Known callers are left out: roles of AWS
--! services (AWSServiceRole..., such as those of AWS Config and Trusted Advisor), sessions named AWSConfig-..., AWS itself,
--! and the kinds of software in known_agents. Names of sessions and user agents are chosen by the caller and can be
--! forged. One finding for each caller, with the bucket "*": buckets says how many there are, example_bucket names one."""
--! runbook = [
--!     "Ask the owner of the principal whether they ran an audit or a scanner; if not, see what else it did: s3trail query principal-activity -p principal=SUBJECT -p since=FIRST_SEEN",
--!     "If the credentials are stolen, switch them off: aws iam update-access-key --user-name USER --access-key-id KEY --status Inactive",
--! ]
--! falsepositives = [
--!     "Auditing and inventory software such as Prowler, ScoutSuite, Steampipe; suppress its role by subject",
--!     "Deployment tools that compare a bucket with its template",
--! ]
--! tags = ["reconnaissance", "attack.t1526", "attack.t1580", "attack.t1619"]
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Findings from this time on"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Findings before this time"
--! [params.gap]
--! type = "duration"
--! default = "10s"
--! help = "Reads of a bucket that follow one another within this time belong together"
--! [params.min_settings]
--! type = "int"
--! default = 5
--! help = "How many different settings must be read"
--! [params.known_agents]
--! type = "text_list"
--! default = ["s3console", "terraform"]
--! help = "User-agent families which read all settings as a matter of course"
WITH reads AS (
    SELECT
        time,
        bucket,
        CASE WHEN is_anonymous THEN remote_ip ELSE principal END AS subject,
        operation,
        http_status,
        remote_ip,
        user_agent_family,
        log_bucket,
        log_key,
        log_offset
    FROM requests
    WHERE time >= $since - $gap AND time < $until
        AND operation IN (
            'REST.GET.ACL',
            'REST.GET.PUBLIC_ACCESS_BLOCK',
            'REST.GET.BUCKETPOLICY',
            'REST.GET.POLICY_STATUS',
            'REST.GET.VERSIONING',
            'REST.GET.LOGGING_STATUS',
            'REST.GET.LOGGING',
            'REST.GET.ENCRYPTION',
            'REST.GET.OWNERSHIP_CONTROLS',
            'REST.GET.OBJECT_LOCK_CONFIGURATION',
            'REST.GET.OBJECT_LOCK',
            'REST.GET.REPLICATION',
            'REST.GET.LIFECYCLE',
            'REST.GET.CORS',
            'REST.GET.WEBSITE'
        )
        -- ACLs of objects are another matter
        AND key IS NULL
        AND NOT is_aws_internal
        AND (role IS NULL OR role NOT LIKE 'AWSServiceRole%')
        AND (session_name IS NULL OR session_name NOT LIKE 'AWSConfig-%')
        AND (user_agent_family IS NULL OR NOT array_has($known_agents, user_agent_family))
),
starts AS (
    SELECT
        *,
        CASE WHEN time - lag(time) OVER asked <= $gap THEN 0 ELSE 1 END AS is_start
    FROM reads
    WINDOW asked AS (PARTITION BY bucket, subject ORDER BY time, log_key, log_offset)
),
series AS (
    SELECT
        *,
        sum(is_start) OVER (PARTITION BY bucket, subject ORDER BY time, log_key, log_offset) AS series
    FROM starts
),
counted AS (
    SELECT
        *,
        count(DISTINCT operation) OVER (PARTITION BY bucket, subject, series) AS settings,
        max(time) OVER (PARTITION BY bucket, subject, series) AS series_end
    FROM series
)
SELECT
    min(time) AS first_seen,
    max(time) AS last_seen,
    '*' AS bucket,
    subject,
    count(*) AS count,
    evidence(log_bucket, log_key, log_offset, time) AS evidence,
    max(settings) AS settings,
    count(DISTINCT counted.bucket) AS buckets,
    min(counted.bucket) AS example_bucket,
    count(*) FILTER (WHERE http_status = 403) AS refused,
    min(remote_ip) AS example_address,
    min(user_agent_family) AS example_agent
FROM counted
WHERE settings >= $min_settings AND series_end >= $since
GROUP BY subject
ORDER BY first_seen, bucket, subject
