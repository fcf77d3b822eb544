--! id = "principal-activity"
--! kind = "report"
--! title = "What each caller did, by kind of operation"
--! description = """
--! Callers with their roles' sessions put together: how many requests of which kind, how many failed, from how many
--! addresses, on how many keys (approximate). A canonical id is an account, not a person; an assumed role can be
--! many people. Requests whose credentials were refused are logged as anonymous."""
--! tags = ["operations", "principal", "forensics"]
--! [params.principal]
--! type = "text"
--! default = ""
--! help = "Only this caller: a principal as shown, or the name of a role; empty for all"
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
    principal,
    principal_type,
    account_id,
    bucket,
    operation_class,
    count(*) AS records,
    count(*) FILTER (WHERE http_status >= 400 OR error_code IS NOT NULL) AS errors,
    approx_distinct(key) AS keys_approx,
    approx_distinct(remote_ip) AS addresses_approx,
    coalesce(sum(bytes_sent), 0) AS bytes_sent,
    min(time) AS first_time,
    max(time) AS last_time
FROM requests
WHERE time >= $since AND time < $until
    AND ($bucket = '' OR bucket = $bucket)
    AND ($principal = '' OR principal = $principal OR role = $principal)
GROUP BY principal, principal_type, account_id, bucket, operation_class
ORDER BY records DESC, principal, bucket, operation_class
LIMIT $limit
