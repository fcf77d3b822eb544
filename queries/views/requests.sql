--! id = "requests"
--! kind = "view"
--! title = "Log records with what can be derived from them"
--! description = """
--! Every column of access_logs, and columns computed from them. What a query does not use costs nothing; bounds on
--! time and event_date reach the files.
--! is_success: status 200 to 299 and no error code; null where no status is logged (lifecycle, some copies).
--! is_anonymous: no requester. A request whose credentials were refused is logged without requester too.
--! is_aws_internal: the requester is S3 itself, a service or log delivery, or there is no remote address, which S3
--! logs for work done inside AWS (lifecycle, replication, CloudFront with origin access control).
--! is_presigned: the URL carries X-Amz-Expires, or Expires and Signature, and was not signed in a header.
--! presigned_expires_s: the lifetime that was asked for; SigV2 states an end, not a lifetime, so null there.
--! key_prefix: the key up to and including its first slash; empty without one.
--! principal, user_agent_family, ip_class and the like: SHOW FUNCTIONS explains the functions behind them."""
--! tags = ["requests"]
SELECT
    access_logs.*,
    operation_method(operation) AS method,
    operation_resource(operation) AS resource,
    operation_class(operation) AS operation_class,
    http_status BETWEEN 200 AND 299 AND error_code IS NULL AS is_success,
    principal_type(requester) = 'anonymous' AS is_anonymous,
    principal_type(requester) IN ('aws_s3', 'service', 'log_delivery') OR remote_ip IS NULL AS is_aws_internal,
    principal(requester) AS principal,
    principal_type(requester) AS principal_type,
    principal_account(requester) AS account_id,
    role_name(requester) AS role,
    session_name(requester) AS session_name,
    user_agent_family(user_agent) AS user_agent_family,
    ip_class(remote_ip) AS ip_class,
    substr(key, 1, strpos(key, '/')) AS key_prefix,
    (authentication_type IS NULL OR authentication_type = 'QueryString')
        AND (
            uri_param(request_uri, 'X-Amz-Expires') IS NOT NULL
            OR (uri_param(request_uri, 'Expires') IS NOT NULL AND uri_param(request_uri, 'Signature') IS NOT NULL)
        ) AS is_presigned,
    try_cast(uri_param(request_uri, 'X-Amz-Expires') AS bigint) AS presigned_expires_s,
    uri_param(request_uri, 'X-Amz-Date') AS presigned_date,
    split_part(
        coalesce(uri_param(request_uri, 'X-Amz-Credential'), uri_param(request_uri, 'AWSAccessKeyId')), '/', 1
    ) AS presigned_credential_key_id
FROM access_logs
