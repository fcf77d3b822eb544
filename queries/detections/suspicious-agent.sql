--! id = "suspicious-agent"
--! kind = "detection"
--! title = "An attack tool sent requests under its own name"
--! level = "low"
--! description = """
--! The user agent names a tool that is made for attacks or for looking for open buckets. Every public bucket sees
--! such requests sooner or later; what counts is whether they succeeded (column succeeded) and whether the caller had
--! an identity of yours (principals), which makes it urgent.
--! curl, wget and scripting libraries are not on the list. A sender can write what it likes here: who hides does not
--! show, and a name is no proof."""
--! runbook = [
--!     "If the caller has an identity, ask its owner at once whether it is a test. If not, deactivate the key: aws iam update-access-key --user-name NAME --access-key-id ID --status Inactive",
--!     "If requests succeeded, see what was read: s3trail query address-activity -p networks=EXAMPLE_ADDRESS, then query object-history for the keys.",
--!     "If the bucket need not be public: aws s3api put-public-access-block --bucket BUCKET --public-access-block-configuration BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true",
--! ]
--! falsepositives = ["A penetration test or a vulnerability scan of your own"]
--! tags = ["reconnaissance", "attack.t1595", "attack.t1619"]
--! [params.pattern]
--! type = "text"
--! default = '(?i)\b(sqlmap|nikto|nuclei|gobuster|dirbuster|dirsearch|feroxbuster|wfuzz|ffuf|masscan|zgrab|zmap|nmap scripting|wpscan|acunetix|nessus|openvas|metasploit|burp ?suite|thc-hydra|pacu|s3scanner|bucket[-_ ]?finder|bucket[-_ ]?stream|slurp/[0-9]|cloud_enum|s3recon|trufflehog|cloudfox|scoutsuite|l9explore|havij|arachni|commix|jaeles|whatweb|httpx - open-source)\b'
--! help = "Regular expression of the tools; the first group is the name of the finding"
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Findings from this time on"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Findings before this time"
WITH agents AS (
    -- There are few user agents, so that each is looked at once. max() keeps the planner from looking at every row;
    -- the limit, which is never reached, tells it that this is the small side of the join.
    SELECT user_agent, lower(regexp_match(name, $pattern)[1]) AS tool
    FROM (
        SELECT user_agent, max(user_agent) AS name
        FROM access_logs
        WHERE time >= $since AND time < $until
        GROUP BY user_agent
    ) AS names
    WHERE regexp_like(name, $pattern)
    ORDER BY user_agent
    LIMIT 1000000
)
SELECT
    min(requests.time) AS first_seen,
    max(requests.time) AS last_seen,
    requests.bucket AS bucket,
    agents.tool AS subject,
    count(*) AS count,
    evidence(requests.log_bucket, requests.log_key, requests.log_offset, requests.time) AS evidence,
    count(*) FILTER (WHERE requests.http_status BETWEEN 200 AND 299) AS succeeded,
    count(DISTINCT requests.remote_ip) AS addresses,
    min(requests.remote_ip) AS example_address,
    count(DISTINCT requests.requester) AS principals,
    min(principal(requests.requester)) FILTER (WHERE requests.requester IS NOT NULL) AS example_principal,
    min(requests.user_agent) AS example_user_agent
FROM agents
JOIN access_logs AS requests ON requests.user_agent = agents.user_agent
WHERE requests.time >= $since AND requests.time < $until
GROUP BY requests.bucket, agents.tool
ORDER BY succeeded DESC, count DESC, bucket, subject
