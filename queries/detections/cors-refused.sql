--! id = "cors-refused"
--! kind = "detection"
--! title = "Browsers were refused by the CORS rules of a bucket"
--! level = "informational"
--! description = """
--! Preflight requests (OPTIONS) that browsers send before a script may read from or write to the bucket were answered
--! 403. Either a website that should work does not, or somebody else's site tries to use the bucket.
--! The Origin header, which CORS goes by, is not logged. The subject is the site in the Referer, which browsers often
--! send and anybody can make up; `no Referer` stands for those without one. Which rule did not fit (origin, method or
--! header) cannot be seen; granted says how many preflights of the same site were answered with success. Refusals of
--! requests that need no preflight happen in the browser and leave no trace."""
--! runbook = [
--!     "See whether the site is yours. If it is, compare its origin, method and headers with the rules: aws s3api get-bucket-cors --bucket BUCKET",
--!     "Try it: curl -i -X OPTIONS -H 'Origin: https://SITE' -H 'Access-Control-Request-Method: GET' https://BUCKET.s3.REGION.amazonaws.com/KEY",
--!     "If it is not yours, the rules do their work; look at what else the site's visitors ask for.",
--! ]
--! falsepositives = ["Sites that embed your images or fonts.", "Developers who test on localhost."]
--! tags = ["cors"]
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Findings from this time on"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Findings before this time"
--! [params.min_refused]
--! type = "int"
--! default = 5
--! help = "Sites with at least this many refused preflights"
SELECT
    min(time) FILTER (WHERE http_status = 403) AS first_seen,
    max(time) FILTER (WHERE http_status = 403) AS last_seen,
    bucket,
    -- Scheme, host and port; never user names or what follows the host.
    CASE WHEN site IS NULL THEN 'no Referer' ELSE lower(concat(site[1], site[2])) END AS subject,
    count(*) FILTER (WHERE http_status = 403) AS count,
    evidence(log_bucket, log_key, log_offset, time) FILTER (WHERE http_status = 403) AS evidence,
    count(*) FILTER (WHERE http_status BETWEEN 200 AND 299) AS granted,
    approx_distinct(remote_ip) FILTER (WHERE http_status = 403) AS addresses_approx,
    approx_distinct(key) FILTER (WHERE http_status = 403) AS keys_approx,
    min(key) FILTER (WHERE http_status = 403) AS example_key
FROM (
    SELECT
        *,
        regexp_match(referer, '^([A-Za-z][A-Za-z0-9+.-]*://)(?:[^/?#]*@)?([^/?#]+)') AS site
    FROM requests
    WHERE time >= $since AND time < $until
        AND operation LIKE 'REST.OPTIONS.%'
) AS preflights
GROUP BY bucket, subject
HAVING count(*) FILTER (WHERE http_status = 403) >= $min_refused
ORDER BY first_seen, bucket, subject
