//! What S3 answers, in AWS's own names: the JSON that the AWS CLI prints, and the shape the SDK's answers are brought
//! into, so that both go the same way from here.
//!
//! An answer can also be that nothing is configured, that the call was denied, or that it failed. Only what is made
//! use of is kept of an answer; nothing is concluded here.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

use super::config::Unanswered;

/// One call of the S3 API.
#[derive(Debug, PartialEq, Eq)]
pub struct Api {
    /// As the AWS CLI names it.
    pub name: &'static str,
    /// Error codes that mean that nothing is configured.
    absent: &'static [&'static str],
    /// Members of the output. One that has others only is not the output of this call.
    members: &'static [&'static str],
}

/// Error codes of a call that was not allowed.
const DENIED: [&str; 6] =
    ["AccessDenied", "AccessDeniedException", "AllAccessDisabled", "Forbidden", "UnauthorizedAccess", "403"];

/// What came of a call.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Answer<T> {
    /// Nobody asked.
    #[default]
    NotAsked,
    /// The output.
    Given(T),
    /// There is no such configuration.
    Absent,
    /// Permission was refused: the error code.
    Denied(String),
    /// The error code, or what went wrong in a few words.
    Failed(String),
}

impl<T> Answer<T> {
    /// The output; `Some(None)` where nothing is configured, `None` where that is not known.
    pub fn known(&self) -> Option<Option<&T>> {
        match self {
            Answer::Given(output) => Some(Some(output)),
            Answer::Absent => Some(None),
            Answer::NotAsked | Answer::Denied(_) | Answer::Failed(_) => None,
        }
    }

    /// The output, if there is one.
    pub fn given(&self) -> Option<&T> {
        self.known().flatten()
    }

    /// What an error of `api` with this code means.
    pub fn of_error(api: &Api, code: &str) -> Self {
        if api.absent.contains(&code) {
            Answer::Absent
        } else if DENIED.contains(&code) {
            Answer::Denied(code.to_owned())
        } else {
            Answer::Failed(code.to_owned())
        }
    }

    /// Why there is no answer, and whether permission was refused. `None` when there is one or nobody asked.
    fn trouble(&self) -> Option<(&str, bool)> {
        match self {
            Answer::Denied(code) => Some((code, true)),
            Answer::Failed(code) => Some((code, false)),
            Answer::NotAsked | Answer::Given(_) | Answer::Absent => None,
        }
    }

    fn unanswered(&self, name: &str, api: &Api) -> Option<Unanswered> {
        let (reason, is_denied) = self.trouble()?;
        let (name, api, reason) = (name.to_owned(), api.name.to_owned(), reason.to_owned());
        Some(Unanswered { name, api, reason, is_denied })
    }
}

impl<T: DeserializeOwned> Answer<T> {
    /// Reads the output that the AWS CLI prints; null is no answer, `{"Error": {"Code": ...}}` an error of the call.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in a few words.
    pub fn from_json(api: &Api, output: Value) -> Result<Self, String> {
        let members = match &output {
            Value::Null => return Ok(Answer::NotAsked),
            Value::Object(members) => members,
            _ => return Err("must be an object, the output of the call".to_owned()),
        };
        if let Some(error) = members.get("Error") {
            let code = error.get("Code").and_then(Value::as_str);
            return match code.filter(|code| !code.is_empty()) {
                Some(code) => Ok(Answer::of_error(api, code)),
                None => Err("has an Error without Code".to_owned()),
            };
        }
        // What boto3 adds to every output.
        let mut others = members.keys().filter(|key| *key != "ResponseMetadata").peekable();
        if others.peek().is_some() && !others.any(|key| api.members.contains(&key.as_str())) {
            return Err(format!("is not the output of this call: it has no {}", api.members.join(" or ")));
        }
        serde_json::from_value(output).map(Answer::Given).map_err(|e| format!("is not as it must be: {e}"))
    }
}

