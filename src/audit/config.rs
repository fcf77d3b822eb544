//! The vocabulary of the audit: what is known of the configuration of a bucket or access point, and the table
//! `bucket_config` that keeps it.
//!
//! One row is one thing (an account, a Region, a bucket, an access point) in one audit. A fact that could not be read is null,
//! never false; what is known not to be configured is false, 0 or `none`. Nothing here knows where facts come from.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use crate::error::{Error, ErrorKind, Result};
use crate::lake::SideTable;

/// Name of the table in the lake and in SQL.
pub const TABLE: &str = "bucket_config";

/// What a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An account: its public access block.
    Account,
    /// A Region in which the account was asked for access points; the lists that failed are in `denied` and `failed`.
    /// A list without entries leaves no other trace.
    Region,
    /// A bucket.
    #[default]
    Bucket,
    /// An access point of a bucket.
    AccessPoint,
    /// An Object Lambda access point.
    ObjectLambdaAccessPoint,
}

impl Kind {
    /// The word in the column `kind`.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Account => "account",
            Kind::Region => "region",
            Kind::Bucket => "bucket",
            Kind::AccessPoint => "access_point",
            Kind::ObjectLambdaAccessPoint => "object_lambda_access_point",
        }
    }
}

/// How values of a kind become a column.
trait Values: Sized {
    fn data_type() -> DataType;
    fn array<'a>(values: impl Iterator<Item = Option<&'a Self>>) -> ArrayRef
    where
        Self: 'a;
}

impl Values for String {
    fn data_type() -> DataType {
        DataType::Utf8View
    }

    fn array<'a>(values: impl Iterator<Item = Option<&'a Self>>) -> ArrayRef {
        Arc::new(values.collect::<StringViewArray>())
    }
}

impl Values for bool {
    fn data_type() -> DataType {
        DataType::Boolean
    }

    fn array<'a>(values: impl Iterator<Item = Option<&'a Self>>) -> ArrayRef {
        Arc::new(values.map(Option::<&bool>::copied).collect::<BooleanArray>())
    }
}

impl Values for i64 {
    fn data_type() -> DataType {
        DataType::Int64
    }

    fn array<'a>(values: impl Iterator<Item = Option<&'a Self>>) -> ArrayRef {
        Arc::new(values.map(Option::<&i64>::copied).collect::<Int64Array>())
    }
}

