"""The 27 fields in the order of the line, with the SQL types of their columns.

`run.py` fails when s3trail's own table differs, so this copy cannot drift unnoticed.
"""

FIELDS = {
    "bucket_owner": "VARCHAR",
    "bucket": "VARCHAR",
    "time": "TIMESTAMP WITH TIME ZONE",
    "remote_ip": "VARCHAR",
    "requester": "VARCHAR",
    "request_id": "VARCHAR",
    "operation": "VARCHAR",
    "key": "VARCHAR",
    "request_uri": "VARCHAR",
    "http_status": "SMALLINT",
    "error_code": "VARCHAR",
    "bytes_sent": "BIGINT",
    "object_size": "BIGINT",
    "total_time_ms": "BIGINT",
    "turn_around_time_ms": "BIGINT",
    "referer": "VARCHAR",
    "user_agent": "VARCHAR",
    "version_id": "VARCHAR",
    "host_id": "VARCHAR",
    "signature_version": "VARCHAR",
    "cipher_suite": "VARCHAR",
    "authentication_type": "VARCHAR",
    "host_header": "VARCHAR",
    "tls_version": "VARCHAR",
    "access_point_arn": "VARCHAR",
    "acl_required": "BOOLEAN",
    "source_region": "VARCHAR",
}
