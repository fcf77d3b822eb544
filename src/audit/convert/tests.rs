//! What answers of the S3 API become: rows of `bucket_config`.

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
    assert_eq!(blocked(Value::Null, none()), None, "a server that does not know the setting says nothing");
    assert_eq!(blocked(Value::Null, policy), Some(true));
}

#[test]
fn the_target_decides_whether_logs_can_be_delivered() {
    let logged = json!({ "LoggingEnabled": { "TargetBucket": "amzn-s3-demo-logs", "TargetPrefix": "a/" } });
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
    let ownership = |name: &str| json!({ "OwnershipControls": { "Rules": [{ "ObjectOwnership": name }] } });
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
    assert_eq!(permitted(target(no_policy.clone(), acl(true), enforced)), Some(false), "ACLs have no effect");
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

    let logged = json!({ "LoggingEnabled": { "TargetBucket": "amzn-s3-demo-logs", "TargetPrefix": "a/" } });
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
    let rule = |filter: Value| json!({ "Status": "Enabled", "Filter": filter, "Expiration": { "Days": 90 } });
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
    let [account, bucket, point, lambda] = snapshot.rows.as_slice() else { panic!("{:?}", snapshot.rows) };
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