/// Each fact once: the field of the struct and the column of the table.
macro_rules! facts {
    ($($(#[doc = $doc:literal])+ $name:ident: $values:ty,)+) => {
        /// What is known of one account, bucket or access point.
        #[derive(Debug, Clone, PartialEq, Default, Serialize)]
        pub struct BucketConfig {
            /// What it is.
            pub kind: Kind,
            /// Its name; of an account, its id.
            pub name: String,
            $($(#[doc = $doc])+ pub $name: Option<$values>,)+
        }

        fn fact_columns() -> Vec<Field> {
            vec![$(Field::new(stringify!($name), <$values as Values>::data_type(), true),)+]
        }

        fn fact_arrays(rows: &[BucketConfig]) -> Vec<ArrayRef> {
            vec![$(<$values as Values>::array(rows.iter().map(|row| row.$name.as_ref())),)+]
        }
    };
}

facts! {
    /// The bucket: itself, or that behind an access point.
    bucket: String,
    /// Account id of the owner.
    account_id: String,
    /// Canonical user id of the bucket's owner.
    owner_id: String,
    /// AWS Region.
    region: String,
    /// Whether the bucket is on the account's own list of buckets.
    is_own: bool,
    /// False when S3 says that there is no such bucket.
    bucket_exists: bool,
    /// API calls that were denied, comma-separated.
    denied: String,
    /// API calls that failed otherwise, comma-separated.
    failed: String,
    /// Whether the logging configuration could be read.
    logging_known: bool,
    /// Where the access log goes; null when it is off or not known.
    logging_target_bucket: String,
    /// Prefix of the log objects.
    logging_target_prefix: String,
    /// `simple`, `event-time` or `delivery-time`.
    logging_key_format: String,
    /// Whether policy or ACL of the target, as read in the same audit, let log delivery write there.
    logging_permitted: bool,
    /// Whether a lifecycle rule of the target, as read in the same audit, expires every log object under the prefix.
    logging_expires: bool,
    /// `Enabled`, `Suspended`, or `Off` when it never was on.
    versioning: String,
    /// Whether MFA delete is on.
    mfa_delete: bool,
    /// Default encryption: `AES256`, `aws:kms`, `aws:kms:dsse`, `none`.
    encryption_algorithm: String,
    /// The KMS key of the default encryption, where one is named.
    kms_key_id: String,
    /// Whether the default encryption uses a bucket key.
    bucket_key: bool,
    /// Whether uploads with SSE-C are refused, by the bucket's encryption configuration or its policy.
    sse_c_blocked: bool,
    /// The bucket's, account's or access point's own public access block.
    block_public_acls: bool,
    /// As `block_public_acls`.
    ignore_public_acls: bool,
    /// As `block_public_acls`.
    block_public_policy: bool,
    /// As `block_public_acls`.
    restrict_public_buckets: bool,
    /// Whether the policy could be read; true also where there is none.
    policy_known: bool,
    /// The policy, verbatim; null when there is none or it is not known.
    policy: String,
    /// What S3 says of the policy.
    policy_is_public: bool,
    /// Whether the policy denies every request over plain HTTP; here and below, every one that no AWS service makes.
    policy_denies_insecure_transport: bool,
    /// Whether the policy denies every request with TLS below 1.2.
    policy_denies_old_tls: bool,
    /// Whether the policy denies every upload that does not ask for encryption.
    policy_denies_unencrypted_puts: bool,
    /// Whether the policy denies every upload with SSE-C.
    policy_denies_sse_c: bool,
    /// Whether the policy lets log delivery write objects.
    policy_allows_log_delivery: bool,
    /// Whether it does so only for named accounts or buckets.
    policy_restricts_log_delivery: bool,
    /// Whether the policy denies every read and write that does not come through an access point.
    policy_access_points_only: bool,
    /// Whether the policy leaves decisions to access points.
    policy_delegates_to_access_points: bool,
    /// `BucketOwnerEnforced` (ACLs have no effect), `BucketOwnerPreferred`, `ObjectWriter`, or `none`.
    object_ownership: String,
    /// Whether the ACL grants something to everybody or to every AWS account.
    acl_is_public: bool,
    /// Whether the ACL lets the log delivery group write.
    acl_grants_log_delivery: bool,
    /// Number of CORS rules.
    cors_rules: i64,
    /// Whether a CORS rule allows every origin.
    cors_any_origin: bool,
    /// Whether such a rule allows PUT, POST or DELETE.
    cors_any_origin_writes: bool,
    /// Whether Object Lock is on.
    object_lock: bool,
    /// `GOVERNANCE` or `COMPLIANCE`; null without default retention.
    default_retention_mode: String,
    /// Days of the default retention, a year counted as 365.
    default_retention_days: i64,
    /// Who pays for requests: `BucketOwner` or `Requester`.
    request_payment: String,
    /// Number of lifecycle rules, enabled or not.
    lifecycle_rules: i64,
    /// Whether an enabled rule expires every object of the bucket.
    lifecycle_expires: bool,
    /// Whether an enabled replication rule exists.
    replication: bool,
    /// Buckets that enabled rules replicate to, comma-separated.
    replication_destinations: String,
    /// Number of access points of the bucket; null where they could not be listed.
    access_points: i64,
    /// ARN of the access point.
    arn: String,
    /// `Internet` or `VPC`; access points only.
    network_origin: String,
    /// The VPC that the access point is limited to.
    vpc_id: String,
    /// The access point that an Object Lambda access point reads through, as an ARN.
    supporting_access_point: String,
}

/// What one audit found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Snapshot {
    /// Unique to the audit.
    pub audit_id: String,
    /// When the configuration was read.
    #[serde(serialize_with = "rfc3339")]
    pub audited_at: DateTime<Utc>,
    /// Whose configuration it is: an account id, or the endpoint asked, or `unknown`. A newer audit of the same source
    /// takes the place of an older one.
    pub source: String,
    /// Whether every bucket of the source was on the list. Of access points, a bucket's `access_points` and the row of
    /// the Region tell.
    pub is_complete: bool,
    /// One row per account, Region, bucket and access point.
    pub rows: Vec<BucketConfig>,
    /// Calls without a usable answer.
    pub unanswered: Vec<Unanswered>,
}

/// A call that did not give what was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unanswered {
    /// The bucket, access point or account that was asked about.
    pub name: String,
    /// The call, as the AWS CLI names it.
    pub api: String,
    /// The error code, or what went wrong in a few words. Comes from the server.
    pub reason: String,
    /// Whether permission was refused.
    pub is_denied: bool,
}

/// The columns of `bucket_config`.
pub fn schema() -> SchemaRef {
    let mut columns = vec![
        Field::new("audited_at", time_type(), false),
        Field::new("audit_id", DataType::Utf8View, false),
        Field::new("source", DataType::Utf8View, false),
        Field::new("is_complete", DataType::Boolean, false),
        Field::new("kind", DataType::Utf8View, false),
        Field::new("name", DataType::Utf8View, false),
    ];
    columns.extend(fact_columns());
    Arc::new(Schema::new(columns))
}

/// The table as the lake keeps it.
pub fn side_table() -> SideTable {
    SideTable {
        name: TABLE,
        comment: "One row per account, Region, bucket or access point and audit by s3trail: its configuration",
        schema: schema(),
    }
}

impl Snapshot {
    /// The rows as a batch of [`schema`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Internal`] when rows and schema do not fit.
    pub fn batch(&self) -> Result<RecordBatch> {
        let n = self.rows.len();
        let text = |text: &str| Arc::new(StringViewArray::from_iter_values(std::iter::repeat_n(text, n)));
        let times = TimestampMicrosecondArray::from_value(self.audited_at.timestamp_micros(), n);
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(times.with_timezone("UTC")),
            text(&self.audit_id),
            text(&self.source),
            Arc::new(BooleanArray::from(vec![self.is_complete; n])),
            Arc::new(StringViewArray::from_iter_values(self.rows.iter().map(|row| row.kind.name()))),
            Arc::new(StringViewArray::from_iter_values(self.rows.iter().map(|row| &row.name))),
        ];
        columns.extend(fact_arrays(&self.rows));
        RecordBatch::try_new(schema(), columns)
            .map_err(|e| Error::new(ErrorKind::Internal, "the audit does not fit its table").with_source(e))
    }
}

fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC")))
}

