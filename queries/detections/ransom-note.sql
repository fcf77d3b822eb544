--! id = "ransom-note"
--! kind = "detection"
--! title = "An uploaded object is named like a ransom note"
--! level = "high"
--! description = """
--! Objects were written whose name (the part of the key after the last slash) reads like a note of extortion: how to
--! decrypt, your files are encrypted, restore instructions. Keys are compared as decoded.
--! Only the name is judged; the content is not in the logs. A note is usually the last step, so look at what was
--! read, overwritten and deleted before."""
--! runbook = [
--!     "Look at the object without opening it in a browser: aws s3 cp s3://BUCKET/KEY - | head. If it is a note, stop the identity that wrote it: aws iam update-access-key --user-name NAME --access-key-id ID --status Inactive, or revoke the sessions of the role.",
--!     "List what the same caller wrote and deleted in the day before: query principal-activity, detections exfiltration-then-deletion and bulk-download.",
--!     "If the bucket is versioned, earlier versions are still there: aws s3api list-object-versions --bucket BUCKET. Take the right to delete versions and to change lifecycle rules from everybody until it is clear.",
--! ]
--! falsepositives = ["Documentation of a restore procedure, kept in a bucket under such a name", "Samples of malware research"]
--! tags = ["destruction", "attack.t1486"]
--! [params.pattern]
--! type = "text"
--! default = '''(?i)^[^a-z0-9]*(how[ _.-]*(to|can|do)[ _.-].*(decrypt|recover|restore|unlock|get[ _.-].*back).*|.*decrypt(ion)?[ _.-]*(my|your|all|the)?[ _.-]*(files?|data|bucket|instructions?|info|note|readme|guide|help|me)|.*(recover|recovery|restore|unlock)[ _.-]*((my|your|all)[ _.-]*(files?|data|bucket|objects?)|files?|instructions?)|(all[ _.-]*)?(your|ur)[ _.-].*(encrypted|stolen|locked|hacked|leaked).*|(files|data|bucket)[ _.-]*(are|is|was|were|have|has|been|got)[ _.-].*(encrypted|stolen|locked|hacked|leaked).*|(.*[ _.-])?ransom([ _.-]*(note|info|readme|payment|demand))?|read[ _.-]*(me|it|this)[ _.-]*(now|first|for|to|or|before)?[ _.-]*(decrypt|recover|restore|unlock|pay|ransom|important|warning).*|(pay|send)[ _.-].*(bitcoins?|btc|monero|xmr|ransom).*|(warning|attention|important)[ _.-].*(encrypt|stolen|ransom|hack|leak).*)[^a-z0-9]*(\.(txt|html?|hta|rtf|pdf|png|jpe?g|bmp|url))?$'''
--! help = "Regular expression that the name must match"
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Findings from this time on"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Findings before this time"
SELECT
    min(time) AS first_seen,
    max(time) AS last_seen,
    bucket,
    principal AS subject,
    count(*) AS count,
    evidence(log_bucket, log_key, log_offset, time) AS evidence,
    count(DISTINCT name) AS names,
    min(key) AS example_key,
    count(DISTINCT remote_ip) AS addresses,
    min(remote_ip) AS example_address,
    min(user_agent) AS example_user_agent
FROM (
    SELECT
        *,
        principal(requester) AS principal,
        split_part(key, '/', -1) AS name
    FROM access_logs
    WHERE operation IN ('REST.PUT.OBJECT', 'REST.POST.OBJECT', 'REST.POST.UPLOAD', 'REST.COPY.OBJECT', 'SOAP.PUT.OBJECT')
        AND (http_status BETWEEN 200 AND 299 OR http_status IS NULL)
        AND error_code IS NULL
        AND time >= $since AND time < $until
) AS uploads
WHERE regexp_like(name, $pattern)
GROUP BY bucket, principal
ORDER BY count DESC, bucket, subject
