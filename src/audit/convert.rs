//! From what S3 answered to what is known: pure, so that the SDK's answers and those from a file mean the same.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::answer::{
    AccessPointAnswers, Acl, Answer, Answers, Bucket, BucketAnswers, BucketList, HEAD, LOCATION,
    LifecycleFilter, LifecycleRule, LoggingEnabled, ObjectLambdaPoint, PolicyText, PublicAccessBlock,
};
use super::config::{BucketConfig, Kind, Snapshot, Unanswered};
use super::partition;
use super::policy::{Delivery, LogRoute, Policy};

/// The group that old deliveries of access logs are allowed by.
const LOG_DELIVERY_GROUP: &str = "http://acs.amazonaws.com/groups/s3/LogDelivery";
/// The groups that are everybody, and everybody with an AWS account.
const PUBLIC_GROUPS: [&str; 2] = [
    "http://acs.amazonaws.com/groups/global/AllUsers",
    "http://acs.amazonaws.com/groups/global/AuthenticatedUsers",
];

impl Answers {
    /// Whether nothing was learned of any bucket. That one is there, and where, S3 tells also to those whom it refuses
    /// everything, so that does not count; that one is missing does.
    pub fn is_blind(&self) -> bool {
        let has_none = |list: &BucketList| list.buckets.is_empty();
        if self.buckets.is_empty() && self.account.buckets.given().is_some_and(has_none) {
            return false;
        }
        let tells = |bucket: &Bucket| {
            let mut calls = bucket.answers.answered().into_iter();
            exists(&bucket.answers) == Some(false)
                || calls.any(|api| api != HEAD.name && api != LOCATION.name)
        };
        !self.buckets.values().any(tells)
    }
}

impl Snapshot {
    /// What `answers`, given at `audited_at`, come to.
    pub fn of(answers: &Answers, audited_at: DateTime<Utc>) -> Snapshot {
        let facts = Facts::of(answers);
        let mut unanswered = answers.account.unanswered(facts.account_id.as_deref().unwrap_or("account"));
        unanswered.extend(answers.unanswered.iter().cloned());
        let mut rows: Vec<BucketConfig> = facts.account().into_iter().collect();
        rows.extend(answers.regions.iter().map(|name| facts.region(name)));
        for (name, bucket) in &answers.buckets {
            unanswered.extend(bucket.answers.unanswered(name));
            rows.push(facts.bucket(name, bucket));
        }
        for (bucket_name, bucket) in &answers.buckets {
            for (name, point) in bucket.access_points.iter().flatten() {
                unanswered.extend(point.unanswered(name));
                let region = region(&bucket.answers);
                rows.push(facts.access_point(name, bucket_name, region, point));
            }
        }
        for point in &answers.object_lambda_access_points {
            unanswered.extend(point.answers.unanswered(&point.name));
            rows.push(facts.object_lambda(point));
        }
        let source = facts.account_id.clone().or_else(|| answers.endpoint.clone());
        Snapshot {
            audit_id: uuid::Uuid::new_v4().to_string(),
            audited_at,
            source: source.unwrap_or_else(|| "unknown".to_owned()),
            is_complete: answers.is_complete,
            rows,
            unanswered,
        }
    }
}

/// The answers, and what they say of the account as a whole.
struct Facts<'a> {
    answers: &'a Answers,
    account_id: Option<String>,
    /// The partition of whoever asked.
    partition: Option<&'a str>,
    /// The account's buckets and their Regions, where the list could be read.
    own: Option<BTreeMap<&'a str, Option<&'a str>>>,
}