fn rfc3339<S: serde::Serializer>(
    time: &DateTime<Utc>,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_str(&time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::TimestampMicrosecondType;

    #[test]
    fn facts_become_columns_and_unknown_ones_null() {
        let rows = vec![
            BucketConfig {
                name: "amzn-s3-demo-web".to_owned(),
                logging_known: Some(true),
                logging_target_bucket: Some("amzn-s3-demo-logs".to_owned()),
                cors_rules: Some(0),
                ..BucketConfig::default()
            },
            BucketConfig { kind: Kind::AccessPoint, name: "ap".to_owned(), ..BucketConfig::default() },
        ];
        let snapshot = Snapshot {
            audit_id: "1".to_owned(),
            audited_at: DateTime::from_timestamp_micros(1_772_323_200_000_000).unwrap(),
            source: "111122223333".to_owned(),
            is_complete: true,
            rows,
            unanswered: Vec::new(),
        };
        let batch = snapshot.batch().unwrap();
        assert_eq!(batch.schema(), schema());
        let column = |name: &str| batch.column_by_name(name).unwrap();
        let times = column("audited_at").as_primitive::<TimestampMicrosecondType>();
        assert_eq!(times.value(1), 1_772_323_200_000_000);
        assert_eq!(column("kind").as_string_view().value(1), "access_point");
        assert_eq!(column("logging_target_bucket").as_string_view().value(0), "amzn-s3-demo-logs");
        assert!(column("cors_rules").is_valid(0) && column("cors_rules").is_null(1));
        assert!(column("mfa_delete").is_null(0), "not known is not false");
        assert!(column("logging_known").as_boolean().value(0));
        let json = serde_json::to_value(&snapshot).unwrap();
        assert_eq!(json["audited_at"], "2026-03-01T00:00:00Z");
        assert_eq!(json["rows"][1]["kind"], "access_point");
    }

    #[test]
    fn no_rows_are_a_batch_too() {
        let snapshot = Snapshot {
            audit_id: "1".to_owned(),
            audited_at: DateTime::UNIX_EPOCH,
            source: "unknown".to_owned(),
            is_complete: true,
            rows: Vec::new(),
            unanswered: Vec::new(),
        };
        assert_eq!(snapshot.batch().unwrap().num_rows(), 0);
    }

    #[test]
    fn names_of_columns_are_there_once() {
        let schema = schema();
        let mut names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
