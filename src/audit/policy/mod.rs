//! What a bucket policy says about requests, as far as that can be proven from its text alone.
//!
//! A policy is asked about a whole set of requests: anyone's, every action, every key, over plain HTTP. The answer is
//! yes when one statement denies all of them, no when some of them is certainly denied by none, and `None` where the
//! text leaves it open: policy variables, operators and elements this module does not know, conditions on facts of
//! the caller. Anyone is no service of AWS and does not act through one: to exempt those is usual, and what they do is
//! not meant. Other policies (of identities, access points, organizations) can deny or allow more; nothing is known
//! of them here.

mod condition;
mod pattern;
mod statement;

use serde_json::Value;

use condition::{Condition, Context, Fact};
use pattern::{Extent, Fit};
use statement::{LOG_DELIVERY, Requests, Statement, Who};

/// Actions to look for a request among that is not denied, in lower case.
const ON_OBJECTS: [&str; 3] = ["s3:getobject", "s3:putobject", "s3:deleteobject"];
const ON_BUCKETS: [&str; 3] = ["s3:listbucket", "s3:getbucketlocation", "s3:getbucketacl"];

/// What is known of callers that are not asked about as services of AWS.
const NO_SERVICE: [(&str, Fact<'static>); 3] = [
    ("aws:principalisawsservice", Fact::Is("false")),
    ("aws:principalservicename", Fact::Absent),
    ("aws:viaawsservice", Fact::Is("false")),
];

/// A parsed policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    statements: Vec<Statement>,
}

/// What a policy and nothing else says about the delivery of access logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// A statement allows it and none can deny it.
    Allowed,
    /// No statement allows it and none denies it.
    NotAllowed,
    /// No statement allows it, and one might deny it.
    PerhapsDenied,
    /// A statement denies it.
    Denied,
    /// The text leaves it open.
    Unknown,
}

/// Where a bucket's access log is to be delivered.
#[derive(Debug, Clone, Copy)]
pub struct LogRoute<'a> {
    /// The bucket being logged.
    pub source_bucket: &'a str,
    /// Its account, if it is known.
    pub source_account: Option<&'a str>,
    /// The bucket whose policy is asked.
    pub target_bucket: &'a str,
    /// The prefix of the log objects.
    pub prefix: &'a str,
    /// `aws`, `aws-cn`, `aws-us-gov` and so on.
    pub partition: &'a str,
}

impl Policy {
    /// Reads the JSON text of a policy; `None` for what is no policy at all. What is not understood inside it makes
    /// answers unknown, not the policy.
    pub fn parse(text: &str) -> Option<Policy> {
        let Value::Object(policy) = serde_json::from_str(text).ok()? else { return None };
        let statements = match policy.get("Statement")? {
            Value::Array(statements) => statements.iter().collect(),
            one @ Value::Object(_) => vec![one],
            _ => return None,
        };
        Some(Policy { statements: statements.into_iter().map(Statement::read).collect() })
    }

    /// The policy of a bucket without one.
    pub fn empty() -> Policy {
        Policy { statements: Vec::new() }
    }

    /// Whether every request over plain HTTP, for the bucket and all its objects, is denied.
    pub fn denies_insecure_transport(&self, partition: &str, bucket: &str) -> Option<bool> {
        let context =
            by_callers(&[("aws:securetransport", Fact::Is("false")), ("s3:tlsversion", Fact::Absent)]);
        self.denies_all(&every_request(partition, bucket, &context))
    }

    /// Whether every request with a TLS version below 1.2, for the bucket and all its objects, is denied.
    pub fn denies_old_tls(&self, partition: &str, bucket: &str) -> Option<bool> {
        let answers = ["1.0", "1.1"].map(|version| {
            let context = by_callers(&[
                ("aws:securetransport", Fact::Is("true")),
                ("s3:tlsversion", Fact::Is(version)),
            ]);
            self.denies_all(&every_request(partition, bucket, &context))
        });
        all(answers)
    }

    /// Whether every upload that does not ask for encryption in its headers is denied. (Default encryption encrypts
    /// it all the same.)
    pub fn denies_unencrypted_puts(&self, partition: &str, bucket: &str) -> Option<bool> {
        let context = by_callers(&[
            ("aws:securetransport", Fact::Is("true")),
            ("s3:tlsversion", Fact::Is("1.3")),
            ("s3:x-amz-server-side-encryption", Fact::Absent),
            ("s3:x-amz-server-side-encryption-aws-kms-key-id", Fact::Absent),
            ("s3:x-amz-server-side-encryption-customer-algorithm", Fact::Absent),
        ]);
        self.denies_all(&[on_objects(partition, bucket, "s3:putobject", &context)])
    }