impl<'a> Facts<'a> {
    fn of(answers: &'a Answers) -> Self {
        let list = answers.account.buckets.given();
        let listed = |list: &'a BucketList| {
            let pairs = list.buckets.iter().map(|b| (b.name.as_str(), b.bucket_region.as_deref()));
            pairs.collect::<BTreeMap<_, _>>()
        };
        let identity = answers.account.identity.given();
        let account_id = identity.and_then(|identity| identity.account.clone());
        Self {
            answers,
            account_id: account_id.or_else(|| answers.account_id.clone()),
            partition: identity.and_then(|identity| partition::of_arn(identity.arn.as_deref()?)),
            own: list.map(listed),
        }
    }

    /// The partition that a bucket is in. An account sees no other than its own.
    fn partition(&self, region: Option<&str>) -> Option<&'a str> {
        self.partition.or_else(|| partition::of_region(region?))
    }

    /// The row of the account; `None` where nobody knows which one it is.
    fn account(&self) -> Option<BucketConfig> {
        let account_id = self.account_id.clone()?;
        let mut row = BucketConfig {
            kind: Kind::Account,
            name: account_id.clone(),
            account_id: Some(account_id),
            ..BucketConfig::default()
        };
        set_public_access_block(&mut row, &self.answers.account.public_access_block);
        set_unanswered(&mut row, &self.answers.account.unanswered(""));
        Some(row)
    }

    /// The row of a Region in which access points were asked for.
    fn region(&self, name: &str) -> BucketConfig {
        let mut row = BucketConfig {
            kind: Kind::Region,
            name: name.to_owned(),
            account_id: self.account_id.clone(),
            region: Some(name.to_owned()),
            ..BucketConfig::default()
        };
        let lists = self.answers.unanswered.iter().filter(|list| list.name == name);
        set_unanswered(&mut row, &lists.cloned().collect::<Vec<_>>());
        row
    }

    fn bucket(&self, name: &str, bucket: &Bucket) -> BucketConfig {
        let answers = &bucket.answers;
        let is_own = self.own.as_ref().map(|own| own.contains_key(name));
        let listed_region = self.own.as_ref().and_then(|own| *own.get(name)?);
        let region = region(answers).or_else(|| listed_region.map(str::to_owned));
        let mut row = BucketConfig {
            name: name.to_owned(),
            bucket: Some(name.to_owned()),
            account_id: self.account_id.clone().filter(|_| is_own == Some(true)),
            is_own,
            bucket_exists: exists(answers),
            logging_known: Some(answers.logging.known().is_some()),
            policy_known: Some(false),
            versioning: answers
                .versioning
                .given()
                .map(|v| v.status.clone().unwrap_or_else(|| "Off".to_owned())),
            mfa_delete: answers.versioning.given().map(|v| v.mfa_delete.as_deref() == Some("Enabled")),
            request_payment: answers.request_payment.given().and_then(|payment| payment.payer.clone()),
            access_points: bucket.access_points.as_ref().map(|points| points.len() as i64),
            region,
            ..BucketConfig::default()
        };
        set_encryption(&mut row, answers);
        set_public_access_block(&mut row, &answers.public_access_block);
        set_policy(&mut row, &answers.policy);
        let partition = self.partition(row.region.as_deref());
        set_bucket_policy(&mut row, answers, name, partition);
        // Either is enough; that it is not blocked takes both to be known.
        row.sse_c_blocked = match (row.sse_c_blocked, row.policy_denies_sse_c) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            _ => None,
        };
        set_access_control(&mut row, answers);
        set_cors(&mut row, answers);
        set_object_lock(&mut row, answers);
        set_lifecycle_and_replication(&mut row, answers);
        if let Some(logging) = answers.logging.given().and_then(|logging| logging.logging_enabled.as_ref()) {
            self.set_logging(&mut row, logging);
        }
        set_unanswered(&mut row, &answers.unanswered(name));
        row
    }

    /// Where the log goes, and what the target of it makes of that.
    fn set_logging(&self, row: &mut BucketConfig, logging: &LoggingEnabled) {
        let partitioned =
            logging.target_object_key_format.as_ref().and_then(|f| f.partitioned_prefix.as_ref());
        row.logging_key_format = Some(match partitioned.map(|p| p.partition_date_source.as_deref()) {
            None => "simple".to_owned(),
            Some(Some("DeliveryTime")) => "delivery-time".to_owned(),
            Some(_) => "event-time".to_owned(),
        });
        row.logging_target_bucket = Some(logging.target_bucket.clone());
        row.logging_target_prefix = Some(logging.target_prefix.clone());
        if let Some(target) = self.answers.buckets.get(&logging.target_bucket) {
            let target = &target.answers;
            row.logging_permitted = permitted(row, logging, target, self.partition(row.region.as_deref()));
            row.logging_expires = match target.lifecycle.known() {
                Some(Some(lifecycle)) => expires(&lifecycle.rules, &logging.target_prefix),
                Some(None) => Some(false),
                None => None,
            };
        }
    }

    /// `region` is that of the bucket: an access point is in no other.
    fn access_point(
        &self,
        name: &str,
        bucket: &str,
        region: Option<String>,
        point: &AccessPointAnswers,
    ) -> BucketConfig {
        let access_point = point.access_point.given();
        let mut row = BucketConfig {
            kind: Kind::AccessPoint,
            name: name.to_owned(),
            bucket: Some(
                access_point.and_then(|point| point.bucket.clone()).unwrap_or_else(|| bucket.to_owned()),
            ),
            network_origin: access_point.and_then(|point| point.network_origin.clone()),
            vpc_id: access_point.and_then(|point| point.vpc_configuration.as_ref()?.vpc_id.clone()),
            arn: access_point.and_then(|point| point.access_point_arn.clone()),
            region,
            ..BucketConfig::default()
        };
        self.set_place(&mut row);
        if let Some(block) = access_point.and_then(|point| point.public_access_block_configuration.clone()) {
            let block = PublicAccessBlock { public_access_block_configuration: block };
            set_public_access_block(&mut row, &Answer::Given(block));
        }
        set_policy(&mut row, &point.policy);
        set_unanswered(&mut row, &point.unanswered(name));
        row
    }

    fn object_lambda(&self, point: &ObjectLambdaPoint) -> BucketConfig {
        let configuration = point.answers.configuration.given();
        let supporting =
            configuration.and_then(|output| output.configuration.supporting_access_point.clone());
        let mut row = BucketConfig {
            kind: Kind::ObjectLambdaAccessPoint,
            name: point.name.clone(),
            bucket: supporting.as_deref().and_then(|arn| self.bucket_behind(arn)),
            supporting_access_point: supporting,
            region: point.region.clone(),
            ..BucketConfig::default()
        };
        self.set_place(&mut row);
        set_policy(&mut row, &point.answers.policy);
        set_unanswered(&mut row, &point.answers.unanswered(&point.name));
        row
    }

    /// Region and account, from an ARN or else from the account that was asked.
    fn set_place(&self, row: &mut BucketConfig) {
        let part = |n: usize| {
            let part = row.arn.as_deref()?.split(':').nth(n)?;
            (!part.is_empty()).then(|| part.to_owned())
        };
        let (region, account) = (part(3), part(4));
        row.region = row.region.take().or(region);
        row.account_id = account.or_else(|| self.account_id.clone());
    }

    /// The bucket of the access point with this ARN.
    fn bucket_behind(&self, arn: &str) -> Option<String> {
        let is_it = |point: &AccessPointAnswers| {
            point.access_point.given().and_then(|point| point.access_point_arn.as_deref()) == Some(arn)
        };
        let mut buckets = self.answers.buckets.iter();
        let found =
            buckets.find(|(_, bucket)| bucket.access_points.iter().flatten().any(|(_, point)| is_it(point)));
        found.map(|(name, _)| name.clone())
    }
}

/// The Region of a bucket. `get-bucket-location` names two of them otherwise than everything else.
pub(super) fn region(answers: &BucketAnswers) -> Option<String> {
    let told = answers.head.given().and_then(|head| head.bucket_region.clone());
    told.or_else(|| {
        let location = answers.location.given()?.location_constraint.as_deref();
        Some(match location {
            None | Some("") => "us-east-1".to_owned(),
            Some("EU") => "eu-west-1".to_owned(),
            Some(region) => region.to_owned(),
        })
    })
}

