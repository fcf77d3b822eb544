//! Who asked: the requester of a record, taken apart.
//!
//! The forms of a requester, from real records of 2006 to 2026: null (anonymous; `Anonymous` about 2010, and
//! the id of the AllUsers group before), 64 hex digits (an account's canonical id), an IAM or STS ARN of any
//! partition, `AmazonS3` (lifecycle), `svc:NAME` (a service), the canonical id of the log delivery group, and
//! a CloudFront origin access identity, whose ARN holds blanks.

use std::borrow::Cow;

use super::{Row, Spec};

/// Canonical id with which S3 delivers access logs.
const LOG_DELIVERY_ID: &str = "3272ee65a908a7677109fedda345db8d9554ba26398b2ca10581de88777e2b61";

/// The service principal of log delivery under bucket policies: expected by analogy, not seen in a record.
const LOG_DELIVERY_SERVICE: &str = "svc:logging.s3.amazonaws.com";

/// How an anonymous request was logged from 2006 to 2009.
const ALL_USERS_ID: &str = "65a011a29cdf8ec533ec3d1ccaae921c";

const OAI_NAME: &str = "CloudFront Origin Access Identity ";

const REQUESTER: (&str, &str) = ("requester", "The requester of a record");

pub(super) const FUNCTIONS: &[Spec] = &[
    Spec {
        name: "principal_type",
        arguments: &[REQUESTER],
        description: "What kind of caller it is: anonymous (also for null), root_or_canonical, iam_user, \
                      assumed_role, federated_user, service, aws_s3, log_delivery, cloudfront_oai or other.",
        example: "principal_type('arn:aws:iam::111122223333:user/alice') -> iam_user",
        row: Row::Word(principal_type),
    },
    Spec {
        name: "principal",
        arguments: &[REQUESTER],
        description: "An identity that stays the same from call to call: the ARN of a role without its session, \
                      else the requester itself; `anonymous` for null.",
        example: "principal('arn:aws:sts::111122223333:assumed-role/etl/i-0abc') -> \
                  arn:aws:sts::111122223333:assumed-role/etl",
        row: Row::One(principal),
    },
    Spec {
        name: "principal_account",
        arguments: &[REQUESTER],
        description: "The 12-digit account id in an ARN; null for canonical ids and for all else.",
        example: "principal_account('arn:aws:iam::111122223333:user/alice') -> 111122223333",
        row: Row::One(account),
    },
    Spec {
        name: "principal_name",
        arguments: &[REQUESTER],
        description: "The name of the user, the role, the federated user, the service or the CloudFront identity; \
                      null where there is no name.",
        example: "principal_name('arn:aws:iam::111122223333:user/staff/alice') -> alice",
        row: Row::One(name),
    },
    Spec {
        name: "role_name",
        arguments: &[REQUESTER],
        description: "The role of an assumed-role session; null for all else.",
        example: "role_name('arn:aws:sts::111122223333:assumed-role/etl/i-0abc') -> etl",
        row: Row::One(role_name),
    },
    Spec {
        name: "session_name",
        arguments: &[REQUESTER],
        description: "The session of an assumed role; null for all else.",
        example: "session_name('arn:aws:sts::111122223333:assumed-role/etl/i-0abc') -> i-0abc",
        row: Row::One(session_name),
    },
];

