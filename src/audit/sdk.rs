//! Answers of the AWS SDK, brought into the shape that the AWS CLI prints. Nothing is concluded here.

use aws_sdk_s3::operation::get_bucket_acl::GetBucketAclOutput;
use aws_sdk_s3::operation::get_bucket_cors::GetBucketCorsOutput;
use aws_sdk_s3::operation::get_bucket_encryption::GetBucketEncryptionOutput;
use aws_sdk_s3::operation::get_bucket_lifecycle_configuration::GetBucketLifecycleConfigurationOutput;
use aws_sdk_s3::operation::get_bucket_location::GetBucketLocationOutput;
use aws_sdk_s3::operation::get_bucket_logging::GetBucketLoggingOutput;
use aws_sdk_s3::operation::get_bucket_ownership_controls::GetBucketOwnershipControlsOutput;
use aws_sdk_s3::operation::get_bucket_policy::GetBucketPolicyOutput;
use aws_sdk_s3::operation::get_bucket_policy_status::GetBucketPolicyStatusOutput;
use aws_sdk_s3::operation::get_bucket_replication::GetBucketReplicationOutput;
use aws_sdk_s3::operation::get_bucket_request_payment::GetBucketRequestPaymentOutput;
use aws_sdk_s3::operation::get_bucket_versioning::GetBucketVersioningOutput;
use aws_sdk_s3::operation::get_object_lock_configuration::GetObjectLockConfigurationOutput;
use aws_sdk_s3::operation::get_public_access_block::GetPublicAccessBlockOutput;
use aws_sdk_s3::types;
use aws_sdk_s3control::operation::get_access_point::GetAccessPointOutput;
use aws_sdk_s3control::operation::get_access_point_configuration_for_object_lambda::GetAccessPointConfigurationForObjectLambdaOutput;
use aws_sdk_s3control::types::PublicAccessBlockConfiguration as ControlPublicAccessBlock;
use serde::de::IgnoredAny;

use super::answer::{
    AccessPoint, Acl, BlockedEncryptionTypes, Cors, CorsRule, DefaultRetention, Destination, Encryption,
    EncryptionByDefault, EncryptionRule, EncryptionRules, Expiration, Grant, Grantee, KeyFormat, Lifecycle,
    LifecycleFilter, LifecycleRule, Location, Logging, LoggingEnabled, ObjectLambda,
    ObjectLambdaConfiguration, ObjectLock, ObjectLockConfiguration, ObjectLockRule, Owner, Ownership,
    OwnershipControls, OwnershipRule, PartitionedPrefix, PolicyStatus, PolicyStatusOutput, PolicyText,
    PublicAccessBlock, PublicAccessBlockConfiguration, Replication, ReplicationConfiguration,
    ReplicationRule, RequestPayment, Versioning, VpcConfiguration,
};

/// The text of a value of one of the SDK's enumerations.
fn text(value: impl AsRef<str>) -> String {
    value.as_ref().to_owned()
}

pub(super) fn location(output: GetBucketLocationOutput) -> Location {
    Location { location_constraint: output.location_constraint.map(text) }
}

pub(super) fn logging(output: GetBucketLoggingOutput) -> Logging {
    let key_format = |format: types::TargetObjectKeyFormat| KeyFormat {
        partitioned_prefix: format.partitioned_prefix.map(|prefix| PartitionedPrefix {
            partition_date_source: prefix.partition_date_source.map(text),
        }),
    };
    Logging {
        logging_enabled: output.logging_enabled.map(|enabled| LoggingEnabled {
            target_bucket: enabled.target_bucket,
            target_prefix: enabled.target_prefix,
            target_object_key_format: enabled.target_object_key_format.map(key_format),
        }),
    }
}

pub(super) fn versioning(output: GetBucketVersioningOutput) -> Versioning {
    Versioning { status: output.status.map(text), mfa_delete: output.mfa_delete.map(text) }
}

pub(super) fn encryption(output: GetBucketEncryptionOutput) -> Encryption {
    let rule = |rule: types::ServerSideEncryptionRule| EncryptionRule {
        apply_server_side_encryption_by_default: rule.apply_server_side_encryption_by_default.map(|by| {
            EncryptionByDefault {
                sse_algorithm: text(by.sse_algorithm),
                kms_master_key_id: by.kms_master_key_id,
            }
        }),
        bucket_key_enabled: rule.bucket_key_enabled,
        blocked_encryption_types: rule.blocked_encryption_types.map(|types| BlockedEncryptionTypes {
            encryption_type: types.encryption_type.unwrap_or_default().into_iter().map(text).collect(),
        }),
    };
    let rules = output.server_side_encryption_configuration.map(|configuration| configuration.rules);
    Encryption {
        server_side_encryption_configuration: EncryptionRules {
            rules: rules.unwrap_or_default().into_iter().map(rule).collect(),
        },
    }
}