/// Whether any answer says that the bucket is there, or that it is not.
fn exists(answers: &BucketAnswers) -> Option<bool> {
    let unanswered = answers.unanswered("");
    let is_missing = |call: &Unanswered| {
        matches!(call.reason.as_str(), "NoSuchBucket" | "NotFound" | "404")
            && matches!(call.api.as_str(), "head-bucket" | "get-bucket-location" | "get-bucket-logging")
    };
    if unanswered.iter().any(is_missing) {
        return Some(false);
    }
    let is_there = answers.head.given().is_some()
        || answers.location.given().is_some()
        || answers.logging.given().is_some()
        || answers.versioning.given().is_some()
        || answers.acl.given().is_some();
    is_there.then_some(true)
}

fn set_unanswered(row: &mut BucketConfig, unanswered: &[Unanswered]) {
    let names = |is_denied: bool| {
        let names = unanswered.iter().filter(|call| call.is_denied == is_denied);
        let names: Vec<&str> = names.map(|call| call.api.as_str()).collect();
        (!names.is_empty()).then(|| names.join(","))
    };
    (row.denied, row.failed) = (names(true), names(false));
}

fn set_encryption(row: &mut BucketConfig, answers: &BucketAnswers) {
    let Some(encryption) = answers.encryption.known() else { return };
    let rules =
        encryption.map(|e| e.server_side_encryption_configuration.rules.as_slice()).unwrap_or_default();
    let default =
        rules.iter().find_map(|rule| Some((rule, rule.apply_server_side_encryption_by_default.as_ref()?)));
    row.encryption_algorithm = Some(default.map_or("none", |(_, by)| by.sse_algorithm.as_str()).to_owned());
    row.kms_key_id = default.and_then(|(_, by)| by.kms_master_key_id.clone());
    row.bucket_key = Some(default.is_some_and(|(rule, _)| rule.bucket_key_enabled == Some(true)));
    // A rule that is silent on blocked types can come from a server that does not know them.
    let blocked = rules.iter().filter_map(|rule| rule.blocked_encryption_types.as_ref());
    row.sse_c_blocked =
        blocked.map(|types| types.encryption_type.iter().any(|name| name == "SSE-C")).reduce(|a, b| a | b);
}

fn set_public_access_block(row: &mut BucketConfig, answer: &Answer<PublicAccessBlock>) {
    let Some(block) = answer.known() else { return };
    let block = block.map(|output| output.public_access_block_configuration.clone()).unwrap_or_default();
    row.block_public_acls = Some(block.block_public_acls.unwrap_or(false));
    row.ignore_public_acls = Some(block.ignore_public_acls.unwrap_or(false));
    row.block_public_policy = Some(block.block_public_policy.unwrap_or(false));
    row.restrict_public_buckets = Some(block.restrict_public_buckets.unwrap_or(false));
}

/// The text of a policy, and whether that is known.
fn set_policy(row: &mut BucketConfig, answer: &Answer<PolicyText>) {
    row.policy = answer.given().and_then(|output| output.policy.clone());
    row.policy_known = Some(*answer == Answer::Absent || row.policy.is_some());
}

/// What can be proven of a bucket's policy; little without the partition, which all ARNs in it begin with.
fn set_bucket_policy(row: &mut BucketConfig, answers: &BucketAnswers, bucket: &str, partition: Option<&str>) {
    row.policy_is_public = match answers.policy_status.known() {
        Some(Some(output)) => output.policy_status.is_public,
        Some(None) => Some(false),
        None => None,
    };
    let (policy, partition) = match &row.policy {
        Some(text) => (Policy::parse(text), partition),
        // No policy denies and allows nothing, in whatever partition.
        None if row.policy_known == Some(true) => (Some(Policy::empty()), Some("aws")),
        None => (None, None),
    };
    let Some(policy) = policy else { return };
    row.policy_delegates_to_access_points = policy.delegates_to_access_points();
    let Some(partition) = partition else { return };
    row.policy_denies_insecure_transport = policy.denies_insecure_transport(partition, bucket);
    row.policy_denies_old_tls = policy.denies_old_tls(partition, bucket);
    row.policy_denies_unencrypted_puts = policy.denies_unencrypted_puts(partition, bucket);
    row.policy_denies_sse_c = policy.denies_sse_c(partition, bucket);
    row.policy_allows_log_delivery = policy.allows_log_delivery(partition, bucket);
    row.policy_restricts_log_delivery = policy.restricts_log_delivery(partition, bucket);
    row.policy_access_points_only = policy.denies_direct_access(partition, bucket);
}

fn set_access_control(row: &mut BucketConfig, answers: &BucketAnswers) {
    row.owner_id = answers.acl.given().and_then(|acl| acl.owner.as_ref()?.id.clone());
    row.acl_is_public = answers.acl.given().map(|acl| grants(acl, |uri, _| PUBLIC_GROUPS.contains(&uri)));
    row.acl_grants_log_delivery = answers.acl.given().map(|acl| {
        grants(acl, |uri, permission| {
            uri == LOG_DELIVERY_GROUP && matches!(permission, "WRITE" | "FULL_CONTROL")
        })
    });
    row.object_ownership = match answers.ownership.known() {
        Some(Some(output)) => {
            output.ownership_controls.rules.first().map(|rule| rule.object_ownership.clone())
        }
        Some(None) => Some("none".to_owned()),
        None => None,
    };
}

/// Whether a grant to a group is such; it is asked about the group's URI and the permission.
fn grants(acl: &Acl, is_such: impl Fn(&str, &str) -> bool) -> bool {
    acl.grants.iter().any(|grant| {
        let uri = grant.grantee.as_ref().and_then(|grantee| grantee.uri.as_deref());
        uri.is_some_and(|uri| is_such(uri, grant.permission.as_deref().unwrap_or_default()))
    })
}

