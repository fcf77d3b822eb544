//! One statement of a policy: which requests it is about.

use serde_json::{Map, Value};

use super::condition::{self, Condition, Context};
use super::pattern::{Extent, Fit};

/// The service that delivers access logs.
pub(super) const LOG_DELIVERY: &str = "logging.s3.amazonaws.com";

/// A set of requests.
#[derive(Debug, Clone)]
pub(super) struct Requests<'a> {
    pub who: Who,
    /// Names of actions, in lower case.
    pub action: Extent,
    pub resource: Extent,
    pub context: Context<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    /// Every caller.
    Anyone,
    /// A caller that no policy names.
    Stranger,
    /// S3's log delivery.
    LogDelivery,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Statement {
    /// `None` for an effect that is neither Allow nor Deny.
    pub denies: Option<bool>,
    principals: Principals,
    actions: Choice,
    resources: Choice,
    pub conditions: Vec<Condition>,
    /// Whether there is nothing in it that this module does not know.
    pub is_understood: bool,
}

/// Patterns, or everything but them.
#[derive(Debug, Clone, PartialEq)]
enum Choice {
    These(Vec<String>),
    AllBut(Vec<String>),
    Unknown,
}

#[derive(Debug, Clone, PartialEq)]
enum Principals {
    Everyone,
    /// Services, and whether there are others: accounts, users, roles, federated callers.
    These {
        services: Vec<String>,
        has_others: bool,
    },
    AllBut {
        services: Vec<String>,
    },
    Unknown,
}

impl Statement {
    pub fn read(value: &Value) -> Statement {
        let none = Map::new();
        let statement = value.as_object().unwrap_or(&none);
        let conditions = condition::read(statement.get("Condition"));
        let mut read = Statement {
            denies: match statement.get("Effect").and_then(Value::as_str) {
                Some("Deny") => Some(true),
                Some("Allow") => Some(false),
                _ => None,
            },
            principals: Principals::read(statement),
            actions: Choice::read(statement, "Action", "NotAction"),
            resources: Choice::read(statement, "Resource", "NotResource"),
            is_understood: conditions.is_some(),
            conditions: conditions.unwrap_or_default(),
        };
        let is_known = |key: &String| {
            let name = key.strip_prefix("Not").unwrap_or(key);
            matches!(name, "Sid" | "Effect" | "Principal" | "Action" | "Resource" | "Condition")
        };
        read.is_understood &= read.denies.is_some()
            && read.principals != Principals::Unknown
            && read.actions != Choice::Unknown
            && read.resources != Choice::Unknown
            && statement.keys().all(is_known);
        read
    }

    /// Which of the requests the statement is about.
    pub fn fit(&self, requests: &Requests<'_>) -> Fit {
        let conditions = self.conditions.iter().map(|condition| condition.fit(requests.context));
        conditions.fold(self.fit_of_request(requests), Fit::and)
    }

    /// The same without its conditions.
    pub fn fit_of_request(&self, requests: &Requests<'_>) -> Fit {
        let understood = if self.is_understood { Fit::Always } else { Fit::Unknown };
        understood
            .and(self.principals.fit(requests.who, self.denies))
            .and(self.actions.fit(&requests.action, str::to_lowercase))
            .and(self.resources.fit(&requests.resource, str::to_owned))
    }
}

impl Choice {
    fn read(statement: &Map<String, Value>, these: &str, all_but: &str) -> Choice {
        let texts = match (statement.get(these), statement.get(all_but)) {
            (Some(value), None) => texts(value).map(Choice::These),
            (None, Some(value)) => texts(value).map(Choice::AllBut),
            _ => None,
        };
        texts.unwrap_or(Choice::Unknown)
    }

    fn fit(&self, extent: &Extent, spell: impl Fn(&str) -> String) -> Fit {
        let any_of = |patterns: &[String]| {
            let fit = |pattern: &String| {
                // Policy variables, such as ${aws:username}
                if pattern.contains("${") { Fit::Unknown } else { extent.fits(&spell(pattern)) }
            };
            patterns.iter().map(fit).fold(Fit::Never, Fit::or)
        };
        match self {
            Choice::These(patterns) => any_of(patterns),
            Choice::AllBut(patterns) => any_of(patterns).not(),
            Choice::Unknown => Fit::Unknown,
        }
    }
}

impl Principals {
    fn read(statement: &Map<String, Value>) -> Principals {
        let (value, is_negated) = match (statement.get("Principal"), statement.get("NotPrincipal")) {
            (Some(value), None) => (value, false),
            (None, Some(value)) => (value, true),
            _ => return Principals::Unknown,
        };
        let by_type = match value {
            Value::String(text) if text == "*" && !is_negated => return Principals::Everyone,
            Value::Object(by_type) => by_type,
            _ => return Principals::Unknown,
        };
        let mut services = Vec::new();
        let mut has_others = false;
        for (kind, names) in by_type {
            let Some(names) = texts(names) else { return Principals::Unknown };
            let has_star = names.iter().any(|name| name.contains('*'));
            match kind.as_str() {
                "AWS" if names.iter().any(|name| name == "*") && !is_negated => return Principals::Everyone,
                "AWS" | "Federated" | "CanonicalUser" if !has_star => has_others |= !names.is_empty(),
                "Service" if !has_star => services.extend(names),
                _ => return Principals::Unknown,
            }
        }
        if is_negated { Principals::AllBut { services } } else { Principals::These { services, has_others } }
    }

    fn fit(&self, who: Who, denies: Option<bool>) -> Fit {
        let is_log_delivery = |services: &[String]| services.iter().any(|service| service == LOG_DELIVERY);
        match (who, self) {
            (_, Principals::Unknown) => Fit::Unknown,
            // That "everyone" lets a service in is not documented; that it keeps one out is.
            (Who::LogDelivery, Principals::Everyone) if denies != Some(true) => Fit::Unknown,
            (_, Principals::Everyone) => Fit::Always,
            (Who::LogDelivery, Principals::These { services, .. }) => Fit::of(is_log_delivery(services)),
            (Who::LogDelivery, Principals::AllBut { services }) if is_log_delivery(services) => Fit::Never,
            (Who::LogDelivery, Principals::AllBut { .. }) => Fit::Unknown,
            (Who::Anyone, Principals::These { services, has_others }) => {
                if services.is_empty() && !has_others { Fit::Never } else { Fit::Sometimes }
            }
            (Who::Anyone, Principals::AllBut { .. }) => Fit::Sometimes,
            (Who::Stranger, Principals::These { .. }) => Fit::Never,
            (Who::Stranger, Principals::AllBut { .. }) => Fit::Always,
        }
    }
}

/// A text, or a list of texts.
fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(values) => values.iter().map(|value| value.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}