pub(super) fn public_access_block(output: GetPublicAccessBlockOutput) -> PublicAccessBlock {
    let block = output.public_access_block_configuration.map(|block| PublicAccessBlockConfiguration {
        block_public_acls: block.block_public_acls,
        ignore_public_acls: block.ignore_public_acls,
        block_public_policy: block.block_public_policy,
        restrict_public_buckets: block.restrict_public_buckets,
    });
    PublicAccessBlock { public_access_block_configuration: block.unwrap_or_default() }
}

/// Access points and accounts have a type of their own for the same thing.
pub(super) fn control_public_access_block(block: ControlPublicAccessBlock) -> PublicAccessBlockConfiguration {
    PublicAccessBlockConfiguration {
        block_public_acls: block.block_public_acls,
        ignore_public_acls: block.ignore_public_acls,
        block_public_policy: block.block_public_policy,
        restrict_public_buckets: block.restrict_public_buckets,
    }
}

pub(super) fn policy(output: GetBucketPolicyOutput) -> PolicyText {
    PolicyText { policy: output.policy }
}

pub(super) fn policy_status(output: GetBucketPolicyStatusOutput) -> PolicyStatusOutput {
    let is_public = output.policy_status.and_then(|status| status.is_public);
    PolicyStatusOutput { policy_status: PolicyStatus { is_public } }
}

pub(super) fn acl(output: GetBucketAclOutput) -> Acl {
    let grant = |grant: types::Grant| Grant {
        grantee: grant.grantee.map(|grantee| Grantee { uri: grantee.uri }),
        permission: grant.permission.map(text),
    };
    Acl {
        owner: output.owner.map(|owner| Owner { id: owner.id }),
        grants: output.grants.unwrap_or_default().into_iter().map(grant).collect(),
    }
}

pub(super) fn ownership(output: GetBucketOwnershipControlsOutput) -> Ownership {
    let rules = output.ownership_controls.map(|controls| controls.rules).unwrap_or_default();
    let rule =
        |rule: types::OwnershipControlsRule| OwnershipRule { object_ownership: text(rule.object_ownership) };
    Ownership { ownership_controls: OwnershipControls { rules: rules.into_iter().map(rule).collect() } }
}

pub(super) fn cors(output: GetBucketCorsOutput) -> Cors {
    let rule = |rule: types::CorsRule| CorsRule {
        allowed_methods: rule.allowed_methods,
        allowed_origins: rule.allowed_origins,
    };
    Cors { cors_rules: output.cors_rules.unwrap_or_default().into_iter().map(rule).collect() }
}

pub(super) fn object_lock(output: GetObjectLockConfigurationOutput) -> ObjectLock {
    let retention = |retention: types::DefaultRetention| DefaultRetention {
        mode: retention.mode.map(text),
        days: retention.days.map(i64::from),
        years: retention.years.map(i64::from),
    };
    let configuration = output.object_lock_configuration.map(|lock| ObjectLockConfiguration {
        object_lock_enabled: lock.object_lock_enabled.map(text),
        rule: lock
            .rule
            .map(|rule| ObjectLockRule { default_retention: rule.default_retention.map(retention) }),
    });
    ObjectLock { object_lock_configuration: configuration.unwrap_or_default() }
}

pub(super) fn request_payment(output: GetBucketRequestPaymentOutput) -> RequestPayment {
    RequestPayment { payer: output.payer.map(text) }
}

pub(super) fn lifecycle(output: GetBucketLifecycleConfigurationOutput) -> Lifecycle {
    let ignored = |_| IgnoredAny;
    let and = |and: types::LifecycleRuleAndOperator| LifecycleFilter {
        prefix: and.prefix,
        tags: and.tags.map(|tags| tags.into_iter().map(|_| IgnoredAny).collect()),
        object_size_greater_than: and.object_size_greater_than,
        object_size_less_than: and.object_size_less_than,
        ..LifecycleFilter::default()
    };
    let filter = |filter: types::LifecycleRuleFilter| LifecycleFilter {
        prefix: filter.prefix,
        tag: filter.tag.map(ignored),
        tags: None,
        object_size_greater_than: filter.object_size_greater_than,
        object_size_less_than: filter.object_size_less_than,
        and: filter.and.map(and).map(Box::new),
    };
    let rule = |rule: types::LifecycleRule| LifecycleRule {
        // Rules of before 2016 have the prefix outside of a filter.
        #[allow(deprecated)]
        prefix: rule.prefix,
        status: text(rule.status),
        filter: rule.filter.map(filter),
        expiration: rule
            .expiration
            .map(|by| Expiration { days: by.days.map(i64::from), date: by.date.map(|_| IgnoredAny) }),
    };
    Lifecycle { rules: output.rules.unwrap_or_default().into_iter().map(rule).collect() }
}