    /// Whether every upload encrypted with a key of the caller's (SSE-C) is denied.
    pub fn denies_sse_c(&self, partition: &str, bucket: &str) -> Option<bool> {
        let context = by_callers(&[
            ("aws:securetransport", Fact::Is("true")),
            ("s3:tlsversion", Fact::Is("1.3")),
            ("s3:x-amz-server-side-encryption", Fact::Absent),
            ("s3:x-amz-server-side-encryption-aws-kms-key-id", Fact::Absent),
            ("s3:x-amz-server-side-encryption-customer-algorithm", Fact::Is("AES256")),
        ]);
        self.denies_all(&[on_objects(partition, bucket, "s3:putobject", &context)])
    }

    /// Whether every read and write of an object that does not come through an access point is denied: of its
    /// current version, and nothing is said of lists and deletes.
    pub fn denies_direct_access(&self, partition: &str, bucket: &str) -> Option<bool> {
        let context = by_callers(&[
            ("aws:securetransport", Fact::Is("true")),
            ("s3:tlsversion", Fact::Is("1.3")),
            ("s3:dataaccesspointaccount", Fact::Absent),
            ("s3:dataaccesspointarn", Fact::Absent),
            ("s3:accesspointnetworkorigin", Fact::Absent),
        ]);
        let requests = |action| on_objects(partition, bucket, action, &context);
        self.denies_all(&[requests("s3:getobject"), requests("s3:putobject")])
    }

    /// Whether a statement leaves the decision to the policies of access points.
    pub fn delegates_to_access_points(&self) -> Option<bool> {
        let is_on_access_point = |condition: &Condition| {
            matches!(condition.key.as_str(), "s3:dataaccesspointaccount" | "s3:dataaccesspointarn")
                && ["StringEquals", "StringLike", "ArnEquals", "ArnLike"]
                    .contains(&condition.operator.as_str())
        };
        let delegates = |statement: &Statement| {
            statement.denies == Some(false) && statement.conditions.iter().any(is_on_access_point)
        };
        if self.statements.iter().any(delegates) {
            return Some(true);
        }
        self.statements.iter().all(|statement| statement.is_understood).then_some(false)
    }

    /// Whether some statement lets log delivery write objects, under whatever prefix and conditions.
    pub fn allows_log_delivery(&self, partition: &str, bucket: &str) -> Option<bool> {
        let fits: Vec<Fit> = self.log_statements(partition, bucket).map(|(fit, _)| fit).collect();
        if fits.iter().any(|fit| matches!(fit, Fit::Always | Fit::Sometimes)) {
            return Some(true);
        }
        (!fits.contains(&Fit::Unknown)).then_some(false)
    }

    /// Whether every statement that lets log delivery write objects names the account, organization or bucket it may
    /// act for. `None` without such a statement.
    pub fn restricts_log_delivery(&self, partition: &str, bucket: &str) -> Option<bool> {
        let is_restricted = |statement: &Statement| {
            statement.conditions.iter().any(|condition| {
                ["aws:sourceaccount", "aws:sourcearn", "aws:sourceorgid", "aws:sourceorgpaths"]
                    .contains(&condition.key.as_str())
            })
        };
        let mut statements =
            self.log_statements(partition, bucket).filter(|(fit, _)| *fit != Fit::Never).peekable();
        statements.peek()?;
        Some(statements.all(|(_, statement)| is_restricted(statement)))
    }

    /// What this policy says about the delivery of one bucket's log.
    pub fn log_delivery(&self, route: &LogRoute<'_>) -> Delivery {
        // Which version of TLS it speaks is not documented; an older one than these S3 does not take from anybody.
        match ["1.2", "1.3"].map(|tls| self.fits_of_delivery(route, tls)) {
            [one, other] if one != other => Delivery::Unknown,
            [(Fit::Always, _), _] => Delivery::Denied,
            [(Fit::Never, Fit::Never), _] => Delivery::NotAllowed,
            [(_, Fit::Never), _] => Delivery::PerhapsDenied,
            [(Fit::Never, Fit::Always), _] => Delivery::Allowed,
            _ => Delivery::Unknown,
        }
    }

