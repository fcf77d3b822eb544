//! Policies as people write them, and what can be said of them.

use serde_json::json;

use super::*;

const BUCKET: &str = "amzn-s3-demo-logs";
const ACCOUNT: &str = "111122223333";

fn policy(statements: Value) -> Policy {
    Policy::parse(&json!({ "Version": "2012-10-17", "Statement": statements }).to_string()).unwrap()
}

/// Both resources of the bucket.
fn whole() -> Value {
    json!(["arn:aws:s3:::amzn-s3-demo-logs", "arn:aws:s3:::amzn-s3-demo-logs/*"])
}

fn deny(condition: Value) -> Value {
    json!({ "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": whole(), "Condition": condition })
}

/// `base` with some members replaced; null takes one away.
fn with(base: &Value, members: Value) -> Value {
    let mut out = base.clone();
    for (key, value) in members.as_object().unwrap() {
        match value {
            Value::Null => drop(out.as_object_mut().unwrap().remove(key)),
            value => out[key] = value.clone(),
        }
    }
    out
}

fn http(statements: Value) -> Option<bool> {
    policy(statements).denies_insecure_transport("aws", BUCKET)
}

#[test]
fn what_is_no_policy() {
    for text in ["", "[]", "{}", "null", "\"x\"", r#"{"Statement": 1}"#, "{\"Statement\": [}"] {
        assert_eq!(Policy::parse(text), None, "{text}");
    }
    assert_eq!(http(json!([])), Some(false));
}

