--! id = "user-agents"
--! kind = "report"
--! title = "Which software talks to the buckets"
--! description = """
--! Software by family, with an example of what it calls itself, how many callers use it and how often it fails. A
--! user agent is whatever the caller wrote: good for finding old SDKs, no proof of anything."""
--! tags = ["operations", "traffic", "inventory"]
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
    user_agent_family,
    count(*) AS requests,
    round(100.0 * count(*) / sum(count(*)) OVER (), 2) AS share_percent,
    count(*) FILTER (WHERE http_status >= 400 OR error_code IS NOT NULL) AS errors,
    approx_distinct(user_agent) AS user_agents_approx,
    approx_distinct(principal) AS principals_approx,
    min(user_agent) AS example_user_agent,
    min(time) AS first_time,
    max(time) AS last_time
FROM requests
WHERE time >= $since AND time < $until
    AND ($bucket = '' OR bucket = $bucket)
GROUP BY user_agent_family
ORDER BY requests DESC, user_agent_family
LIMIT $limit