fn set_cors(row: &mut BucketConfig, answers: &BucketAnswers) {
    let Some(cors) = answers.cors.known() else { return };
    let rules = cors.map(|cors| cors.cors_rules.as_slice()).unwrap_or_default();
    let is_any = |origin: &String| matches!(origin.as_str(), "*" | "http://*" | "https://*");
    let writes = |method: &String| matches!(method.as_str(), "PUT" | "POST" | "DELETE");
    let mut open = rules.iter().filter(|rule| rule.allowed_origins.iter().any(is_any)).peekable();
    row.cors_rules = Some(rules.len() as i64);
    row.cors_any_origin = Some(open.peek().is_some());
    row.cors_any_origin_writes = Some(open.any(|rule| rule.allowed_methods.iter().any(writes)));
}

fn set_object_lock(row: &mut BucketConfig, answers: &BucketAnswers) {
    let Some(lock) = answers.object_lock.known() else { return };
    let lock = lock.map(|output| &output.object_lock_configuration);
    row.object_lock = Some(lock.is_some_and(|lock| lock.object_lock_enabled.as_deref() == Some("Enabled")));
    if let Some(retention) = lock.and_then(|lock| lock.rule.as_ref()?.default_retention.as_ref()) {
        row.default_retention_mode = retention.mode.clone();
        row.default_retention_days =
            retention.days.or(retention.years.map(|years| years.saturating_mul(365)));
    }
}

fn set_lifecycle_and_replication(row: &mut BucketConfig, answers: &BucketAnswers) {
    if let Some(lifecycle) = answers.lifecycle.known() {
        let rules = lifecycle.map(|lifecycle| lifecycle.rules.as_slice()).unwrap_or_default();
        row.lifecycle_rules = Some(rules.len() as i64);
        row.lifecycle_expires = expires(rules, "");
    }
    if let Some(replication) = answers.replication.known() {
        let rules =
            replication.map(|output| output.replication_configuration.rules.as_slice()).unwrap_or_default();
        let enabled = rules.iter().filter(|rule| rule.status == "Enabled");
        let bucket = |arn: &str| arn.rsplit(':').next().unwrap_or(arn).to_owned();
        let destinations: BTreeSet<String> =
            enabled.clone().map(|rule| bucket(&rule.destination.bucket)).collect();
        row.replication = Some(enabled.count() > 0);
        let destinations: Vec<String> = destinations.into_iter().filter(|name| !name.is_empty()).collect();
        row.replication_destinations = (!destinations.is_empty()).then(|| destinations.join(","));
    }
}

/// Whether log delivery may write the log of the bucket of `row` into `target`.
fn permitted(
    row: &BucketConfig,
    logging: &LoggingEnabled,
    target: &BucketAnswers,
    partition: Option<&str>,
) -> Option<bool> {
    let by_policy = match target.policy.known()? {
        Some(PolicyText { policy: Some(text) }) => Policy::parse(text)?.log_delivery(&LogRoute {
            source_bucket: &row.name,
            source_account: row.account_id.as_deref(),
            target_bucket: &logging.target_bucket,
            prefix: &logging.target_prefix,
            partition: partition?,
        }),
        Some(PolicyText { policy: None }) => return None,
        None => Delivery::NotAllowed,
    };
    match by_policy {
        Delivery::Allowed => Some(true),
        Delivery::Denied => Some(false),
        Delivery::Unknown => None,
        // Then it is for the ACL to allow it; a policy that denies it wins all the same.
        Delivery::NotAllowed | Delivery::PerhapsDenied => {
            let mut target_row = BucketConfig::default();
            set_access_control(&mut target_row, target);
            match (target_row.acl_grants_log_delivery?, target_row.object_ownership.as_deref()) {
                (false, _) | (true, Some("BucketOwnerEnforced")) => Some(false),
                (true, Some(_)) if by_policy == Delivery::NotAllowed => Some(true),
                (true, _) => None,
            }
        }
    }
}

/// Whether one of the enabled rules expires every object whose key begins with `prefix`. `None` when only several
/// rules together might.
fn expires(rules: &[LifecycleRule], prefix: &str) -> Option<bool> {
    let expiring = rules.iter().filter(|rule| {
        rule.status == "Enabled"
            && rule.expiration.as_ref().is_some_and(|by| by.days.is_some() || by.date.is_some())
    });
    let mut has_parts = false;
    for rule in expiring {
        let none = LifecycleFilter::default();
        let filter = rule.filter.as_ref().unwrap_or(&none);
        let filters = [Some(filter), filter.and.as_deref()];
        let mut filters = filters.into_iter().flatten();
        let has_tags = filters
            .clone()
            .any(|filter| filter.tag.is_some() || filter.tags.as_ref().is_some_and(|tags| !tags.is_empty()));
        let has_sizes = filters.clone().any(|filter| {
            filter.object_size_greater_than.is_some() || filter.object_size_less_than.is_some()
        });
        let of_rule =
            filters.find_map(|filter| filter.prefix.as_deref()).or(rule.prefix.as_deref()).unwrap_or("");
        let is_elsewhere = !prefix.starts_with(of_rule) && !of_rule.starts_with(prefix);
        // Log objects have no tags.
        if is_elsewhere || has_tags {
            continue;
        }
        if prefix.starts_with(of_rule) && !has_sizes {
            return Some(true);
        }
        has_parts = true;
    }
    if has_parts { None } else { Some(false) }
}

#[cfg(test)]
mod tests {
    use super::super::answer::{LIST_ACCESS_POINTS, LIST_OBJECT_LAMBDA, not_listed};
    use super::*;
    use serde_json::{Value, json};

    /// Answers about the buckets of an account, from outputs of the AWS CLI.
    fn answers(buckets: Value) -> Answers {
        let mut answers = Answers { is_complete: true, ..Answers::default() };
        let caller = json!({ "Account": "111122223333", "Arn": "arn:aws:iam::111122223333:user/auditor" });
        answers.account.take("get-caller-identity", caller).unwrap();
        let names = buckets.as_object().unwrap().keys().map(|name| json!({ "Name": name }));
        let list = json!({ "Buckets": names.collect::<Vec<_>>() });
        answers.account.take("list-buckets", list).unwrap();
        for (name, outputs) in buckets.as_object().unwrap() {
            let bucket = answers.buckets.entry(name.clone()).or_default();
            for (api, output) in outputs.as_object().unwrap() {
                assert!(bucket.answers.take(api, output.clone()).unwrap(), "{api}");
            }
        }
        answers
    }

