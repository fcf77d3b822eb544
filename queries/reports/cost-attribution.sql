--! id = "cost-attribution"
--! kind = "report"
--! title = "What requests and transfer cost, by caller and prefix"
--! description = """
--! Requests by price class, bytes out and what they cost by the table prices (settings can change it), for each
--! bucket, caller and prefix. Write class: PUT, COPY, POST and LIST; read class: GET and all other; deletes are free;
--! log delivery is free; lifecycle transitions have a price of their own. Storage, restores, KMS, replication and
--! what hangs on events are not counted. Bytes count as sent to the internet when the caller has an address that is
--! not private and no AWS Region is logged: an upper bound, because Regions are logged only in records of 2026 and
--! later and a CDN may pay less. A GB is 10^9 bytes.
--! Errors: AWS bills answers with 4xx in general, but not 5xx, and since May 2024 not 403 AccessDenied to callers
--! from outside the account or its organization. Callers without a requester count as outside. Whose account is
--! outside the log does not say: with own_accounts empty, 403 to other callers are undecided. Undecided ones are in
--! the cost. AWS lists more codes that it does not bill; these are not taken out."""
--! tags = ["cost", "operations"]
--! [params.depth]
--! type = "int"
--! default = 1
--! help = "How many folders of the key make a prefix"
--! [params.own_accounts]
--! type = "text_list"
--! default = []
--! help = "Account ids of your own and of your organization"
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
WITH price AS (
    SELECT
        max(usd) FILTER (WHERE item = 'requests_write_1000') AS write_1000,
        max(usd) FILTER (WHERE item = 'requests_read_1000') AS read_1000,
        max(usd) FILTER (WHERE item = 'lifecycle_transition_1000') AS transition_1000,
        max(usd) FILTER (WHERE item = 'transfer_out_gb') AS out_gb
    FROM prices
),
records AS (
    SELECT
        bucket,
        principal,
        bytes_sent,
        CASE WHEN key IS NULL THEN '' ELSE array_to_string(
            array_slice(
                string_to_array(key, '/'),
                1,
                least($depth, CAST(array_length(string_to_array(key, '/')) AS bigint) - 1)
            ),
            '/'
        ) END AS prefix,
        CASE
            WHEN operation LIKE 'S3.TRANSITION%' THEN 'transition'
            -- Rows beside the row of the request itself, and what S3 does on its own.
            WHEN operation LIKE 'S3.%' OR operation LIKE 'BATCH.%' THEN 'none'
            WHEN operation IN ('REST.COPY.OBJECT_GET', 'REST.COPY.PART_GET') THEN 'none'
            WHEN principal_type = 'log_delivery' THEN 'none'
            WHEN operation_class = 'delete' OR method = 'DELETE' THEN 'delete'
            WHEN method IN ('PUT', 'COPY') THEN 'write'
            WHEN method = 'POST' AND resource <> 'SELECT' THEN 'write'
            WHEN operation_class = 'list' AND method = 'GET' THEN 'write'
            ELSE 'read'
        END AS price_class,
        CASE
            WHEN http_status >= 500 THEN 'unbilled'
            WHEN http_status = 403 AND error_code = 'AccessDenied' AND time >= '2024-05-13' THEN
                CASE
                    WHEN is_anonymous THEN 'unbilled'
                    WHEN requester = bucket_owner OR array_has($own_accounts, coalesce(account_id, '')) THEN 'billed'
                    WHEN array_length($own_accounts) > 0 AND account_id IS NOT NULL THEN 'unbilled'
                    ELSE 'undecided'
                END
            WHEN http_status >= 400 THEN 'billed'
        END AS error_class,
        remote_ip IS NOT NULL
            AND NOT is_aws_internal
            AND source_region IS NULL
            AND ip_class NOT IN ('private', 'shared', 'loopback', 'link_local') AS to_internet
    FROM requests
    WHERE time >= $since AND time < $until
        AND ($bucket = '' OR bucket = $bucket)
),
usage AS (
    SELECT
        bucket,
        principal,
        prefix,
        count(*) FILTER (WHERE price_class = 'write') AS write_requests,
        count(*) FILTER (WHERE price_class = 'read') AS read_requests,
        count(*) FILTER (WHERE price_class = 'delete') AS delete_requests,
        count(*) FILTER (WHERE price_class = 'transition') AS transitions,
        count(*) FILTER (WHERE price_class = 'write' AND error_class = 'unbilled') AS free_writes,
        count(*) FILTER (WHERE price_class = 'read' AND error_class = 'unbilled') AS free_reads,
        count(*) FILTER (WHERE price_class IN ('read', 'write') AND error_class = 'billed') AS errors_billed,
        count(*) FILTER (WHERE price_class IN ('read', 'write') AND error_class = 'unbilled') AS errors_unbilled,
        count(*) FILTER (WHERE price_class IN ('read', 'write') AND error_class = 'undecided') AS errors_undecided,
        coalesce(sum(bytes_sent), 0) AS bytes_sent,
        coalesce(sum(bytes_sent) FILTER (WHERE to_internet AND error_class IS DISTINCT FROM 'unbilled'), 0)
            AS bytes_internet_at_most
    FROM records
    GROUP BY bucket, principal, prefix
),
cost AS (
    SELECT
        usage.*,
        coalesce(
            (write_requests - free_writes) / 1000.0 * write_1000
            + (read_requests - free_reads) / 1000.0 * read_1000
            + transitions / 1000.0 * transition_1000,
            0
        ) AS requests_usd,
        coalesce(bytes_internet_at_most / 1e9 * out_gb, 0) AS transfer_usd_at_most
    FROM usage
    CROSS JOIN price
)
SELECT
    bucket,
    principal,
    prefix,
    write_requests,
    read_requests,
    delete_requests,
    transitions,
    errors_billed,
    errors_unbilled,
    errors_undecided,
    bytes_sent,
    bytes_internet_at_most,
    round(requests_usd, 6) AS requests_usd,
    round(transfer_usd_at_most, 6) AS transfer_usd_at_most,
    round(requests_usd + transfer_usd_at_most, 6) AS usd_at_most
FROM cost
ORDER BY requests_usd + transfer_usd_at_most DESC, bucket, principal, prefix
LIMIT $limit
