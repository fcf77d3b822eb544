--! id = "crawler-indexed"
--! kind = "detection"
--! title = "Search engines or AI crawlers read a bucket"
--! level = "informational"
--! description = """
--! Crawlers of search engines, archives and AI companies got objects or listings of a bucket without credentials. For
--! a website that is as it should be. For anything else it means that the bucket is public, that links to it are
--! known, and that what was read may now be found and kept elsewhere; a listing (column listings) shows every key.
--! Crawlers are known by their user agent only, which anybody can write; through CloudFront they do not show here."""
--! runbook = [
--!     "If the bucket is meant to be public, decide about crawlers in its robots.txt, or suppress the finding.",
--!     "If not: aws s3api put-public-access-block --bucket BUCKET --public-access-block-configuration BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true, then ask the search engine to remove what it holds.",
--! ]
--! falsepositives = ["Websites and public data sets", "Other software that calls itself a crawler"]
--! tags = ["reconnaissance", "public-access", "attack.t1593.002"]
--! [params.pattern]
--! type = "text"
--! default = '(?i)(googlebot|google-extended|googleother|bingbot|duckduckbot|duckassistbot|baiduspider|yandexbot|yandeximages|applebot|yahoo! slurp|sogou|exabot|petalbot|seznambot|qwantify|ia_archiver|archive\.org_bot|ccbot|gptbot|chatgpt-user|oai-searchbot|claudebot|claude-web|anthropic-ai|perplexitybot|bytespider|amazonbot|meta-externalagent|facebookexternalhit|ahrefsbot|semrushbot|mj12bot|dotbot)'
--! help = "Regular expression of the crawlers; the first group is the name of the finding"
--! [params.min_requests]
--! type = "int"
--! default = 10
--! help = "At least this many successful requests of one crawler, or one listing"
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
    SELECT user_agent, lower(regexp_match(name, $pattern)[1]) AS crawler
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
    agents.crawler AS subject,
    count(*) AS count,
    evidence(requests.log_bucket, requests.log_key, requests.log_offset, requests.time) AS evidence,
    count(*) FILTER (WHERE requests.key IS NULL) AS listings,
    count(*) FILTER (WHERE requests.operation LIKE 'WEBSITE.%') AS website_requests,
    approx_distinct(requests.key) AS keys_approx,
    min(requests.key) AS example_key,
    count(DISTINCT requests.remote_ip) AS addresses,
    min(requests.remote_ip) AS example_address
FROM agents
JOIN access_logs AS requests ON requests.user_agent = agents.user_agent
WHERE requests.operation IN ('REST.GET.OBJECT', 'WEBSITE.GET.OBJECT', 'REST.GET.BUCKET', 'REST.GET.BUCKETVERSIONS')
    AND requests.http_status BETWEEN 200 AND 299
    AND principal_type(requests.requester) = 'anonymous'
    AND coalesce(requests.key, '') <> 'robots.txt'
    AND requests.time >= $since AND requests.time < $until
GROUP BY requests.bucket, agents.crawler
HAVING count(*) >= $min_requests OR count(*) FILTER (WHERE requests.key IS NULL) > 0
ORDER BY count DESC, bucket, subject
