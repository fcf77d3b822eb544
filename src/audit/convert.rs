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
mod tests;