#[test]
fn plain_http_is_denied() {
    let plain = deny(json!({ "Bool": { "aws:SecureTransport": "false" } }));
    assert_eq!(http(json!([plain])), Some(true));
    assert_eq!(http(plain.clone()), Some(true), "one statement, no list");
    for members in [
        json!({ "Principal": { "AWS": "*" } }),
        json!({ "Principal": { "AWS": ["*"] } }),
        json!({ "Action": "*" }),
        json!({ "Action": ["S3:*"] }),
        json!({ "Action": null, "NotAction": "sts:AssumeRole" }),
        json!({ "Resource": "*" }),
        json!({ "Resource": "arn:aws:s3:::amzn-s3-demo-logs*" }),
        json!({ "Resource": null, "NotResource": "arn:aws:s3:::amzn-s3-demo-other/*" }),
        json!({ "Sid": "TlsOnly" }),
        json!({ "Condition": { "Bool": { "AWS:securetransport": false } } }),
        json!({ "Condition": { "BoolIfExists": { "aws:SecureTransport": ["false"] } } }),
        json!({ "Condition": { "StringNotEquals": { "aws:SecureTransport": "true" } } }),
        json!({ "Condition": { "Null": { "s3:TlsVersion": "true" } } }),
        json!({ "Condition": null }),
    ] {
        assert_eq!(http(json!([with(&plain, members.clone())])), Some(true), "{members}");
    }
    let list = json!({ "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "*" });
    assert_eq!(http(json!([list, plain])), Some(true), "an Allow changes nothing");
}

#[test]
fn plain_http_is_not_denied() {
    let plain = deny(json!({ "Bool": { "aws:SecureTransport": "false" } }));
    for members in [
        json!({ "Effect": "Allow" }),
        json!({ "Principal": { "AWS": "arn:aws:iam::111122223333:root" } }),
        json!({ "Principal": null, "NotPrincipal": { "AWS": "arn:aws:iam::111122223333:role/admin" } }),
        json!({ "Action": "s3:PutObject" }),
        json!({ "Action": ["s3:Get*", "s3:Put*"] }),
        json!({ "Action": null, "NotAction": "s3:GetObject" }),
        json!({ "Resource": "arn:aws:s3:::amzn-s3-demo-logs/*" }),
        json!({ "Resource": ["arn:aws:s3:::amzn-s3-demo-logs", "arn:aws:s3:::amzn-s3-demo-logs/private/*"] }),
        json!({ "Resource": "arn:aws:s3:::amzn-s3-demo-other/*" }),
        json!({ "Condition": { "Bool": { "aws:SecureTransport": "true" } } }),
        json!({ "Condition": {
            "Bool": { "aws:SecureTransport": "false" },
            "StringNotEquals": { "aws:PrincipalArn": "arn:aws:iam::111122223333:role/admin" }
        } }),
        json!({ "Condition": {
            "Bool": { "aws:SecureTransport": "false" },
            "NotIpAddress": { "aws:SourceIp": "192.0.2.0/24" }
        } }),
        json!({ "Condition": { "NumericLessThan": { "s3:TlsVersion": "1.2" } } }),
    ] {
        assert_eq!(http(json!([with(&plain, members.clone())])), Some(false), "{members}");
    }
}

#[test]
fn services_of_aws_may_be_exempt() {
    for members in [
        json!({ "Bool": { "aws:SecureTransport": "false", "aws:PrincipalIsAWSService": "false" } }),
        json!({ "Bool": { "aws:SecureTransport": "false" }, "BoolIfExists": { "aws:PrincipalIsAWSService": "false" } }),
        json!({ "Bool": { "aws:SecureTransport": "false", "aws:ViaAWSService": "false" } }),
        json!({
            "BoolIfExists": { "aws:ViaAWSService": "false", "aws:PrincipalIsAWSService": "false" },
            "NumericLessThan": { "s3:TlsVersion": "1.2" }
        }),
    ] {
        let policy = policy(json!([deny(members.clone())]));
        let denied = match members.get("NumericLessThan") {
            None => policy.denies_insecure_transport("aws", BUCKET),
            Some(_) => policy.denies_old_tls("aws", BUCKET),
        };
        assert_eq!(denied, Some(true), "{members}");
    }
    // And who denies it to them alone denies it to no caller.
    let services = json!({ "Bool": { "aws:SecureTransport": "false", "aws:PrincipalIsAWSService": "true" } });
    assert_eq!(http(json!([deny(services)])), Some(false));
    let direct = json!({
        "StringNotEquals": { "s3:DataAccessPointAccount": ACCOUNT }, "Bool": { "aws:ViaAWSService": "false" }
    });
    assert_eq!(policy(json!([deny(direct)])).denies_direct_access("aws", BUCKET), Some(true));
}

#[test]
fn what_cannot_be_told_is_unknown() {
    let plain = deny(json!({ "Bool": { "aws:SecureTransport": "false" } }));
    for members in [
        json!({ "Effect": "Refuse" }),
        json!({ "Principal": null }),
        json!({ "Principal": "arn:aws:iam::111122223333:root" }),
        json!({ "Principal": { "Robot": "x" } }),
        json!({ "Action": null }),
        json!({ "Action": 1 }),
        json!({ "Resource": "arn:aws:s3:::amzn-s3-demo-logs/${aws:username}/*" }),
        json!({ "Condition": [] }),
        json!({ "Condition": { "Bool": { "aws:SecureTransport": {} } } }),
        json!({ "Condition": { "Bool": { "aws:SecureTransport": "false" }, "Sometimes": { "aws:x": "1" } } }),
        json!({ "Condition": { "Bool": { "aws:SecureTransport": "false", "aws:SomethingNew": "true" } } }),
        json!({ "Condition": { "StringLike": { "aws:PrincipalArn": "*" } } }),
        json!({ "Condition": { "IpAddress": { "aws:SourceIp": ["0.0.0.0/1", "128.0.0.0/1"] } } }),
        json!({ "Condition": { "ForAllValues:StringEquals": { "aws:TagKeys": "x" } } }),
        json!({ "Flavour": "new" }),
    ] {
        assert_eq!(http(json!([with(&plain, members.clone())])), None, "{members}");
    }
    assert_eq!(http(json!(["text"])), None);
}

#[test]
fn parts_that_might_make_a_whole_are_told_by_a_witness() {
    let plain = deny(json!({ "Bool": { "aws:SecureTransport": "false" } }));
    let object = "arn:aws:s3:::amzn-s3-demo-logs/*";
    // One statement for each resource.
    let halves = json!([
        with(&plain, json!({ "Resource": object })),
        with(&plain, json!({ "Resource": "arn:aws:s3:::amzn-s3-demo-logs" })),
    ]);
    assert_eq!(http(halves), Some(true));
    // Reads and writes of their own: deleting is not denied.
    let some = json!([
        with(&plain, json!({ "Action": "s3:GetObject" })),
        with(&plain, json!({ "Action": "s3:PutObject" })),
    ]);
    assert_eq!(http(some), Some(false));
    // Denied for one and for all others.
    let arn = "arn:aws:iam::111122223333:role/admin";
    let one_and_others = json!([
        with(&plain, json!({ "Principal": { "AWS": arn } })),
        with(&plain, json!({ "Principal": null, "NotPrincipal": { "AWS": arn } })),
    ]);
    assert_eq!(http(one_and_others), None);
    // Statements about other things do not make it unknown.
    let others = json!([
        with(
            &deny(json!({ "Null": { "s3:x-amz-server-side-encryption": "true" } })),
            json!({
                "Action": "s3:PutObject", "Resource": object
            })
        ),
        with(
            &deny(json!({ "StringNotEquals": { "aws:PrincipalAccount": ACCOUNT } })),
            json!({
                "Action": "s3:DeleteObject", "Resource": object
            })
        ),
    ]);
    assert_eq!(http(others), Some(false));
}

#[test]
fn another_partition() {
    let plain = deny(json!({ "Bool": { "aws:SecureTransport": "false" } }));
    let china = with(&plain, json!({ "Resource": ["arn:aws-cn:s3:::b", "arn:aws-cn:s3:::b/*"] }));
    assert_eq!(policy(json!([china])).denies_insecure_transport("aws-cn", "b"), Some(true));
    assert_eq!(policy(json!([china])).denies_insecure_transport("aws", "b"), Some(false));
}

#[test]
fn old_tls() {
    let tls = |condition: Value| policy(json!([deny(condition)])).denies_old_tls("aws", BUCKET);
    assert_eq!(tls(json!({ "NumericLessThan": { "s3:TlsVersion": "1.2" } })), Some(true));
    assert_eq!(tls(json!({ "NumericLessThan": { "s3:TlsVersion": 1.3 } })), Some(true));
    assert_eq!(tls(json!({ "NumericLessThan": { "s3:TlsVersion": "1.1" } })), Some(false));
    assert_eq!(tls(json!({ "NumericLessThanEquals": { "s3:TlsVersion": "1.1" } })), Some(true));
    assert_eq!(tls(json!({ "NumericEquals": { "s3:TlsVersion": ["1.0", "1.1"] } })), Some(true));
    assert_eq!(tls(json!({ "NumericGreaterThan": { "s3:TlsVersion": "0.9" } })), Some(true));
    assert_eq!(tls(json!({ "NumericGreaterThanEquals": { "s3:TlsVersion": "1.2" } })), Some(false));
    assert_eq!(tls(json!({ "NumericNotEquals": { "s3:TlsVersion": "1.3" } })), Some(true));
    assert_eq!(tls(json!({ "NumericLessThan": { "s3:TlsVersion": "TLSv1.2" } })), None);
    assert_eq!(tls(json!({ "Bool": { "aws:SecureTransport": "false" } })), Some(false));
}

#[test]
fn uploads_without_encryption_in_their_headers() {
    let put = |condition: Value| {
        let statement = with(
            &deny(condition),
            json!({
                "Action": "s3:PutObject", "Resource": "arn:aws:s3:::amzn-s3-demo-logs/*"
            }),
        );
        policy(json!([statement])).denies_unencrypted_puts("aws", BUCKET)
    };
    assert_eq!(put(json!({ "Null": { "s3:x-amz-server-side-encryption": "true" } })), Some(true));
    assert_eq!(
        put(json!({ "StringNotEquals": { "s3:x-amz-server-side-encryption": "aws:kms" } })),
        Some(true)
    );
    let if_exists = json!({ "StringNotEqualsIfExists": { "s3:x-amz-server-side-encryption": "aws:kms" } });
    assert_eq!(put(if_exists), Some(true));
    assert_eq!(put(json!({ "StringEquals": { "s3:x-amz-server-side-encryption": "AES256" } })), Some(false));
    assert_eq!(put(json!({ "Null": { "s3:x-amz-server-side-encryption": "false" } })), Some(false));
    assert_eq!(put(json!({ "Bool": { "aws:SecureTransport": "false" } })), Some(false));
    let key = "s3:x-amz-server-side-encryption-aws-kms-key-id";
    assert_eq!(put(json!({ "StringNotLikeIfExists": { key: "arn:aws:kms:*" } })), Some(true));
}

#[test]
fn keys_of_the_caller() {
    let key = "s3:x-amz-server-side-encryption-customer-algorithm";
    let ssec = |condition: Value| policy(json!([deny(condition)])).denies_sse_c("aws", BUCKET);
    assert_eq!(ssec(json!({ "Null": { key: "false" } })), Some(true));
    assert_eq!(ssec(json!({ "Null": { key: "true" } })), Some(false));
    assert_eq!(ssec(json!({ "StringEquals": { key: "AES256" } })), Some(true));
    assert_eq!(ssec(json!({ "Bool": { "aws:SecureTransport": "false" } })), Some(false));
}

#[test]
fn access_points_only() {
    let direct = |statements: Value| {
        let policy = policy(statements);
        (policy.denies_direct_access("aws", BUCKET), policy.delegates_to_access_points())
    };
    let delegated = json!({
        "Effect": "Allow", "Principal": { "AWS": "*" }, "Action": "*", "Resource": whole(),
        "Condition": { "StringEquals": { "s3:DataAccessPointAccount": ACCOUNT } }
    });
    assert_eq!(direct(json!([delegated])), (Some(false), Some(true)));
    let only = deny(json!({ "StringNotEquals": { "s3:DataAccessPointAccount": ACCOUNT } }));
    assert_eq!(direct(json!([only])), (Some(true), Some(false)));
    assert_eq!(direct(json!([delegated, only])), (Some(true), Some(true)));
    let arn = "arn:aws:s3:us-east-1:111122223333:accesspoint/*";
    assert_eq!(
        direct(json!([deny(json!({ "ArnNotLike": { "s3:DataAccessPointArn": arn } }))])).0,
        Some(true)
    );
    assert_eq!(direct(json!([deny(json!({ "ArnLike": { "s3:DataAccessPointArn": arn } }))])).0, Some(false));
    let but_admins = deny(json!({
        "StringNotEquals": { "s3:DataAccessPointAccount": ACCOUNT },
        "ArnNotLike": { "aws:PrincipalArn": "arn:aws:iam::111122223333:role/admin" }
    }));
    assert_eq!(direct(json!([but_admins])).0, Some(false));
    assert_eq!(direct(json!([{ "Effect": "Allow", "Flavour": "new" }])).1, None);
}

fn grant() -> Value {
    json!({
        "Effect": "Allow",
        "Principal": { "Service": "logging.s3.amazonaws.com" },
        "Action": "s3:PutObject",
        "Resource": "arn:aws:s3:::amzn-s3-demo-logs/*",
        "Condition": {
            "ArnLike": { "aws:SourceArn": "arn:aws:s3:::amzn-s3-demo-web" },
            "StringEquals": { "aws:SourceAccount": ACCOUNT }
        }
    })
}

fn delivery(statements: Value) -> Delivery {
    let route = LogRoute {
        source_bucket: "amzn-s3-demo-web",
        source_account: Some(ACCOUNT),
        target_bucket: BUCKET,
        prefix: "web/",
        partition: "aws",
    };
    policy(statements).log_delivery(&route)
}

#[test]
fn log_delivery_is_allowed() {
    assert_eq!(delivery(json!([grant()])), Delivery::Allowed);
    for members in [
        json!({ "Condition": null }),
        json!({ "Condition": { "ArnLike": { "aws:SourceArn": "arn:aws:s3:::amzn-s3-demo-*" } } }),
        json!({ "Condition": { "StringEquals": { "aws:SourceAccount": ["444455556666", ACCOUNT] } } }),
        json!({ "Resource": "arn:aws:s3:::amzn-s3-demo-logs/web/*" }),
        json!({ "Action": ["s3:PutObject", "s3:GetObject"] }),
        json!({ "Action": "s3:Put*" }),
        json!({ "Principal": { "Service": ["delivery.logs.amazonaws.com", "logging.s3.amazonaws.com"] } }),
    ] {
        assert_eq!(delivery(json!([with(&grant(), members.clone())])), Delivery::Allowed, "{members}");
    }
    // Plain HTTP is not how S3 delivers.
    let plain = deny(json!({ "Bool": { "aws:SecureTransport": "false" } }));
    assert_eq!(delivery(json!([grant(), plain])), Delivery::Allowed);
}

#[test]
fn log_delivery_is_not_allowed() {
    for members in [
        json!({ "Condition": { "ArnLike": { "aws:SourceArn": "arn:aws:s3:::amzn-s3-demo-data" } } }),
        json!({ "Condition": { "StringEquals": { "aws:SourceAccount": "444455556666" } } }),
        json!({ "Resource": "arn:aws:s3:::amzn-s3-demo-logs/data/*" }),
        json!({ "Resource": "arn:aws:s3:::amzn-s3-demo-logs" }),
        json!({ "Action": "s3:GetObject" }),
        json!({ "Principal": { "Service": "delivery.logs.amazonaws.com" } }),
        json!({ "Principal": { "AWS": "arn:aws:iam::111122223333:root" } }),
    ] {
        assert_eq!(delivery(json!([with(&grant(), members.clone())])), Delivery::NotAllowed, "{members}");
    }
    assert_eq!(delivery(json!([])), Delivery::NotAllowed);
}

#[test]
fn log_delivery_is_denied_or_unknown() {
    let all = json!({ "Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": whole() });
    assert_eq!(delivery(json!([grant(), all])), Delivery::Denied);
    let services = with(&all, json!({ "Principal": { "Service": "logging.s3.amazonaws.com" } }));
    assert_eq!(delivery(json!([grant(), services])), Delivery::Denied);
    // What an account or organization condition does to a service is not in the text.
    let others =
        with(&all, json!({ "Condition": { "StringNotEquals": { "aws:PrincipalOrgID": "o-example" } } }));
    assert_eq!(delivery(json!([grant(), others])), Delivery::Unknown);
    let not_us = with(&all, json!({ "Condition": { "StringNotEquals": { "aws:SourceAccount": ACCOUNT } } }));
    assert_eq!(delivery(json!([grant(), not_us])), Delivery::Allowed);
    // Where nobody allows it, only an ACL can, and only if it is not denied.
    assert_eq!(delivery(json!([others])), Delivery::PerhapsDenied);
    assert_eq!(delivery(json!([not_us])), Delivery::NotAllowed);
    assert_eq!(delivery(json!([all])), Delivery::Denied);
    // S3 speaks TLS 1.2 or later.
    let tls = |below: &str| deny(json!({ "NumericLessThan": { "s3:TlsVersion": below } }));
    assert_eq!(delivery(json!([grant(), tls("1.2")])), Delivery::Allowed);
    assert_eq!(delivery(json!([grant(), tls("1.3")])), Delivery::Unknown);
    assert_eq!(delivery(json!([grant(), tls("1.4")])), Delivery::Denied);
    assert_eq!(delivery(json!([with(&grant(), json!({ "Principal": "*" }))])), Delivery::Unknown);
    assert_eq!(delivery(json!([with(&grant(), json!({ "Resource": "*.gz" }))])), Delivery::Unknown);
}

#[test]
fn who_may_be_acted_for() {
    let of = |statements: Value| {
        let policy = policy(statements);
        (policy.allows_log_delivery("aws", BUCKET), policy.restricts_log_delivery("aws", BUCKET))
    };
    assert_eq!(of(json!([grant()])), (Some(true), Some(true)));
    let free = with(&grant(), json!({ "Condition": null }));
    assert_eq!(of(json!([free])), (Some(true), Some(false)));
    assert_eq!(of(json!([grant(), free])), (Some(true), Some(false)));
    assert_eq!(of(json!([with(&grant(), json!({ "Action": "s3:GetObject" }))])), (Some(false), None));
    assert_eq!(of(json!([])), (Some(false), None));
    assert_eq!(of(json!([with(&grant(), json!({ "Principal": "*" }))])).0, None);
}
