//! Conditions of a statement: for which requests they hold, from what is known of the requests.

use serde_json::Value;

use super::pattern::{Fit, matches};

/// Condition keys of what callers bring along, in lower case. A condition on one of them holds for some callers and
/// not for others; on any other key it might hold for all.
const OF_CALLERS: [&str; 23] = [
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principalisawsservice",
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:principalservicename",
    "aws:principaltype",
    "aws:referer",
    "aws:sourceip",
    "aws:sourcevpc",
    "aws:sourcevpce",
    "aws:useragent",
    "aws:userid",
    "aws:username",
    "aws:viaawsservice",
    "aws:vpcsourceip",
    "s3:authtype",
    "s3:prefix",
    "s3:signatureage",
    "s3:signatureversion",
    "s3:versionid",
    "s3:x-amz-acl",
    "s3:x-amz-storage-class",
];

/// What all requests of a set have in common: condition keys in lower case, and their value.
pub(super) type Context<'a> = &'a [(&'a str, Fact<'a>)];

/// What is known of a condition key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fact<'a> {
    Absent,
    Is(&'a str),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Condition {
    pub operator: String,
    /// In lower case: AWS does not tell upper and lower case apart in keys.
    pub key: String,
    values: Vec<String>,
}

/// The conditions of a statement, all of which must hold; `None` when they are no conditions.
pub(super) fn read(value: Option<&Value>) -> Option<Vec<Condition>> {
    let Some(value) = value else { return Some(Vec::new()) };
    let scalar = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    };
    let mut conditions = Vec::new();
    for (operator, keys) in value.as_object()? {
        for (key, values) in keys.as_object()? {
            let values = match values {
                Value::Array(values) => values.iter().map(scalar).collect::<Option<Vec<_>>>()?,
                one => vec![scalar(one)?],
            };
            conditions.push(Condition { operator: operator.clone(), key: key.to_lowercase(), values });
        }
    }
    Some(conditions)
}

impl Condition {
    /// For which of the requests it holds.
    pub fn fit(&self, context: Context<'_>) -> Fit {
        // Policy variables, such as ${aws:username}, stand for something else in every request.
        if self.values.is_empty() || self.values.iter().any(|value| value.contains("${")) {
            return Fit::Unknown;
        }
        let fact = context.iter().find(|(key, _)| *key == self.key).map(|(_, fact)| *fact);
        let (operator, if_exists) = match self.operator.strip_suffix("IfExists") {
            Some(operator) => (operator, true),
            None => (self.operator.as_str(), false),
        };
        if operator == "Null" {
            let wants_absent = match self.values.as_slice() {
                [value] if value.eq_ignore_ascii_case("true") => true,
                [value] if value.eq_ignore_ascii_case("false") => false,
                _ => return Fit::Unknown,
            };
            return match fact {
                Some(Fact::Absent) => Fit::of(wants_absent),
                Some(Fact::Is(_)) => Fit::of(!wants_absent),
                None => self.fit_of_unknown(),
            };
        }
        let Some((compare, is_negated)) = comparison(operator) else { return Fit::Unknown };
        match fact {
            // What is not there equals nothing.
            Some(Fact::Absent) => Fit::of(if_exists || is_negated),
            Some(Fact::Is(actual)) => {
                let results = self.values.iter().map(|value| compare(value, actual));
                let any = results.map(|is| is.map_or(Fit::Unknown, Fit::of)).fold(Fit::Never, Fit::or);
                if is_negated { any.not() } else { any }
            }
            None => self.fit_of_unknown(),
        }
    }

    /// On a key of which the requests say nothing.
    fn fit_of_unknown(&self) -> Fit {
        let is_of_callers =
            OF_CALLERS.contains(&self.key.as_str()) || self.key.starts_with("aws:principaltag/");
        if is_of_callers && !self.values.iter().any(|value| could_be_all(value)) {
            Fit::Sometimes
        } else {
            Fit::Unknown
        }
    }
}

/// Whether a value could be meant to take in every caller: a star in front, or a very large network.
fn could_be_all(value: &str) -> bool {
    let bits = value.rsplit_once('/').and_then(|(_, bits)| bits.parse::<u8>().ok());
    value.is_empty() || value.starts_with('*') || bits.is_some_and(|bits| bits < 8)
}

/// `None` when the two cannot be compared.
type Compare = fn(&str, &str) -> Option<bool>;

/// How an operator compares the value of a policy with that of a request, and whether it wants them to differ.
fn comparison(operator: &str) -> Option<(Compare, bool)> {
    let equal: Compare = |value, actual| Some(value == actual);
    let equal_but_case: Compare = |value, actual| Some(value.eq_ignore_ascii_case(actual));
    let like: Compare = |value, actual| Some(matches(value, actual));
    let same_number: Compare = |value, actual| numbers(value, actual).map(|(value, actual)| actual == value);
    Some(match operator {
        "StringEquals" => (equal, false),
        "StringNotEquals" => (equal, true),
        "StringEqualsIgnoreCase" | "Bool" => (equal_but_case, false),
        "StringNotEqualsIgnoreCase" => (equal_but_case, true),
        "StringLike" => (like, false),
        "StringNotLike" => (like, true),
        "ArnEquals" | "ArnLike" => (arn_like, false),
        "ArnNotEquals" | "ArnNotLike" => (arn_like, true),
        // No set of requests asked about fixes an address.
        "IpAddress" => (|_, _| None, false),
        "NotIpAddress" => (|_, _| None, true),
        "NumericEquals" => (same_number, false),
        "NumericNotEquals" => (same_number, true),
        "NumericLessThan" => (|value, actual| numbers(value, actual).map(|(v, a)| a < v), false),
        "NumericLessThanEquals" => (|value, actual| numbers(value, actual).map(|(v, a)| a <= v), false),
        "NumericGreaterThan" => (|value, actual| numbers(value, actual).map(|(v, a)| a > v), false),
        "NumericGreaterThanEquals" => (|value, actual| numbers(value, actual).map(|(v, a)| a >= v), false),
        _ => return None,
    })
}

/// ARNs are compared part by part: a star does not reach over a colon, but in the last part.
fn arn_like(value: &str, actual: &str) -> Option<bool> {
    let parts = |arn: &str| arn.splitn(6, ':').map(str::to_owned).collect::<Vec<_>>();
    let (values, actuals) = (parts(value), parts(actual));
    if values.len() != 6 || actuals.len() != 6 {
        return None;
    }
    Some(values.iter().zip(&actuals).all(|(value, actual)| matches(value, actual)))
}

fn numbers(value: &str, actual: &str) -> Option<(f64, f64)> {
    Some((value.trim().parse().ok()?, actual.parse().ok()?))
}