    fn rows(buckets: Value) -> Vec<BucketConfig> {
        let rows = Snapshot::of(&answers(buckets), DateTime::UNIX_EPOCH).rows;
        rows.into_iter().filter(|row| row.kind == Kind::Bucket).collect()
    }

    fn row(outputs: Value) -> BucketConfig {
        rows(json!({ "amzn-s3-demo-a": outputs })).remove(0)
    }

    fn error(code: &str) -> Value {
        json!({ "Error": { "Code": code } })
    }

    #[test]
    fn what_was_not_read_is_null() {
        let denied: serde_json::Map<String, Value> =
            BucketAnswers::APIS.iter().map(|api| ((*api).to_owned(), error("AccessDenied"))).collect();
        let row = row(Value::Object(denied));
        let expected = BucketConfig {
            name: "amzn-s3-demo-a".to_owned(),
            bucket: Some("amzn-s3-demo-a".to_owned()),
            account_id: Some("111122223333".to_owned()),
            is_own: Some(true),
            logging_known: Some(false),
            policy_known: Some(false),
            denied: Some(BucketAnswers::APIS.join(",")),
            ..BucketConfig::default()
        };
        assert_eq!(row, expected);
    }

    #[test]
    fn what_is_not_configured_is_false() {
        let row = row(json!({
            "get-bucket-location": { "LocationConstraint": null },
            "get-bucket-logging": {},
            "get-bucket-versioning": {},
            "get-bucket-encryption": error("ServerSideEncryptionConfigurationNotFoundError"),
            "get-public-access-block": error("NoSuchPublicAccessBlockConfiguration"),
            "get-bucket-policy": error("NoSuchBucketPolicy"),
            "get-bucket-policy-status": error("NoSuchBucketPolicy"),
            "get-bucket-acl": { "Owner": { "ID": "c0ffee" }, "Grants": [] },
            "get-bucket-ownership-controls": error("OwnershipControlsNotFoundError"),
            "get-bucket-cors": error("NoSuchCORSConfiguration"),
            "get-object-lock-configuration": error("ObjectLockConfigurationNotFoundError"),
            "get-bucket-request-payment": { "Payer": "BucketOwner" },
            "get-bucket-lifecycle-configuration": error("NoSuchLifecycleConfiguration"),
            "get-bucket-replication": error("ReplicationConfigurationNotFoundError")
        }));
        assert_eq!(row.region.as_deref(), Some("us-east-1"));
        assert_eq!((row.logging_known, row.logging_target_bucket), (Some(true), None));
        assert_eq!((row.versioning.as_deref(), row.mfa_delete), (Some("Off"), Some(false)));
        assert_eq!((row.encryption_algorithm.as_deref(), row.bucket_key), (Some("none"), Some(false)));
        assert_eq!((row.block_public_acls, row.restrict_public_buckets), (Some(false), Some(false)));
        assert_eq!((row.policy_known, row.policy, row.policy_is_public), (Some(true), None, Some(false)));
        assert_eq!(row.policy_denies_insecure_transport, Some(false));
        assert_eq!((row.policy_allows_log_delivery, row.policy_restricts_log_delivery), (Some(false), None));
        assert_eq!((row.cors_rules, row.cors_any_origin), (Some(0), Some(false)));
        assert_eq!((row.object_lock, row.default_retention_mode), (Some(false), None));
        assert_eq!((row.lifecycle_rules, row.lifecycle_expires), (Some(0), Some(false)));
        assert_eq!((row.replication, row.bucket_exists), (Some(false), Some(true)));
        assert_eq!((row.denied, row.failed), (None, None));
    }