/// A set of calls about one thing: a field for each, and what can be done with all of them.
macro_rules! answers {
    ($(#[doc = $doc:literal])+ $set:ident { $($(#[doc = $field_doc:literal])+ $field:ident: $output:ty = $api:ident,)+ }) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, PartialEq, Default)]
        pub struct $set {
            $($(#[doc = $field_doc])+ pub $field: Answer<$output>,)+
        }

        impl $set {
            /// The names of the calls.
            pub const APIS: &'static [&'static str] = &[$($api.name,)+];

            /// Takes the output of a call by its name; false for a name that is none of [`Self::APIS`].
            ///
            /// # Errors
            ///
            /// What is wrong with the output.
            pub fn take(&mut self, api: &str, output: Value) -> Result<bool, String> {
                match api {
                    $(name if name == $api.name => self.$field = Answer::from_json(&$api, output)?,)+
                    _ => return Ok(false),
                }
                Ok(true)
            }

            /// The names of the calls that told something, be it that nothing is configured.
            pub fn answered(&self) -> Vec<&'static str> {
                let calls = [$(($api.name, self.$field.known().is_some()),)+];
                calls.into_iter().filter(|(_, is_known)| *is_known).map(|(name, _)| name).collect()
            }

            /// The calls about `name` that did not give what was asked.
            pub fn unanswered(&self, name: &str) -> Vec<Unanswered> {
                [$(self.$field.unanswered(name, &$api),)+].into_iter().flatten().collect()
            }
        }
    };
}

macro_rules! apis {
    ($($(#[doc = $doc:literal])* $id:ident = $name:literal, absent $absent:expr, members $members:expr;)+) => {
        $($(#[doc = $doc])* pub(super) const $id: Api = Api { name: $name, absent: &$absent, members: &$members };)+
    };
}

apis! {
    LOCATION = "get-bucket-location", absent [], members ["LocationConstraint"];
    HEAD = "head-bucket", absent [], members ["BucketRegion", "BucketArn", "AccessPointAlias"];
    LOGGING = "get-bucket-logging", absent [], members ["LoggingEnabled"];
    VERSIONING = "get-bucket-versioning", absent [], members ["Status", "MFADelete"];
    ENCRYPTION = "get-bucket-encryption", absent ["ServerSideEncryptionConfigurationNotFoundError"],
        members ["ServerSideEncryptionConfiguration"];
    PUBLIC_ACCESS_BLOCK = "get-public-access-block", absent ["NoSuchPublicAccessBlockConfiguration"],
        members ["PublicAccessBlockConfiguration"];
    POLICY = "get-bucket-policy", absent ["NoSuchBucketPolicy"], members ["Policy"];
    POLICY_STATUS = "get-bucket-policy-status", absent ["NoSuchBucketPolicy"], members ["PolicyStatus"];
    ACL = "get-bucket-acl", absent [], members ["Owner", "Grants"];
    OWNERSHIP = "get-bucket-ownership-controls", absent ["OwnershipControlsNotFoundError"],
        members ["OwnershipControls"];
    CORS = "get-bucket-cors", absent ["NoSuchCORSConfiguration"], members ["CORSRules"];
    OBJECT_LOCK = "get-object-lock-configuration", absent ["ObjectLockConfigurationNotFoundError"],
        members ["ObjectLockConfiguration"];
    REQUEST_PAYMENT = "get-bucket-request-payment", absent [], members ["Payer"];
    LIFECYCLE = "get-bucket-lifecycle-configuration", absent ["NoSuchLifecycleConfiguration"],
        members ["Rules", "TransitionDefaultMinimumObjectSize"];
    REPLICATION = "get-bucket-replication", absent ["ReplicationConfigurationNotFoundError"],
        members ["ReplicationConfiguration"];
    ACCESS_POINT = "get-access-point", absent [], members ["Name", "Bucket", "NetworkOrigin"];
    ACCESS_POINT_POLICY = "get-access-point-policy", absent ["NoSuchAccessPointPolicy"], members ["Policy"];
    OBJECT_LAMBDA = "get-access-point-configuration-for-object-lambda", absent [], members ["Configuration"];
    OBJECT_LAMBDA_POLICY = "get-access-point-policy-for-object-lambda", absent ["NoSuchAccessPointPolicy"],
        members ["Policy"];
    IDENTITY = "get-caller-identity", absent [], members ["Account", "Arn", "UserId"];
    LIST_BUCKETS = "list-buckets", absent [], members ["Buckets", "Owner"];
}

/// The lists of a Region's access points of either kind.
pub(super) const LIST_ACCESS_POINTS: &str = "list-access-points";
pub(super) const LIST_OBJECT_LAMBDA: &str = "list-access-points-for-object-lambda";

/// A list about `name` that could not be read.
pub(super) fn not_listed(name: &str, api: &str, reason: &str) -> Unanswered {
    let is_denied = DENIED.contains(&reason);
    Unanswered { name: name.to_owned(), api: api.to_owned(), reason: reason.to_owned(), is_denied }
}

answers! {
    /// What was answered about a bucket itself.
    BucketAnswers {
        /// Its Region.
        location: Location = LOCATION,
        /// Its Region, told also to those who may see nothing else.
        head: Head = HEAD,
        /// Where its access log goes.
        logging: Logging = LOGGING,
        /// Versioning and MFA delete.
        versioning: Versioning = VERSIONING,
        /// Default encryption.
        encryption: Encryption = ENCRYPTION,
        /// Its own public access block.
        public_access_block: PublicAccessBlock = PUBLIC_ACCESS_BLOCK,
        /// Its policy.
        policy: PolicyText = POLICY,
        /// Whether S3 calls the policy public.
        policy_status: PolicyStatusOutput = POLICY_STATUS,
        /// Owner and grants.
        acl: Acl = ACL,
        /// Whether ACLs have effect.
        ownership: Ownership = OWNERSHIP,
        /// Cross-origin rules.
        cors: Cors = CORS,
        /// Object Lock and its default retention.
        object_lock: ObjectLock = OBJECT_LOCK,
        /// Who pays for requests.
        request_payment: RequestPayment = REQUEST_PAYMENT,
        /// Lifecycle rules.
        lifecycle: Lifecycle = LIFECYCLE,
        /// Replication rules.
        replication: Replication = REPLICATION,
    }
}

answers! {
    /// What was answered about an access point.
    AccessPointAnswers {
        /// The access point.
        access_point: AccessPoint = ACCESS_POINT,
        /// Its policy.
        policy: PolicyText = ACCESS_POINT_POLICY,
    }
}

answers! {
    /// What was answered about an Object Lambda access point.
    ObjectLambdaAnswers {
        /// What it reads through.
        configuration: ObjectLambda = OBJECT_LAMBDA,
        /// Its policy.
        policy: PolicyText = OBJECT_LAMBDA_POLICY,
    }
}

answers! {
    /// What was answered about an account.
    AccountAnswers {
        /// Whose credentials were used.
        identity: Identity = IDENTITY,
        /// The buckets of the account.
        buckets: BucketList = LIST_BUCKETS,
        /// The public access block of the whole account.
        public_access_block: PublicAccessBlock = PUBLIC_ACCESS_BLOCK,
    }
}

/// A bucket with its access points.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Bucket {
    /// About the bucket itself.
    pub answers: BucketAnswers,
    /// By name; `None` where nobody could list them.
    pub access_points: Option<BTreeMap<String, AccessPointAnswers>>,
}

/// An Object Lambda access point.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ObjectLambdaPoint {
    /// Its name; another Region can have one of the same.
    pub name: String,
    /// Its Region.
    pub region: Option<String>,
    /// About it.
    pub answers: ObjectLambdaAnswers,
}

/// Everything that was asked in one audit.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answers {
    /// About the account.
    pub account: AccountAnswers,
    /// The account that the credentials name, where nobody else said which one it is.
    pub account_id: Option<String>,
    /// The server asked, where it is not AWS.
    pub endpoint: Option<String>,
    /// Whether every bucket on the account's list was to be asked about.
    pub is_complete: bool,
    /// By name.
    pub buckets: BTreeMap<String, Bucket>,
    /// Regions in which the account was asked for access points.
    pub regions: BTreeSet<String>,
    /// Those of the account, in every Region that was asked.
    pub object_lambda_access_points: Vec<ObjectLambdaPoint>,
    /// Lists that could not be read, under the name of their Region.
    pub unanswered: Vec<Unanswered>,
}

/// Declares what is kept of outputs, in AWS's names.
macro_rules! outputs {
    ($($(#[doc = $doc:literal])+ $output:ident { $($(#[serde($rename:meta)])? $field:ident: $type:ty,)+ })+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Debug, Clone, PartialEq, Default, Deserialize)]
            #[serde(default, rename_all = "PascalCase")]
            #[allow(missing_docs, reason = "the members have AWS's names and AWS's meaning")]
            pub struct $output {
                $($(#[serde($rename)])? pub $field: $type,)+
            }
        )+
    };
}

outputs! {
    /// Output of `get-bucket-location`.
    Location { location_constraint: Option<String>, }
    /// Output of `head-bucket`.
    Head { bucket_region: Option<String>, }
    /// Output of `get-bucket-logging`.
    Logging { logging_enabled: Option<LoggingEnabled>, }
    /// `LoggingEnabled`.
    LoggingEnabled {
        target_bucket: String,
        target_prefix: String,
        target_object_key_format: Option<KeyFormat>,
    }
    /// `TargetObjectKeyFormat`.
    KeyFormat { partitioned_prefix: Option<PartitionedPrefix>, }
    /// `PartitionedPrefix`.
    PartitionedPrefix { partition_date_source: Option<String>, }
    /// Output of `get-bucket-versioning`.
    Versioning { status: Option<String>, #[serde(rename = "MFADelete")] mfa_delete: Option<String>, }
    /// Output of `get-bucket-encryption`.
    Encryption { server_side_encryption_configuration: EncryptionRules, }
    /// `ServerSideEncryptionConfiguration`.
    EncryptionRules { rules: Vec<EncryptionRule>, }
    /// `ServerSideEncryptionRule`.
    EncryptionRule {
        apply_server_side_encryption_by_default: Option<EncryptionByDefault>,
        bucket_key_enabled: Option<bool>,
        blocked_encryption_types: Option<BlockedEncryptionTypes>,
    }
    /// `ServerSideEncryptionByDefault`.
    EncryptionByDefault {
        #[serde(rename = "SSEAlgorithm")] sse_algorithm: String,
        #[serde(rename = "KMSMasterKeyID")] kms_master_key_id: Option<String>,
    }
    /// `BlockedEncryptionTypes`.
    BlockedEncryptionTypes { encryption_type: Vec<String>, }
    /// Output of `get-public-access-block`.
    PublicAccessBlock { public_access_block_configuration: PublicAccessBlockConfiguration, }
    /// `PublicAccessBlockConfiguration`.
    PublicAccessBlockConfiguration {
        block_public_acls: Option<bool>,
        ignore_public_acls: Option<bool>,
        block_public_policy: Option<bool>,
        restrict_public_buckets: Option<bool>,
    }
    /// Output of `get-bucket-policy` and `get-access-point-policy`.
    PolicyText { policy: Option<String>, }
    /// Output of `get-bucket-policy-status`.
    PolicyStatusOutput { policy_status: PolicyStatus, }
    /// `PolicyStatus`.
    PolicyStatus { is_public: Option<bool>, }
    /// Output of `get-bucket-acl`.
    Acl { owner: Option<Owner>, grants: Vec<Grant>, }
    /// `Owner`.
    Owner { #[serde(rename = "ID")] id: Option<String>, }
    /// `Grant`.
    Grant { grantee: Option<Grantee>, permission: Option<String>, }
    /// `Grantee`.
    Grantee { #[serde(rename = "URI")] uri: Option<String>, }
    /// Output of `get-bucket-ownership-controls`.
    Ownership { ownership_controls: OwnershipControls, }
    /// `OwnershipControls`.
    OwnershipControls { rules: Vec<OwnershipRule>, }
    /// `OwnershipControlsRule`.
    OwnershipRule { object_ownership: String, }
    /// Output of `get-bucket-cors`.
    Cors { #[serde(rename = "CORSRules")] cors_rules: Vec<CorsRule>, }
    /// `CORSRule`.
    CorsRule { allowed_methods: Vec<String>, allowed_origins: Vec<String>, }
    /// Output of `get-object-lock-configuration`.
    ObjectLock { object_lock_configuration: ObjectLockConfiguration, }
    /// `ObjectLockConfiguration`.
    ObjectLockConfiguration { object_lock_enabled: Option<String>, rule: Option<ObjectLockRule>, }
    /// `ObjectLockRule`.
    ObjectLockRule { default_retention: Option<DefaultRetention>, }
    /// `DefaultRetention`.
    DefaultRetention { mode: Option<String>, days: Option<i64>, years: Option<i64>, }
    /// Output of `get-bucket-request-payment`.
    RequestPayment { payer: Option<String>, }
    /// Output of `get-bucket-lifecycle-configuration`.
    Lifecycle { rules: Vec<LifecycleRule>, }
    /// `LifecycleRule`.
    LifecycleRule {
        status: String,
        prefix: Option<String>,
        filter: Option<LifecycleFilter>,
        expiration: Option<Expiration>,
    }
    /// `LifecycleRuleFilter`, and its `And`.
    LifecycleFilter {
        prefix: Option<String>,
        tag: Option<IgnoredAny>,
        tags: Option<Vec<IgnoredAny>>,
        object_size_greater_than: Option<i64>,
        object_size_less_than: Option<i64>,
        and: Option<Box<LifecycleFilter>>,
    }
    /// `LifecycleExpiration`.
    Expiration { days: Option<i64>, date: Option<IgnoredAny>, }
    /// Output of `get-bucket-replication`.
    Replication { replication_configuration: ReplicationConfiguration, }
    /// `ReplicationConfiguration`.
    ReplicationConfiguration { rules: Vec<ReplicationRule>, }
    /// `ReplicationRule`.
    ReplicationRule { status: String, destination: Destination, }
    /// `Destination`: the bucket as an ARN.
    Destination { bucket: String, }
    /// Output of `get-access-point`.
    AccessPoint {
        bucket: Option<String>,
        network_origin: Option<String>,
        vpc_configuration: Option<VpcConfiguration>,
        public_access_block_configuration: Option<PublicAccessBlockConfiguration>,
        access_point_arn: Option<String>,
    }
    /// `VpcConfiguration`.
    VpcConfiguration { vpc_id: Option<String>, }
    /// Output of `get-access-point-configuration-for-object-lambda`.
    ObjectLambda { configuration: ObjectLambdaConfiguration, }
    /// `ObjectLambdaConfiguration`.
    ObjectLambdaConfiguration { supporting_access_point: Option<String>, }
    /// Output of `get-caller-identity`.
    Identity { account: Option<String>, arn: Option<String>, }
    /// Output of `list-buckets`.
    BucketList { buckets: Vec<ListedBucket>, }
    /// `Bucket`.
    ListedBucket { name: String, bucket_region: Option<String>, }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_output_an_error_and_nothing() {
        let read = |output| Answer::<Logging>::from_json(&LOGGING, output);
        let on = read(json!({ "LoggingEnabled": { "TargetBucket": "b", "TargetPrefix": "p/" } })).unwrap();
        let enabled = on.given().unwrap().logging_enabled.as_ref().unwrap();
        assert_eq!((enabled.target_bucket.as_str(), enabled.target_prefix.as_str()), ("b", "p/"));
        assert_eq!(read(json!({})).unwrap(), Answer::Given(Logging::default()));
        assert_eq!(read(json!({ "ResponseMetadata": {} })).unwrap(), Answer::Given(Logging::default()));
        assert_eq!(read(Value::Null).unwrap(), Answer::NotAsked);
        let denied = read(json!({ "Error": { "Code": "AccessDenied", "Message": "no" } })).unwrap();
        assert_eq!(denied, Answer::Denied("AccessDenied".to_owned()));
        assert_eq!(denied.known(), None);
        let failed = read(json!({ "Error": { "Code": "NotImplemented" } })).unwrap();
        assert_eq!(failed, Answer::Failed("NotImplemented".to_owned()));
    }

    #[test]
    fn what_is_not_configured_is_a_fact() {
        let absent =
            Answer::<PolicyText>::from_json(&POLICY, json!({ "Error": { "Code": "NoSuchBucketPolicy" } }));
        assert_eq!(absent.unwrap().known(), Some(None));
        // The code of another call says nothing about this one.
        let other = Answer::<Cors>::from_json(&CORS, json!({ "Error": { "Code": "NoSuchBucketPolicy" } }));
        assert_eq!(other.unwrap().known(), None);
    }

    #[test]
    fn what_is_no_output_is_refused() {
        let wrong = |output| Answer::<Logging>::from_json(&LOGGING, output).unwrap_err();
        assert!(wrong(json!([])).contains("must be an object"));
        assert!(wrong(json!({ "TargetBucket": "b" })).contains("it has no LoggingEnabled"));
        assert!(wrong(json!({ "Error": {} })).contains("Error without Code"));
        assert!(wrong(json!({ "LoggingEnabled": "yes" })).contains("is not as it must be"));
        // Members of newer versions are let pass.
        let newer = json!({ "LoggingEnabled": { "TargetBucket": "b", "Newer": 1 }, "Newest": 2 });
        assert!(Answer::<Logging>::from_json(&LOGGING, newer).is_ok());
    }

    #[test]
    fn sets_take_outputs_by_name_and_tell_what_is_missing() {
        let mut bucket = BucketAnswers::default();
        assert_eq!(bucket.take("get-bucket-versioning", json!({ "Status": "Enabled" })), Ok(true));
        assert_eq!(bucket.take("get-bucket-acl", json!({ "Error": { "Code": "AccessDenied" } })), Ok(true));
        assert_eq!(bucket.take("get-bucket-website", json!({})), Ok(false));
        assert_eq!(bucket.versioning.given().unwrap().status.as_deref(), Some("Enabled"));
        let unanswered = bucket.unanswered("amzn-s3-demo-web");
        assert_eq!(unanswered.len(), 1);
        assert_eq!((unanswered[0].api.as_str(), unanswered[0].is_denied), ("get-bucket-acl", true));
        assert_eq!(bucket.answered(), ["get-bucket-versioning"]);
        assert_eq!(
            bucket.take("get-bucket-cors", json!({ "Error": { "Code": "NoSuchCORSConfiguration" } })),
            Ok(true)
        );
        assert_eq!(
            bucket.answered(),
            ["get-bucket-versioning", "get-bucket-cors"],
            "that there is none is told"
        );
        assert!(BucketAnswers::APIS.contains(&"get-bucket-logging"));
    }
}
