//! The field registry: one row per field of a log record, in the order AWS writes them.
//!
//! Everything that lists fields (the Arrow schema, the README's column table, error messages) is derived from
//! [`Field::ALL`]. It knows nothing of bytes, Arrow or files.
//!
//! Source of names, order and meaning: AWS, "Amazon S3 server access log format" (LogFormat); periods and the
//! forms of a missing value were measured on real records.

/// How a field is written in the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A run of bytes without a blank.
    Bare,
    /// `[dd/Mon/yyyy:HH:MM:SS +0000]`.
    Bracketed,
    /// Between double quotes, nothing inside escaped; or a bare dash.
    Quoted,
}

/// The type of a field's column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldType {
    /// UTF-8 text.
    Text,
    /// Microseconds since the epoch, UTC.
    Timestamp,
    /// 16-bit signed integer.
    Int16,
    /// 64-bit signed integer.
    Int64,
    /// True or false.
    Bool,
}

impl FieldType {
    /// The SQL name of the type, as the README shows it.
    pub fn sql_name(self) -> &'static str {
        match self {
            FieldType::Text => "text",
            FieldType::Timestamp => "timestamp (µs, UTC)",
            FieldType::Int16 => "int16",
            FieldType::Int64 => "int64",
            FieldType::Bool => "boolean",
        }
    }
}

macro_rules! fields {
    ($($variant:ident, $name:literal, $aws:literal, $shape:ident, $ty:ident, $since:literal, $meaning:literal;)*) => {
        /// A field of a log record, in AWS's order. `Field as usize` is its index from 0.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Field { $(#[doc = $meaning] $variant,)* }

        impl Field {
            /// Every field, in the order of the line.
            pub const ALL: [Field; 27] = [$(Field::$variant,)*];

            /// The column name: snake_case of AWS's name.
            pub const fn name(self) -> &'static str { match self { $(Field::$variant => $name,)* } }

            /// AWS's own name for the field.
            pub const fn aws_name(self) -> &'static str { match self { $(Field::$variant => $aws,)* } }

            /// How it is written.
            pub const fn shape(self) -> Shape { match self { $(Field::$variant => Shape::$shape,)* } }

            /// The type of its column.
            pub const fn field_type(self) -> FieldType { match self { $(Field::$variant => FieldType::$ty,)* } }

            /// When the field first appeared in records.
            pub const fn since(self) -> &'static str { match self { $(Field::$variant => $since,)* } }

            /// What it holds, in one line.
            pub const fn meaning(self) -> &'static str { match self { $(Field::$variant => $meaning,)* } }
        }
    };
}

fields! {
    BucketOwner, "bucket_owner", "Bucket Owner", Bare, Text, "2006", "Canonical user id of the owner of the bucket";
    Bucket, "bucket", "Bucket", Bare, Text, "2006", "The source bucket: the bucket that was asked";
    Time, "time", "Time", Bracketed, Timestamp, "2006", "When the request was received, whole seconds";
    RemoteIp, "remote_ip", "Remote IP", Bare, Text, "2006", "Apparent address of the caller, IPv4 or IPv6; null for work done inside AWS";
    Requester, "requester", "Requester", Bare, Text, "2006", "Canonical id, ARN or service that asked; null when anonymous";
    RequestId, "request_id", "Request ID", Bare, Text, "2006", "Id of the request; several records can share one";
    Operation, "operation", "Operation", Bare, Text, "2006", "What was done, such as REST.GET.OBJECT or S3.EXPIRE.OBJECT";
    Key, "key", "Key", Bare, Text, "2006", "Object key, decoded by the rule of its operation";
    RequestUri, "request_uri", "Request-URI", Quoted, Text, "2006", "The request line as sent: method, target, protocol";
    HttpStatus, "http_status", "HTTP status", Bare, Int16, "2006", "HTTP status of the answer; null for lifecycle actions";
    ErrorCode, "error_code", "Error Code", Bare, Text, "2006", "S3's error code; null when there was none";
    BytesSent, "bytes_sent", "Bytes Sent", Bare, Int64, "2006", "Bytes of the answer's body; null means zero";
    ObjectSize, "object_size", "Object Size", Bare, Int64, "2006", "Size of the object in bytes";
    TotalTimeMs, "total_time_ms", "Total Time", Bare, Int64, "2006", "Milliseconds in flight, the caller's slowness included";
    TurnAroundTimeMs, "turn_around_time_ms", "Turn-Around Time", Bare, Int64, "2006", "Milliseconds S3 spent on it";
    Referer, "referer", "Referer", Quoted, Text, "2006", "Referer header, as sent";
    UserAgent, "user_agent", "User-Agent", Quoted, Text, "2006", "User-Agent header, as sent";
    VersionId, "version_id", "Version Id", Bare, Text, "2010", "versionId of the request or of the copied object";
    HostId, "host_id", "Host Id", Bare, Text, "2019-03", "The extended request id, x-amz-id-2";
    SignatureVersion, "signature_version", "Signature Version", Bare, Text, "2019-03", "SigV2 or SigV4; null when unauthenticated";
    CipherSuite, "cipher_suite", "Cipher Suite", Bare, Text, "2019-03", "TLS cipher; null for plain HTTP and for work inside AWS";
    AuthenticationType, "authentication_type", "Authentication Type", Bare, Text, "2019-03", "AuthHeader, QueryString (pre-signed) or HtmlForm (browser POST)";
    HostHeader, "host_header", "Host Header", Bare, Text, "2019-03", "Endpoint the caller addressed";
    TlsVersion, "tls_version", "TLS version", Bare, Text, "2019-03", "TLSv1 (is 1.0), TLSv1.1, TLSv1.2, TLSv1.3; null for plain HTTP";
    AccessPointArn, "access_point_arn", "Access Point ARN", Bare, Text, "2021-05", "Access point the request came through";
    AclRequired, "acl_required", "aclRequired", Bare, Bool, "2022-11", "True for Yes, false for a dash, null when the record is too old to say";
    SourceRegion, "source_region", "Source Region", Bare, Text, "2026-03", "AWS Region the request came from; null for the internet";
}

impl Field {
    /// Number of fields AWS writes today.
    pub const COUNT: usize = Self::ALL.len();

    /// The field of that column name.
    pub fn from_name(name: &str) -> Option<Field> {
        Self::ALL.into_iter().find(|f| f.name() == name)
    }
}

impl std::fmt::Display for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_is_position_and_names_are_unique() {
        for (i, field) in Field::ALL.into_iter().enumerate() {
            assert_eq!(field as usize, i);
            assert_eq!(Field::from_name(field.name()), Some(field));
        }
    }
}