pub(super) fn replication(output: GetBucketReplicationOutput) -> Replication {
    let rule = |rule: types::ReplicationRule| ReplicationRule {
        status: text(rule.status),
        destination: Destination { bucket: rule.destination.map(|to| to.bucket).unwrap_or_default() },
    };
    let rules = output.replication_configuration.map(|configuration| configuration.rules).unwrap_or_default();
    Replication {
        replication_configuration: ReplicationConfiguration { rules: rules.into_iter().map(rule).collect() },
    }
}

pub(super) fn access_point(output: GetAccessPointOutput) -> AccessPoint {
    AccessPoint {
        bucket: output.bucket,
        network_origin: output.network_origin.map(text),
        vpc_configuration: output.vpc_configuration.map(|vpc| VpcConfiguration { vpc_id: Some(vpc.vpc_id) }),
        public_access_block_configuration: output
            .public_access_block_configuration
            .map(control_public_access_block),
        access_point_arn: output.access_point_arn,
    }
}

pub(super) fn object_lambda(output: GetAccessPointConfigurationForObjectLambdaOutput) -> ObjectLambda {
    let supporting_access_point =
        output.configuration.map(|configuration| configuration.supporting_access_point);
    ObjectLambda { configuration: ObjectLambdaConfiguration { supporting_access_point } }
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::types::{
        ExpirationStatus, LifecycleExpiration, LifecycleRuleAndOperator, LifecycleRuleFilter,
        PartitionDateSource, Tag, TargetObjectKeyFormat,
    };
    use serde_json::json;

    use super::super::answer::Answer;
    use super::*;

    /// The same from the SDK as from the AWS CLI.
    #[test]
    fn the_sdk_and_the_cli_say_the_same() {
        let partitioned =
            types::PartitionedPrefix::builder().partition_date_source(PartitionDateSource::EventTime).build();
        let enabled = types::LoggingEnabled::builder()
            .target_bucket("amzn-s3-demo-logs")
            .target_prefix("web/")
            .target_object_key_format(
                TargetObjectKeyFormat::builder().partitioned_prefix(partitioned).build(),
            )
            .build()
            .unwrap();
        let output = GetBucketLoggingOutput::builder().logging_enabled(enabled).build();
        let cli = json!({ "LoggingEnabled": {
            "TargetBucket": "amzn-s3-demo-logs", "TargetPrefix": "web/",
            "TargetObjectKeyFormat": { "PartitionedPrefix": { "PartitionDateSource": "EventTime" } }
        } });
        let cli = Answer::from_json(&super::super::answer::LOGGING, cli).unwrap();
        assert_eq!(Answer::Given(logging(output)), cli);

        let and = LifecycleRuleAndOperator::builder()
            .prefix("web/")
            .tags(Tag::builder().key("k").value("v").build().unwrap())
            .build();
        let rule = types::LifecycleRule::builder()
            .status(ExpirationStatus::Enabled)
            .filter(LifecycleRuleFilter::builder().and(and).build())
            .expiration(LifecycleExpiration::builder().days(90).build())
            .build()
            .unwrap();
        let output = GetBucketLifecycleConfigurationOutput::builder().rules(rule).build();
        let cli = json!({ "Rules": [{
            "Status": "Enabled", "Expiration": { "Days": 90 },
            "Filter": { "And": { "Prefix": "web/", "Tags": [{ "Key": "k", "Value": "v" }] } }
        }] });
        let cli = Answer::from_json(&super::super::answer::LIFECYCLE, cli).unwrap();
        assert_eq!(Answer::Given(lifecycle(output)), cli);

        let output = GetBucketVersioningOutput::builder()
            .status(types::BucketVersioningStatus::Suspended)
            .mfa_delete(types::MfaDeleteStatus::Enabled)
            .build();
        let cli = json!({ "Status": "Suspended", "MFADelete": "Enabled" });
        let cli = Answer::from_json(&super::super::answer::VERSIONING, cli).unwrap();
        assert_eq!(Answer::Given(versioning(output)), cli);
    }
}