/// A requester by its form. Only [`Requester::of`] knows the forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Requester<'a> {
    Anonymous,
    LogDelivery,
    AmazonS3,
    Service(&'a str),
    Canonical,
    Root { account: &'a str },
    User { account: &'a str, name: &'a str },
    Role { account: &'a str, role: &'a str, session: Option<&'a str> },
    Federated { account: &'a str, name: &'a str },
    OriginAccessIdentity(&'a str),
    OtherArn { account: &'a str },
    Other,
}

impl<'a> Requester<'a> {
    fn of(requester: Option<&'a str>) -> Self {
        let Some(text) = requester else {
            return Requester::Anonymous;
        };
        match text {
            "" | "-" | ALL_USERS_ID => return Requester::Anonymous,
            LOG_DELIVERY_ID | LOG_DELIVERY_SERVICE => return Requester::LogDelivery,
            "AmazonS3" => return Requester::AmazonS3,
            _ if text.eq_ignore_ascii_case("anonymous") => return Requester::Anonymous,
            _ => {}
        }
        if let Some(service) = text.strip_prefix("svc:") {
            return Requester::Service(service);
        }
        if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Requester::Canonical;
        }
        Self::of_arn(text).unwrap_or(Requester::Other)
    }

    /// `arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE` of IAM or STS.
    fn of_arn(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        if parts.next()? != "arn" {
            return None;
        }
        // aws, aws-cn, aws-us-gov, and the isolated partitions that call themselves aws-iso and the like.
        let partition = parts.next()?;
        if partition != "aws" && !partition.starts_with("aws-") {
            return None;
        }
        let (service, _region, account) = (parts.next()?, parts.next()?, parts.next()?);
        let resource = parts.next()?;
        if !matches!(service, "iam" | "sts") {
            return None;
        }
        let (kind, rest) = resource.split_once('/').unwrap_or((resource, ""));
        Some(match kind {
            "user" if account == "cloudfront" => {
                Requester::OriginAccessIdentity(rest.strip_prefix(OAI_NAME).unwrap_or(rest))
            }
            "root" if rest.is_empty() => Requester::Root { account },
            "user" => Requester::User { account, name: last_segment(rest) },
            "federated-user" => Requester::Federated { account, name: rest },
            "assumed-role" => {
                let (role, session) = match rest.split_once('/') {
                    Some((role, session)) => (role, Some(session)),
                    None => (rest, None),
                };
                Requester::Role { account, role, session }
            }
            _ => Requester::OtherArn { account },
        })
    }
}

fn principal_type(requester: Option<&str>) -> Option<&'static str> {
    Some(match Requester::of(requester) {
        Requester::Anonymous => "anonymous",
        Requester::LogDelivery => "log_delivery",
        Requester::AmazonS3 => "aws_s3",
        Requester::Service(_) => "service",
        Requester::Canonical | Requester::Root { .. } => "root_or_canonical",
        Requester::User { .. } => "iam_user",
        Requester::Role { .. } => "assumed_role",
        Requester::Federated { .. } => "federated_user",
        Requester::OriginAccessIdentity(_) => "cloudfront_oai",
        Requester::OtherArn { .. } | Requester::Other => "other",
    })
}

fn principal(requester: Option<&str>) -> Option<Cow<'_, str>> {
    let identity = match (Requester::of(requester), requester) {
        (Requester::Anonymous, _) | (_, None) => "anonymous",
        (Requester::Role { session: Some(session), .. }, Some(text)) => {
            // The session and the slash before it end the text.
            &text[..text.len() - session.len() - 1]
        }
        (_, Some(text)) => text,
    };
    Some(Cow::Borrowed(identity))
}

fn account(requester: Option<&str>) -> Option<Cow<'_, str>> {
    let account = match Requester::of(Some(requester?)) {
        Requester::Root { account }
        | Requester::User { account, .. }
        | Requester::Role { account, .. }
        | Requester::Federated { account, .. }
        | Requester::OtherArn { account } => account,
        _ => return None,
    };
    let is_id = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
    is_id.then_some(Cow::Borrowed(account))
}

fn name(requester: Option<&str>) -> Option<Cow<'_, str>> {
    let name = match Requester::of(Some(requester?)) {
        Requester::User { name, .. } | Requester::Federated { name, .. } => name,
        Requester::Role { role, .. } => role,
        Requester::Service(name) | Requester::OriginAccessIdentity(name) => name,
        _ => return None,
    };
    (!name.is_empty()).then_some(Cow::Borrowed(name))
}

fn role_name(requester: Option<&str>) -> Option<Cow<'_, str>> {
    match Requester::of(Some(requester?)) {
        Requester::Role { role, .. } => Some(Cow::Borrowed(role)),
        _ => None,
    }
}