    #[test]
    fn what_is_configured() {
        let row = row(json!({
            "head-bucket": { "BucketRegion": "eu-west-1" },
            "get-bucket-logging": { "LoggingEnabled": {
                "TargetBucket": "amzn-s3-demo-logs", "TargetPrefix": "a/",
                "TargetObjectKeyFormat": { "PartitionedPrefix": { "PartitionDateSource": "DeliveryTime" } }
            } },
            "get-bucket-versioning": { "Status": "Suspended", "MFADelete": "Enabled" },
            "get-bucket-encryption": { "ServerSideEncryptionConfiguration": { "Rules": [{
                "ApplyServerSideEncryptionByDefault": { "SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "key-1" },
                "BucketKeyEnabled": true,
                "BlockedEncryptionTypes": { "EncryptionType": ["SSE-C"] }
            }] } },
            "get-public-access-block": { "PublicAccessBlockConfiguration": { "BlockPublicAcls": true } },
            "get-bucket-policy-status": { "PolicyStatus": { "IsPublic": true } },
            "get-bucket-acl": { "Owner": { "ID": "c0ffee" }, "Grants": [
                { "Grantee": { "Type": "Group", "URI": PUBLIC_GROUPS[0] }, "Permission": "READ" },
                { "Grantee": { "Type": "Group", "URI": LOG_DELIVERY_GROUP }, "Permission": "READ_ACP" }
            ] },
            "get-bucket-cors": { "CORSRules": [
                { "AllowedMethods": ["GET", "PUT"], "AllowedOrigins": ["https://www.example.com"] },
                { "AllowedMethods": ["GET"], "AllowedOrigins": ["*"] }
            ] },
            "get-object-lock-configuration": { "ObjectLockConfiguration": {
                "ObjectLockEnabled": "Enabled",
                "Rule": { "DefaultRetention": { "Mode": "COMPLIANCE", "Years": 2 } }
            } },
            "get-bucket-replication": { "ReplicationConfiguration": { "Role": "r", "Rules": [
                { "Status": "Enabled", "Destination": { "Bucket": "arn:aws:s3:::amzn-s3-demo-replica" } },
                { "Status": "Disabled", "Destination": { "Bucket": "arn:aws:s3:::amzn-s3-demo-old" } }
            ] } }
        }));
        assert_eq!(row.region.as_deref(), Some("eu-west-1"));
        assert_eq!(row.logging_key_format.as_deref(), Some("delivery-time"));
        assert_eq!((row.versioning.as_deref(), row.mfa_delete), (Some("Suspended"), Some(true)));
        assert_eq!((row.kms_key_id.as_deref(), row.bucket_key), (Some("key-1"), Some(true)));
        assert_eq!(row.sse_c_blocked, Some(true));
        assert_eq!((row.block_public_acls, row.ignore_public_acls), (Some(true), Some(false)));
        assert_eq!((row.policy_is_public, row.policy_known), (Some(true), Some(false)));
        assert_eq!((row.acl_is_public, row.acl_grants_log_delivery), (Some(true), Some(false)));
        assert_eq!(
            (row.cors_rules, row.cors_any_origin, row.cors_any_origin_writes),
            (Some(2), Some(true), Some(false))
        );
        assert_eq!(
            (row.default_retention_mode.as_deref(), row.default_retention_days),
            (Some("COMPLIANCE"), Some(730))
        );
        assert_eq!(row.replication_destinations.as_deref(), Some("amzn-s3-demo-replica"));
        assert_eq!((row.logging_permitted, row.logging_expires), (None, None), "the target was not read");
    }

    #[test]
    fn sse_c_is_blocked_by_encryption_or_policy() {
        let blocked = |types: Value, policy: Value| {
            let encryption = json!({ "ServerSideEncryptionConfiguration": { "Rules": [{
                "ApplyServerSideEncryptionByDefault": { "SSEAlgorithm": "AES256" }, "BlockedEncryptionTypes": types
            }] } });
            row(json!({ "get-bucket-encryption": encryption, "get-bucket-policy": policy })).sse_c_blocked
        };
        let statement = json!({
            "Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::amzn-s3-demo-a/*",
            "Condition": { "Null": { "s3:x-amz-server-side-encryption-customer-algorithm": "false" } }
        });
        let policy = json!({ "Policy": json!({ "Statement": [statement] }).to_string() });
        let none = || error("NoSuchBucketPolicy");
        assert_eq!(blocked(json!({ "EncryptionType": ["SSE-C"] }), none()), Some(true));
        assert_eq!(blocked(json!({ "EncryptionType": ["NONE"] }), none()), Some(false));
        assert_eq!(blocked(json!({ "EncryptionType": ["NONE"] }), error("AccessDenied")), None);
        assert_eq!(
            blocked(Value::Null, none()),
            None,
            "a server that does not know the setting says nothing"
        );
        assert_eq!(blocked(Value::Null, policy), Some(true));
    }

    #[test]
    fn the_target_decides_whether_logs_can_be_delivered() {
        let logged =
            json!({ "LoggingEnabled": { "TargetBucket": "amzn-s3-demo-logs", "TargetPrefix": "a/" } });
        let permitted = |target: Value| {
            let buckets =
                json!({ "amzn-s3-demo-a": { "get-bucket-logging": logged }, "amzn-s3-demo-logs": target });
            rows(buckets).remove(0).logging_permitted
        };
        let policy = |resource: &str| {
            let statement = json!({
                "Effect": "Allow", "Principal": { "Service": "logging.s3.amazonaws.com" }, "Action": "s3:PutObject",
                "Resource": resource, "Condition": { "StringEquals": { "aws:SourceAccount": "111122223333" } }
            });
            json!({ "Policy": json!({ "Statement": [statement] }).to_string() })
        };
        let acl = |granted: bool| {
            let group = json!({ "Grantee": { "URI": LOG_DELIVERY_GROUP }, "Permission": "WRITE" });
            json!({ "Owner": { "ID": "c" }, "Grants": if granted { json!([group]) } else { json!([]) } })
        };
        let ownership =
            |name: &str| json!({ "OwnershipControls": { "Rules": [{ "ObjectOwnership": name }] } });
        let target = |policy: Value, acl: Value, ownership: Value| {
            json!({
                "get-bucket-policy": policy, "get-bucket-acl": acl, "get-bucket-ownership-controls": ownership
            })
        };
        let (no_policy, enforced) = (error("NoSuchBucketPolicy"), ownership("BucketOwnerEnforced"));
        let good = "arn:aws:s3:::amzn-s3-demo-logs/*";
        assert_eq!(permitted(target(policy(good), acl(false), enforced.clone())), Some(true));
        let elsewhere = policy("arn:aws:s3:::amzn-s3-demo-logs/b/*");
        assert_eq!(permitted(target(elsewhere, acl(false), enforced.clone())), Some(false));
        assert_eq!(permitted(target(no_policy.clone(), acl(false), enforced.clone())), Some(false));
        assert_eq!(
            permitted(target(no_policy.clone(), acl(true), enforced)),
            Some(false),
            "ACLs have no effect"
        );
        assert_eq!(permitted(target(no_policy.clone(), acl(true), ownership("ObjectWriter"))), Some(true));
        assert_eq!(permitted(target(no_policy.clone(), acl(true), error("AccessDenied"))), None);
        assert_eq!(permitted(target(no_policy, error("AccessDenied"), error("AccessDenied"))), None);
        assert_eq!(permitted(target(error("AccessDenied"), acl(true), ownership("ObjectWriter"))), None);

        // What the ACL allows, a Deny that is or may be about log delivery takes away.
        let deny = |condition: Value| {
            let statement = json!({
                "Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": good, "Condition": condition
            });
            json!({ "Policy": json!({ "Statement": [statement] }).to_string() })
        };
        let by_acl =
            |policy: Value, granted: bool| permitted(target(policy, acl(granted), ownership("ObjectWriter")));
        let perhaps = || deny(json!({ "StringNotEquals": { "aws:PrincipalOrgID": "o-example" } }));
        let plain_http = deny(json!({ "Bool": { "aws:SecureTransport": "false" } }));
        assert_eq!(by_acl(plain_http, true), Some(true), "that is not how S3 delivers");
        assert_eq!(by_acl(perhaps(), true), None);
        assert_eq!(by_acl(perhaps(), false), Some(false), "nobody allows it");
        assert_eq!(by_acl(deny(json!({})), true), Some(false));
    }

    #[test]
    fn a_policy_is_not_judged_by_a_guessed_partition() {
        let denied = |caller: Value, region: Value, partition: &str| {
            let statement = json!({
                "Effect": "Deny", "Principal": "*", "Action": "s3:*",
                "Resource": [format!("arn:{partition}:s3:::amzn-s3-demo-a"), format!("arn:{partition}:s3:::amzn-s3-demo-a/*")],
                "Condition": { "Bool": { "aws:SecureTransport": "false" } }
            });
            let policy = json!({ "Policy": json!({ "Statement": [statement] }).to_string() });
            let outputs = json!({ "head-bucket": region, "get-bucket-policy": policy });
            let mut answers = answers(json!({ "amzn-s3-demo-a": outputs }));
            answers.account.take("get-caller-identity", caller).unwrap();
            let rows = Snapshot::of(&answers, DateTime::UNIX_EPOCH).rows;
            let row = rows.into_iter().find(|row| row.kind == Kind::Bucket).unwrap();
            assert_eq!(row.policy_delegates_to_access_points, Some(false), "that takes no partition");
            row.policy_denies_insecure_transport
        };
        let nobody = || json!({ "Account": "111122223333" });
        let germany = json!({ "BucketRegion": "eusc-de-east-1" });
        assert_eq!(denied(nobody(), germany, "aws-eusc"), Some(true));
        assert_eq!(denied(nobody(), Value::Null, "aws-eusc"), None, "nobody knows where it is");
        let caller = json!({ "Account": "111122223333", "Arn": "arn:aws-eusc:iam::111122223333:user/a" });
        assert_eq!(denied(caller, Value::Null, "aws-eusc"), Some(true));

        let logged =
            json!({ "LoggingEnabled": { "TargetBucket": "amzn-s3-demo-logs", "TargetPrefix": "a/" } });
        let grant = json!({
            "Effect": "Allow", "Principal": { "Service": "logging.s3.amazonaws.com" }, "Action": "s3:PutObject",
            "Resource": "arn:aws-iso:s3:::amzn-s3-demo-logs/*"
        });
        let target = json!({
            "get-bucket-policy": { "Policy": json!({ "Statement": [grant] }).to_string() },
            "get-bucket-acl": { "Owner": { "ID": "c" }, "Grants": [] }
        });
        let permitted = |region: Value| {
            let source = json!({ "head-bucket": region, "get-bucket-logging": logged });
            let mut answers = answers(json!({ "amzn-s3-demo-a": source, "amzn-s3-demo-logs": target }));
            answers.account.take("get-caller-identity", nobody()).unwrap();
            let rows = Snapshot::of(&answers, DateTime::UNIX_EPOCH).rows;
            rows.into_iter().find(|row| row.name == "amzn-s3-demo-a").unwrap().logging_permitted
        };
        assert_eq!(permitted(Value::Null), None);
        assert_eq!(permitted(json!({ "BucketRegion": "us-iso-east-1" })), Some(true));
    }

    #[test]
    fn who_is_refused_everything_has_read_nothing() {
        let is_blind = |outputs: Value| answers(json!({ "amzn-s3-demo-a": outputs })).is_blind();
        let region = json!({ "BucketRegion": "eu-west-1" });
        assert!(is_blind(json!({})));
        // The Region is told to everybody.
        let refused = json!({
            "head-bucket": region, "get-bucket-location": { "LocationConstraint": "EU" },
            "get-bucket-logging": error("AccessDenied"), "get-bucket-policy": error("ExpiredToken")
        });
        assert!(is_blind(refused));
        assert!(!is_blind(json!({ "head-bucket": region, "get-bucket-logging": {} })));
        assert!(!is_blind(json!({ "get-bucket-policy": error("NoSuchBucketPolicy") })));
        assert!(!is_blind(json!({ "head-bucket": error("404") })), "that it is missing is something");

        // No buckets: there are none, or nobody could say.
        assert!(!answers(json!({})).is_blind());
        assert!(Answers::default().is_blind());
        let mut unlisted = answers(json!({}));
        unlisted.account.take("list-buckets", error("AccessDenied")).unwrap();
        assert!(unlisted.is_blind());
    }

    #[test]
    fn whose_audit_it_is_the_credentials_can_tell() {
        let mut answers = answers(json!({}));
        answers.account.take("get-caller-identity", error("AccessDenied")).unwrap();
        let source = |answers: &Answers| Snapshot::of(answers, DateTime::UNIX_EPOCH).source;
        assert_eq!(source(&answers), "unknown");
        answers.account_id = Some("444455556666".to_owned());
        assert_eq!(source(&answers), "444455556666");
        let snapshot = Snapshot::of(&answers, DateTime::UNIX_EPOCH);
        assert_eq!(snapshot.rows[0].account_id.as_deref(), Some("444455556666"));
        assert_eq!(snapshot.unanswered[0].reason, "AccessDenied");
    }

    #[test]
    fn a_region_tells_which_lists_were_read() {
        let mut answers = answers(json!({}));
        answers.regions = ["eu-west-1", "us-east-1"].map(str::to_owned).into();
        answers.unanswered.push(not_listed("eu-west-1", LIST_OBJECT_LAMBDA, "AccessDenied"));
        answers.unanswered.push(not_listed("eu-west-1", LIST_ACCESS_POINTS, "SlowDown"));
        let rows = Snapshot::of(&answers, DateTime::UNIX_EPOCH).rows;
        let [_, europe, america] = rows.as_slice() else { panic!("{rows:?}") };
        assert_eq!((europe.kind, europe.region.as_deref()), (Kind::Region, Some("eu-west-1")));
        assert_eq!(europe.denied.as_deref(), Some(LIST_OBJECT_LAMBDA));
        assert_eq!(europe.failed.as_deref(), Some(LIST_ACCESS_POINTS));
        assert_eq!((america.name.as_str(), &america.denied, &america.failed), ("us-east-1", &None, &None));
    }

    #[test]
    fn lifecycle_rules_expire_what_they_cover() {
        let expires = |rules: Value| {
            let rules: Vec<LifecycleRule> = serde_json::from_value(rules).unwrap();
            super::expires(&rules, "logs/")
        };
        let rule =
            |filter: Value| json!({ "Status": "Enabled", "Filter": filter, "Expiration": { "Days": 90 } });
        assert_eq!(expires(json!([])), Some(false));
        for filter in
            [json!({}), json!({ "Prefix": "" }), json!({ "Prefix": "logs/" }), json!({ "Prefix": "log" })]
        {
            assert_eq!(expires(json!([rule(filter.clone())])), Some(true), "{filter}");
        }
        assert_eq!(expires(json!([rule(json!({ "And": { "Prefix": "logs/", "Tags": [] } }))])), Some(true));
        assert_eq!(
            expires(json!([{ "Status": "Enabled", "Prefix": "logs/", "Expiration": { "Days": 1 } }])),
            Some(true)
        );
        assert_eq!(expires(json!([rule(json!({ "Prefix": "data/" }))])), Some(false));
        assert_eq!(expires(json!([rule(json!({ "Tag": { "Key": "k", "Value": "v" } }))])), Some(false));
        assert_eq!(expires(json!([rule(json!({ "Prefix": "logs/2026" }))])), None, "others may do the rest");
        assert_eq!(expires(json!([rule(json!({ "ObjectSizeGreaterThan": 500 }))])), None);
        let elsewhere = json!({ "And": { "Prefix": "data/", "ObjectSizeGreaterThan": 500 } });
        assert_eq!(expires(json!([rule(elsewhere)])), Some(false));
        let tagged = json!({ "And": { "Prefix": "logs/", "Tags": [{ "Key": "k", "Value": "v" }] } });
        assert_eq!(expires(json!([rule(tagged)])), Some(false), "log objects have no tags");
        let disabled = json!({ "Status": "Disabled", "Filter": {}, "Expiration": { "Days": 90 } });
        let markers =
            json!({ "Status": "Enabled", "Filter": {}, "Expiration": { "ExpiredObjectDeleteMarker": true } });
        let moved = json!({ "Status": "Enabled", "Filter": {}, "Transitions": [{ "Days": 30 }] });
        assert_eq!(expires(json!([disabled, markers, moved])), Some(false));
    }

    #[test]
    fn a_bucket_that_is_not_there_and_one_of_somebody_else() {
        let missing = json!({ "head-bucket": error("404"), "get-bucket-logging": error("NoSuchBucket") });
        assert_eq!(row(missing).bucket_exists, Some(false));
        assert_eq!(row(json!({ "get-bucket-logging": error("AccessDenied") })).bucket_exists, None);
        let mut answers = answers(json!({}));
        answers.buckets.insert("amzn-s3-demo-other".to_owned(), Bucket::default());
        let snapshot = Snapshot::of(&answers, DateTime::UNIX_EPOCH);
        let row = snapshot.rows.iter().find(|row| row.kind == Kind::Bucket).unwrap();
        assert_eq!((row.is_own, row.account_id.as_deref()), (Some(false), None));
        assert_eq!((snapshot.source.as_str(), snapshot.is_complete), ("111122223333", true));
    }

    #[test]
    fn access_points_and_what_stands_before_them() {
        let mut answers = answers(json!({ "amzn-s3-demo-a": {} }));
        let arn = "arn:aws:s3:eu-west-1:111122223333:accesspoint/ap";
        let mut point = AccessPointAnswers::default();
        point
            .take(
                "get-access-point",
                json!({
                    "Name": "ap", "Bucket": "amzn-s3-demo-a", "NetworkOrigin": "VPC", "AccessPointArn": arn,
                    "VpcConfiguration": { "VpcId": "vpc-1" },
                    "PublicAccessBlockConfiguration": { "BlockPublicAcls": true }
                }),
            )
            .unwrap();
        point.take("get-access-point-policy", error("NoSuchAccessPointPolicy")).unwrap();
        let bucket = answers.buckets.get_mut("amzn-s3-demo-a").unwrap();
        bucket.access_points = Some(BTreeMap::from([("ap".to_owned(), point)]));
        let (name, region) = ("olap".to_owned(), Some("eu-west-1".to_owned()));
        let mut lambda = ObjectLambdaPoint { name, region, ..ObjectLambdaPoint::default() };
        let api = "get-access-point-configuration-for-object-lambda";
        lambda.answers.take(api, json!({ "Configuration": { "SupportingAccessPoint": arn } })).unwrap();
        lambda.answers.take("get-access-point-policy-for-object-lambda", error("AccessDenied")).unwrap();
        answers.object_lambda_access_points.push(lambda);

        let snapshot = Snapshot::of(&answers, DateTime::UNIX_EPOCH);
        let [account, bucket, point, lambda] = snapshot.rows.as_slice() else {
            panic!("{:?}", snapshot.rows)
        };
        assert_eq!((account.kind, account.name.as_str()), (Kind::Account, "111122223333"));
        assert_eq!(bucket.access_points, Some(1));
        assert_eq!((point.network_origin.as_deref(), point.vpc_id.as_deref()), (Some("VPC"), Some("vpc-1")));
        assert_eq!((point.region.as_deref(), point.policy_known), (Some("eu-west-1"), Some(true)));
        assert_eq!((point.block_public_acls, point.block_public_policy), (Some(true), Some(false)));
        assert_eq!(
            (lambda.bucket.as_deref(), lambda.supporting_access_point.as_deref()),
            (Some("amzn-s3-demo-a"), Some(arn))
        );
        assert_eq!(lambda.denied.as_deref(), Some("get-access-point-policy-for-object-lambda"));
        assert_eq!(snapshot.unanswered.len(), 1);
    }
}
