--! id = "credential-keys"
--! kind = "detection"
--! title = "Objects that look like credentials were read"
--! level = "medium"
--! description = """
--! Somebody successfully read objects whose keys are shaped like credentials: .aws/credentials, id_rsa, .env, private
--! keys and key stores, Terraform state, password files. Copies to elsewhere count; so do reads by CloudFront, whose
--! visitors are not in these logs.
--! Only the key is judged. Whether the object holds a secret is not in the logs. Left out are callers that also write
--! such objects in the bucket, since they have what they wrote, and after the third day a caller that reads the same
--! key day after day, which is how programs fetch their settings. A stolen identity of those kinds is not found here.
--! Neither excuses anonymous callers and CloudFront, behind which are many."""
--! runbook = [
--!     "Find out whether the caller was meant to read it. If not, treat what the object holds as known to others: rotate those credentials first.",
--!     "If anonymous or CloudFront could read it, close that now: aws s3api put-public-access-block --bucket BUCKET --public-access-block-configuration BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true, or move the object out of what the distribution serves.",
--!     "See who else read it: query object-history -p key=KEY.",
--!     "Keep secrets in AWS Secrets Manager or Parameter Store, not in buckets.",
--! ]
--! falsepositives = ["Deployments and CI that fetch their settings or state, in their first three days", "Sample and test files"]
--! tags = ["exfiltration", "attack.t1552.001", "attack.t1530"]
--! [params.pattern]
--! type = "text"
--! default = '''(?i)(^|[/_.-])(\.aws/(credentials|config)|credentials(\.(csv|json|ya?ml|ini|txt))?|accesskeys?\.csv|rootkey\.csv|id_(rsa|dsa|ecdsa|ed25519)|env(\.(prod|production|live|local|dev|staging))?|npmrc|pypirc|netrc|pgpass|my\.cnf|git-credentials|dockercfg|\.docker/config\.json|\.kube/config|kubeconfig|wp-config\.php|htpasswd|shadow|service[_-]?account[^/]*\.json|secrets?\.(ya?ml|json|txt|env)|passwords?\.(txt|csv|xlsx?|json)|[^/]*\.(pem|ppk|p12|pfx|jks|keystore|kdbx|ovpn|tfstate|tfstate\.backup)|[^/]*(private|server|tls|ssl)[^/]*\.key)$'''
--! help = "Regular expression that the key must match"
--! [params.ignore]
--! type = "text"
--! default = '''(?i)((^|/)([^/]*(ca|cacerts?|bundle|chain|public|pub|example|sample|template|dist)[^/]*\.(pem|jks|p12)|\.?env\.(example|sample|template|dist))|(^|/)env)$'''
--! help = "Regular expression of keys that look so and hold no secret: public certificates, templates"
--! [params.habit_days]
--! type = "int"
--! default = 3
--! help = "After this many days on which the same caller read the same key it is a habit"
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Findings from this time on"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Findings before this time"
WITH touches AS (
    SELECT
        bucket,
        principal(requester) AS principal,
        key,
        time,
        remote_ip,
        operation,
        log_bucket,
        log_key,
        log_offset,
        principal_type(requester) IN ('anonymous', 'cloudfront_oai')
            OR coalesce(requester, '-') = 'svc:cloudfront.amazonaws.com' AS is_many,
        dense_rank() OVER (
            PARTITION BY bucket, principal(requester), key ORDER BY date_trunc('day', time)
        ) AS read_day,
        max(CASE WHEN operation IN ('REST.PUT.OBJECT', 'REST.POST.OBJECT', 'REST.POST.UPLOAD', 'REST.COPY.OBJECT') THEN 1 ELSE 0 END)
            OVER (PARTITION BY bucket, principal(requester)) AS writes
    FROM access_logs
    WHERE operation IN (
            'REST.GET.OBJECT', 'WEBSITE.GET.OBJECT', 'REST.COPY.OBJECT_GET', 'REST.COPY.PART_GET', 'REST.POST.SELECT',
            'REST.PUT.OBJECT', 'REST.POST.OBJECT', 'REST.POST.UPLOAD', 'REST.COPY.OBJECT'
        )
        AND (http_status BETWEEN 200 AND 299 OR http_status IS NULL)
        AND error_code IS NULL
        AND (remote_ip IS NOT NULL OR requester = 'svc:cloudfront.amazonaws.com')
        AND time < $until
        AND regexp_like(key, $pattern)
        AND NOT regexp_like(key, $ignore)
)
SELECT
    min(time) AS first_seen,
    max(time) AS last_seen,
    bucket,
    principal AS subject,
    count(*) AS count,
    evidence(log_bucket, log_key, log_offset, time) AS evidence,
    count(DISTINCT key) AS keys,
    min(key) AS example_key,
    count(DISTINCT remote_ip) AS addresses,
    min(remote_ip) AS example_address,
    bool_or(operation IN ('REST.COPY.OBJECT_GET', 'REST.COPY.PART_GET')) AS copied
FROM touches
WHERE (is_many OR writes = 0 AND read_day <= $habit_days)
    AND operation NOT IN ('REST.PUT.OBJECT', 'REST.POST.OBJECT', 'REST.POST.UPLOAD', 'REST.COPY.OBJECT')
    AND time >= $since
GROUP BY bucket, principal
ORDER BY keys DESC, bucket, subject