fn session_name(requester: Option<&str>) -> Option<Cow<'_, str>> {
    match Requester::of(Some(requester?)) {
        Requester::Role { session, .. } => session.map(Cow::Borrowed),
        _ => None,
    }
}

/// The name at the end of an IAM path.
fn last_segment(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::super::testing::call;
    use super::*;

    #[test]
    fn every_form_of_requester() {
        let canonical = "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be";
        // (requester, type, principal when it differs, account, name, role, session)
        type Case<'a> = (
            &'a str,
            &'a str,
            Option<&'a str>,
            Option<&'a str>,
            Option<&'a str>,
            Option<&'a str>,
            Option<&'a str>,
        );
        let account = Some("111122223333");
        let cases: &[Case] = &[
            ("-", "anonymous", Some("anonymous"), None, None, None, None),
            ("Anonymous", "anonymous", Some("anonymous"), None, None, None, None),
            (ALL_USERS_ID, "anonymous", Some("anonymous"), None, None, None, None),
            (canonical, "root_or_canonical", None, None, None, None, None),
            (LOG_DELIVERY_ID, "log_delivery", None, None, None, None, None),
            (LOG_DELIVERY_SERVICE, "log_delivery", None, None, None, None, None),
            ("AmazonS3", "aws_s3", None, None, None, None, None),
            (
                "svc:cloudfront.amazonaws.com",
                "service",
                None,
                None,
                Some("cloudfront.amazonaws.com"),
                None,
                None,
            ),
            ("arn:aws:iam::111122223333:root", "root_or_canonical", None, account, None, None, None),
            ("arn:aws:iam::111122223333:user/alice", "iam_user", None, account, Some("alice"), None, None),
            (
                "arn:aws-cn:iam::111122223333:user/a/b@example.com",
                "iam_user",
                None,
                account,
                Some("b@example.com"),
                None,
                None,
            ),
            (
                "arn:aws-us-gov:sts::111122223333:assumed-role/etl/user=x@example.com_1.2",
                "assumed_role",
                Some("arn:aws-us-gov:sts::111122223333:assumed-role/etl"),
                account,
                Some("etl"),
                Some("etl"),
                Some("user=x@example.com_1.2"),
            ),
            (
                "arn:aws:sts::111122223333:assumed-role/etl",
                "assumed_role",
                None,
                account,
                Some("etl"),
                Some("etl"),
                None,
            ),
            (
                "arn:aws:sts::111122223333:federated-user/bob",
                "federated_user",
                None,
                account,
                Some("bob"),
                None,
                None,
            ),
            (
                "arn:aws:iam::cloudfront:user/CloudFront Origin Access Identity E2EXAMPLEID",
                "cloudfront_oai",
                None,
                None,
                Some("E2EXAMPLEID"),
                None,
                None,
            ),
            ("arn:aws:iam::111122223333:role/etl", "other", None, account, None, None, None),
            ("arn:aws:s3:::amzn-s3-demo-bucket", "other", None, None, None, None, None),
            ("arn:awsome:iam::111122223333:user/alice", "other", None, None, None, None, None),
            ("arn:aws:iam::1111:user/", "iam_user", None, None, None, None, None),
            ("arn:aws:sts::111122223333:assumed-role/", "assumed_role", None, account, None, Some(""), None),
            ("arn:", "other", None, None, None, None, None),
            ("somebody", "other", None, None, None, None, None),
        ];
        for (requester, kind, identity, account, name, role, session) in cases {
            let of = |function| call(function, &[Some(*requester)]);
            assert_eq!(of("principal_type").as_deref(), Some(*kind), "{requester}");
            assert_eq!(of("principal").as_deref(), Some(identity.unwrap_or(requester)), "{requester}");
            assert_eq!(of("principal_account").as_deref(), *account, "{requester}");
            assert_eq!(of("principal_name").as_deref(), *name, "{requester}");
            assert_eq!(of("role_name").as_deref(), *role, "{requester}");
            assert_eq!(of("session_name").as_deref(), *session, "{requester}");
        }
    }
}
