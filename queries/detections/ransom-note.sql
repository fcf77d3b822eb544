--! id = "ransom-note"
--! kind = "detection"
--! title = "An uploaded object is named like a ransom note"
--! level = "high"
--! description = """
--! Objects were written whose name (the part of the key after the last slash) reads like a note of extortion: how to
--! decrypt, your files are encrypted, restore instructions; with the ending of a text or a page (txt, html, hta, rtf) or
--! none. Keys are compared as decoded.
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
--! default = '''
--! (?ix)^[^a-z0-9]*(
--!   # decrypt: only after how to, read me, help and the like, or before what is decrypted
--!   ((read[^a-z0-9.]*(me|it|this)?|help|how|please|important|warning|attention|instructions?)[^a-z0-9.]*
--!       ((me|now|first|how|can|do|i|you|to|for|and|get)[^a-z0-9.]*)*
--!     (decrypt(ion|or|er)?
--!       |(recover|restore|unlock|back)[^a-z0-9.]*((my|your|ur|all|the|encrypted|locked)[^a-z0-9.]*)*(files?|data|bucket|objects?)
--!       |((my|your|ur|all|the)[^a-z0-9.]*)*(files?|data|bucket|objects?)[^a-z0-9.]*back)
--!   |read[^a-z0-9.]*(me|it|this)[^a-z0-9.]*((now|first|please)[^a-z0-9.]*)*(to|for|how|before)[^a-z0-9.]*(to[^a-z0-9.]*)?(recover|restore|unlock|pay)
--!   |decrypt(ion)?[^a-z0-9.]*((my|your|ur|all|the)[^a-z0-9.]*)*(files?|data|bucket|instructions?|info|note|readme|help)
--!   |(recover|recovery|restore|unlock)[^a-z0-9.]*((my|your|ur|all)[^a-z0-9.]*)+(files?|data|bucket|objects?)
--!   |(recover|restore|unlock)[^a-z0-9.]*files
--!   |(recovery|restore|unlock)[^a-z0-9.]*instructions?
--!   # your files are encrypted, stolen, ...
--!   |((warning|attention|important|all|of)[^a-z0-9.]*)*(your|ur)[^a-z0-9.]+((important|personal|company|s3|all)[^a-z0-9.]*)*
--!       (files?|data|bucket|objects?|documents?|backups?|database)[^a-z0-9.]*
--!       ((are|is|was|were|have|has|had|been|got|now|all)[^a-z0-9.]+)*(encrypted|stolen|locked|hacked|leaked)
--!   |((warning|attention|important|all|the)[^a-z0-9.]*)*(files|data|bucket)[^a-z0-9.]+
--!       ((are|is|was|were|have|has|been|got)[^a-z0-9.]+)+(encrypted|stolen|locked|hacked|leaked)
--!   |files[^a-z0-9.]*encrypted
--!   |you[^a-z0-9.]+((have|are|were|been|got)[^a-z0-9.]+)+hacked
--!   # ransom, payment
--!   |(.*[^a-z0-9.])?ransom[^a-z0-9.]*(note|info|readme|payment|demand|instructions?)
--!   |((read[^a-z0-9.]*me|warning|attention|important|pay|the|a)[^a-z0-9.]*)*ransom
--!   |(pay|send)[^a-z0-9.]+((us|me|the|in|[0-9.]+)[^a-z0-9.]+)+(bitcoins?|btc|monero|xmr)
--!   |(pay|send)[^a-z0-9.]+(bitcoins?|btc|monero|xmr)[^a-z0-9.]+(to|for|or)[^a-z0-9.]+[^.]*
--!   )([^a-z0-9.]+(read|me|readme|this|now|first|please|how|to|pay|decrypt|restore|recover|info|instructions?|note|by|back|help|for|or|us|contact|my|your|all|files?|data))*
--! )[^a-z0-9]*(\.(txt|html?|hta|rtf))?$'''
--! help = "Regular expression that the name must match; (?x) at its beginning lets it have blanks, lines and comments"
--! [params.ignore]
--! type = "text"
--! default = '^how-(to|can|do)-[a-z0-9-]+\.html?$'
--! help = "Regular expression of names that match and are no notes: web pages that help"
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
    AND NOT regexp_like(name, $ignore)
GROUP BY bucket, principal
ORDER BY count DESC, bucket, subject