    /// Which log objects of a bucket may not be written over this version of TLS, and which may.
    fn fits_of_delivery(&self, route: &LogRoute<'_>, tls: &str) -> (Fit, Fit) {
        let source_arn = format!("arn:{}:s3:::{}", route.partition, route.source_bucket);
        let mut context = vec![
            ("aws:securetransport", Fact::Is("true")),
            ("s3:tlsversion", Fact::Is(tls)),
            ("aws:principalisawsservice", Fact::Is("true")),
            ("aws:principalservicename", Fact::Is(LOG_DELIVERY)),
            ("aws:sourcearn", Fact::Is(&source_arn)),
        ];
        context.extend(route.source_account.map(|account| ("aws:sourceaccount", Fact::Is(account))));
        let under = format!("arn:{}:s3:::{}/{}", route.partition, route.target_bucket, route.prefix);
        let requests = Requests {
            who: Who::LogDelivery,
            action: Extent::exactly("s3:putobject"),
            resource: Extent::beginning(under),
            context: &context,
        };
        let fit = |denies| {
            self.of_effect(denies).map(|statement| statement.fit(&requests)).fold(Fit::Never, Fit::or)
        };
        (fit(true), fit(false))
    }

    /// The Allow statements, and whether they let log delivery write objects, conditions aside.
    fn log_statements(&self, partition: &str, bucket: &str) -> impl Iterator<Item = (Fit, &Statement)> {
        let requests =
            Requests { who: Who::LogDelivery, ..on_objects(partition, bucket, "s3:putobject", &[]) };
        self.of_effect(false).map(move |statement| (statement.fit_of_request(&requests), statement))
    }

    /// Statements that deny, or that allow; those whose effect is not understood are among either.
    fn of_effect(&self, denies: bool) -> impl Iterator<Item = &Statement> {
        self.statements.iter().filter(move |statement| statement.denies.is_none_or(|effect| effect == denies))
    }

    /// Whether every request of every set is denied.
    fn denies_all(&self, sets: &[Requests<'_>]) -> Option<bool> {
        let mut answer = Some(true);
        for requests in sets {
            match self.denies(requests) {
                Some(true) => {}
                Some(false) => return Some(false),
                None => answer = None,
            }
        }
        answer
    }

    /// Whether every request of a set is denied.
    fn denies(&self, requests: &Requests<'_>) -> Option<bool> {
        let fits = |requests: &Requests<'_>| -> Vec<Fit> {
            let fits = self.of_effect(true).map(|statement| statement.fit(requests));
            fits.filter(|fit| *fit != Fit::Never).collect()
        };
        match fits(requests)[..] {
            [] | [Fit::Sometimes] => return Some(false),
            ref fits if fits.contains(&Fit::Always) => return Some(true),
            _ => {}
        }
        // Several statements that each deny some may deny all together: look for a request that none denies.
        let is_passed = |action: &str| {
            requests.action.fits(action) != Fit::Never && {
                let witness = Requests {
                    who: if requests.who == Who::Anyone { Who::Stranger } else { requests.who },
                    action: Extent::exactly(action),
                    resource: requests.resource.witness(),
                    context: requests.context,
                };
                fits(&witness).is_empty()
            }
        };
        let actions = if requests.resource.is_open() { ON_OBJECTS } else { ON_BUCKETS };
        actions.into_iter().any(is_passed).then_some(false)
    }
}

/// What is known of requests, and that no service of AWS makes them.
fn by_callers<'a>(facts: &[(&'a str, Fact<'a>)]) -> Vec<(&'a str, Fact<'a>)> {
    [facts, &NO_SERVICE].concat()
}

/// Everything anyone can ask of a bucket and of its objects.
fn every_request<'a>(partition: &str, bucket: &str, context: Context<'a>) -> [Requests<'a>; 2] {
    let any = |resource| Requests { who: Who::Anyone, action: Extent::beginning("s3:"), resource, context };
    let arn = format!("arn:{partition}:s3:::{bucket}");
    [any(Extent::exactly(arn.as_str())), any(Extent::beginning(format!("{arn}/")))]
}

/// Anyone's requests of one action on any object.
fn on_objects<'a>(partition: &str, bucket: &str, action: &str, context: Context<'a>) -> Requests<'a> {
    Requests {
        who: Who::Anyone,
        action: Extent::exactly(action),
        resource: Extent::beginning(format!("arn:{partition}:s3:::{bucket}/")),
        context,
    }
}

fn all(answers: [Option<bool>; 2]) -> Option<bool> {
    if answers.contains(&Some(false)) {
        return Some(false);
    }
    answers.iter().all(Option::is_some).then_some(true)
}

#[cfg(test)]
mod tests;
