//! Parameters of queries: declared types, values from the command line, values for `$name` placeholders.
//!
//! A value is parsed by its declared type and bound as a typed scalar; it never becomes part of the text of a
//! query. Nothing here knows what a query does with it.
//!
//! How the types are bound: `int` Int64, `float` Float64, `text` Utf8, `bool` Boolean, `timestamp` Timestamp
//! in microseconds UTC (the type of the `time` column, so that a comparison needs no cast and files can be
//! skipped), `duration` an interval of nanoseconds only (so that it can be added to times and compared with
//! differences of times: intervals with days compare day by day), lists a list of Utf8 for `array_has` and
//! `ip_in_cidr`.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow::datatypes::{DataType, IntervalMonthDayNano};
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use datafusion::common::ScalarValue;
use serde::Deserialize;

use super::functions::parse_cidr;
use super::saved::SavedQuery;
use super::suggest;
use crate::error::{Error, Result};

/// The declared type of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParamType {
    /// A 64-bit integer.
    Int,
    /// A finite number.
    Float,
    /// Any text.
    Text,
    /// `true` or `false`.
    Bool,
    /// A time: RFC 3339, a date, `now`, or relative such as `-7d`.
    Timestamp,
    /// A length of time such as `90s` or `1h30m`.
    Duration,
    /// Texts, comma-separated or as a JSON array.
    TextList,
    /// Networks, comma-separated or as a JSON array.
    CidrList,
}

impl ParamType {
    /// The name in front matter.
    pub fn name(self) -> &'static str {
        match self {
            ParamType::Int => "int",
            ParamType::Float => "float",
            ParamType::Text => "text",
            ParamType::Bool => "bool",
            ParamType::Timestamp => "timestamp",
            ParamType::Duration => "duration",
            ParamType::TextList => "text_list",
            ParamType::CidrList => "cidr_list",
        }
    }

    /// A value to show in messages.
    pub fn example(self) -> &'static str {
        match self {
            ParamType::Int => "100",
            ParamType::Float => "0.95",
            ParamType::Text => "logs/",
            ParamType::Bool => "true",
            ParamType::Timestamp => "2026-03-01, 2026-03-01T12:00:00Z or -7d",
            ParamType::Duration => "90s, 15m or 1h30m",
            ParamType::TextList => r#"a,b or ["a","b"]"#,
            ParamType::CidrList => "10.0.0.0/8,192.0.2.7",
        }
    }

    /// The value that `text` stands for, or what is wrong with it. `now` is what relative times count from.
    fn parse(self, text: &str, now: DateTime<Utc>) -> Result<ScalarValue, String> {
        let wrong = || format!("`{text}` is no {}", self.name());
        Ok(match self {
            ParamType::Int => ScalarValue::Int64(Some(text.parse().map_err(|_| wrong())?)),
            ParamType::Float => {
                let value: f64 = text.parse().map_err(|_| wrong())?;
                if !value.is_finite() {
                    return Err(wrong());
                }
                ScalarValue::Float64(Some(value))
            }
            ParamType::Text => ScalarValue::Utf8(Some(text.to_owned())),
            ParamType::Bool => ScalarValue::Boolean(Some(text.parse().map_err(|_| wrong())?)),
            ParamType::Timestamp => timestamp(Some(parse_timestamp(text, now).ok_or_else(wrong)?)),
            ParamType::Duration => interval(Some(parse_duration(text).ok_or_else(wrong)?)),
            ParamType::TextList => text_list(parse_list(text).ok_or_else(wrong)?),
            ParamType::CidrList => {
                let cidr = |text: String| match parse_cidr(&text) {
                    Some(net) => Ok(net.to_string()),
                    None => Err(format!("`{text}` is no network")),
                };
                let texts = parse_list(text).ok_or_else(wrong)?;
                text_list(texts.into_iter().map(cidr).collect::<Result<_, _>>()?)
            }
        })
    }

    /// Null of this type.
    fn null(self) -> ScalarValue {
        match self {
            ParamType::Int => ScalarValue::Int64(None),
            ParamType::Float => ScalarValue::Float64(None),
            ParamType::Text => ScalarValue::Utf8(None),
            ParamType::Bool => ScalarValue::Boolean(None),
            ParamType::Timestamp => timestamp(None),
            ParamType::Duration => interval(None),
            ParamType::TextList | ParamType::CidrList => ScalarValue::new_null_list(DataType::Utf8, true, 1),
        }
    }
}

/// A parameter as front matter declares it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParamSpec {
    /// The type of its values.
    #[serde(rename = "type")]
    pub param_type: ParamType,
    /// The value when none is given. Without one, and unless it is required, the parameter is null.
    #[serde(default)]
    pub default: Option<toml::Value>,
    /// What it is for, in one line.
    pub help: String,
    /// Whether a value must be given.
    #[serde(default)]
    pub required: bool,
    /// The values that are allowed, when there are only a few.
    #[serde(default)]
    pub choices: Vec<String>,
}

impl ParamSpec {
    /// The default as it would be typed; `None` without one.
    pub fn default_text(&self) -> Option<String> {
        self.default.as_ref().map(value_text)
    }

    /// What is wrong with the declaration itself, if anything.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.required && self.default.is_some() {
            return Err("is required and has a default".to_owned());
        }
        if self.help.trim().is_empty() {
            return Err("has no help".to_owned());
        }
        if !self.choices.is_empty() && self.param_type != ParamType::Text {
            return Err("has choices but is no text".to_owned());
        }
        if let Some(default) = &self.default {
            let fits = match self.param_type {
                ParamType::Int => default.is_integer(),
                ParamType::Float => default.is_float() || default.is_integer(),
                ParamType::Bool => default.is_bool(),
                ParamType::Text | ParamType::Duration => default.is_str(),
                ParamType::Timestamp => default.is_str() || default.is_datetime(),
                ParamType::TextList | ParamType::CidrList => {
                    default.as_array().is_some_and(|values| values.iter().all(toml::Value::is_str))
                }
            };
            if !fits {
                return Err(format!("has a default that is no {}", self.param_type.name()));
            }
        }
        if let Some(text) = self.default_text() {
            self.value(&text, DateTime::<Utc>::UNIX_EPOCH)
                .map_err(|wrong| format!("has a default: {wrong}"))?;
        }
        Ok(())
    }

    /// The value that `text` stands for.
    fn value(&self, text: &str, now: DateTime<Utc>) -> Result<ScalarValue, String> {
        if !self.choices.is_empty() && !self.choices.iter().any(|choice| choice == text) {
            return Err(format!("`{text}` is none of {}", self.choices.join(", ")));
        }
        self.param_type.parse(text, now)
    }
}

/// Values for the placeholders of one query.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Params {
    values: BTreeMap<String, ScalarValue>,
}

impl Params {
    /// No values: for queries without placeholders.
    pub fn none() -> Self {
        Self::default()
    }

    /// The values of a saved query: what is `given` by name, the defaults for the rest.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Usage`](crate::error::ErrorKind::Usage) for a name that the query does not have (with
    /// those it has), a value of the wrong type (with an example), a name given twice, a required value that
    /// is missing.
    pub fn bind(query: &SavedQuery, given: &[(String, String)]) -> Result<Self> {
        Self::bind_at(query, given, Utc::now())
    }

    /// [`Params::bind`] with relative times counted from `now`.
    pub fn bind_at(query: &SavedQuery, given: &[(String, String)], now: DateTime<Utc>) -> Result<Self> {
        for (name, _) in given {
            if !query.params.contains_key(name) {
                return Err(unknown_param(query, name));
            }
        }
        let given = by_name(given)?;
        let mut values = BTreeMap::new();
        for (name, spec) in &query.params {
            let text =
                given.get(name.as_str()).map(|text| (*text).to_owned()).or_else(|| spec.default_text());
            let value = match text {
                Some(text) => spec.value(&text, now).map_err(|wrong| {
                    Error::usage(format!("parameter {name} of {}: {wrong}", query.id))
                        .with_hint(format!("write {name}={}", spec.param_type.example()))
                })?,
                None if spec.required => {
                    return Err(Error::usage(format!(
                        "{} needs a value for {name}: {}",
                        query.id, spec.help
                    ))
                    .with_hint(format!("give it with -p {name}={}", spec.param_type.example())));
                }
                None => spec.param_type.null(),
            };
            values.insert(name.clone(), value);
        }
        Ok(Self { values })
    }

    /// The values for a query that somebody typed, which declares nothing: an integer, a number, `true` and
    /// `false` by their looks, all else text. Quotes around a value make it text (`'111122223333'`), and so
    /// does a leading zero.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Usage`](crate::error::ErrorKind::Usage) for a name given twice.
    pub fn free(given: &[(String, String)]) -> Result<Self> {
        let values =
            by_name(given)?.into_iter().map(|(name, text)| (name.to_owned(), by_looks(text))).collect();
        Ok(Self { values })
    }

    /// Splits `name=value` as it is typed after `-p`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Usage`](crate::error::ErrorKind::Usage) when there is no `=` or no name before it.
    pub fn parse_assignment(text: &str) -> Result<(String, String)> {
        match text.split_once('=') {
            Some((name, value)) if is_name(name) => Ok((name.to_owned(), value.to_owned())),
            _ => Err(Error::usage(format!("`{text}` is no parameter")).with_hint("write -p name=value")),
        }
    }

    /// The value of a parameter.
    pub fn get(&self, name: &str) -> Option<&ScalarValue> {
        self.values.get(name)
    }

    /// Names and values, as DataFusion takes them.
    pub(super) fn to_values(&self) -> Vec<(String, ScalarValue)> {
        self.values.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// Refuses a query that has other placeholders (`$name`) than there are values.
    pub(super) fn check(&self, placeholders: &HashSet<String>) -> Result<()> {
        let mut names: Vec<&str> = placeholders.iter().map(|id| id.trim_start_matches('$')).collect();
        names.sort_unstable();
        if let Some(missing) = names.iter().find(|name| !self.values.contains_key(**name)) {
            return Err(Error::usage(format!("the query needs a value for ${missing}"))
                .with_hint(format!("give it with -p {missing}=value")));
        }
        if let Some(unused) = self.values.keys().find(|name| !names.contains(&name.as_str())) {
            let has =
                if names.is_empty() { "no parameters".to_owned() } else { format!("${}", names.join(", $")) };
            return Err(Error::usage(format!("the query has no ${unused}; it has {has}")));
        }
        Ok(())
    }
}

/// Whether a placeholder can have this name.
pub(super) fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// What is given, by name; an error for a name that comes twice.
fn by_name(given: &[(String, String)]) -> Result<BTreeMap<&str, &str>> {
    let mut values = BTreeMap::new();
    for (name, text) in given {
        if values.insert(name.as_str(), text.as_str()).is_some() {
            return Err(Error::usage(format!("parameter {name} is given twice")));
        }
    }
    Ok(values)
}

fn unknown_param(query: &SavedQuery, name: &str) -> Error {
    let error = Error::usage(format!("{} has no parameter {name}", query.id));
    let known: Vec<&str> = query.params.keys().map(String::as_str).collect();
    if known.is_empty() {
        return error.with_hint("it has none");
    }
    error.with_hint(suggest::hint(name, &known, "it has"))
}

fn by_looks(text: &str) -> ScalarValue {
    let quoted = text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
    if let Some(inner) = quoted {
        return ScalarValue::Utf8(Some(inner.to_owned()));
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    let starts_like_number = digits.starts_with(|c: char| c.is_ascii_digit());
    let has_leading_zero = digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.");
    if starts_like_number && !has_leading_zero {
        if let Ok(value) = text.parse() {
            return ScalarValue::Int64(Some(value));
        }
        if let Ok(value) = text.parse::<f64>()
            && value.is_finite()
        {
            return ScalarValue::Float64(Some(value));
        }
    }
    match text.parse() {
        Ok(value) => ScalarValue::Boolean(Some(value)),
        Err(_) => ScalarValue::Utf8(Some(text.to_owned())),
    }
}

fn timestamp(micros: Option<i64>) -> ScalarValue {
    ScalarValue::TimestampMicrosecond(micros, Some(Arc::from("UTC")))
}

fn interval(nanos: Option<i64>) -> ScalarValue {
    ScalarValue::IntervalMonthDayNano(nanos.map(|nanos| IntervalMonthDayNano::new(0, 0, nanos)))
}

fn text_list(texts: Vec<String>) -> ScalarValue {
    let texts: Vec<ScalarValue> = texts.into_iter().map(|text| ScalarValue::Utf8(Some(text))).collect();
    ScalarValue::List(ScalarValue::new_list_nullable(&texts, &DataType::Utf8))
}

/// A value of front matter or settings as it would be typed after `-p name=`.
pub fn value_text(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Array(values) => {
            let texts: Vec<&str> = values.iter().filter_map(toml::Value::as_str).collect();
            serde_json::Value::from(texts).to_string()
        }
        other => other.to_string(),
    }
}

/// Microseconds since the epoch of a time: RFC 3339, a date (its first instant, UTC), `now`, or `-` and a
/// duration.
pub fn parse_timestamp(text: &str, now: DateTime<Utc>) -> Option<i64> {
    if text == "now" {
        return Some(now.timestamp_micros());
    }
    if let Some(back) = text.strip_prefix('-') {
        return now.timestamp_micros().checked_sub(parse_duration(back)? / 1_000);
    }
    if let Ok(date) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return Some(date.and_time(NaiveTime::MIN).and_utc().timestamp_micros());
    }
    Some(DateTime::parse_from_rfc3339(text).ok()?.timestamp_micros())
}

/// Nanoseconds of a duration: whole numbers with a unit of `w d h m s ms us ns`, such as `1h30m`.
pub fn parse_duration(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(digits);
        let unit = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let nanos: i64 = match unit {
            "w" => 7 * 86_400_000_000_000,
            "d" => 86_400_000_000_000,
            "h" => 3_600_000_000_000,
            "m" => 60_000_000_000,
            "s" => 1_000_000_000,
            "ms" => 1_000_000,
            "us" => 1_000,
            "ns" => 1,
            _ => return None,
        };
        total = total.checked_add(number.parse::<i64>().ok()?.checked_mul(nanos)?)?;
        rest = after;
    }
    (!text.is_empty()).then_some(total)
}

/// The texts of a list: a JSON array, or separated by commas. Empty text is the empty list.
fn parse_list(text: &str) -> Option<Vec<String>> {
    if text.trim_start().starts_with('[') {
        return serde_json::from_str(text).ok();
    }
    if text.is_empty() {
        return Some(Vec::new());
    }
    Some(text.split(',').map(|item| item.trim().to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    const QUERY: &str = r#"--! id = "sample"
--! kind = "report"
--! title = "A sample"
--! description = "For tests"
--! [params.since]
--! type = "timestamp"
--! default = "-7d"
--! help = "From"
--! [params.limit]
--! type = "int"
--! default = 10
--! help = "Rows"
--! [params.key]
--! type = "text"
--! required = true
--! help = "The key"
--! [params.window]
--! type = "duration"
--! default = "1h"
--! help = "Window"
--! [params.nets]
--! type = "cidr_list"
--! default = ["10.0.0.0/8"]
--! help = "Networks"
--! [params.share]
--! type = "float"
--! help = "Share"
--! [params.by]
--! type = "text"
--! default = "ip"
--! choices = ["ip", "agent"]
--! help = "What to group by"
SELECT $since, $limit, $key, $window, $nets, $share, $by
"#;

    fn query() -> SavedQuery {
        SavedQuery::parse("sample.sql", QUERY).unwrap()
    }

    fn now() -> DateTime<Utc> {
        DateTime::parse_from_rfc3339("2026-03-08T12:00:00Z").unwrap().to_utc()
    }

    fn given(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
    }

    fn bind(pairs: &[(&str, &str)]) -> Result<Params> {
        Params::bind_at(&query(), &given(pairs), now())
    }

    #[test]
    fn defaults_and_given_values_are_typed() {
        let params =
            bind(&[("key", "a'; DROP TABLE x"), ("limit", "5"), ("nets", "192.0.2.7,2001:db8::/32")])
                .unwrap();
        let week_ago = DateTime::parse_from_rfc3339("2026-03-01T12:00:00Z").unwrap().timestamp_micros();
        assert_eq!(params.get("since"), Some(&timestamp(Some(week_ago))));
        assert_eq!(params.get("limit"), Some(&ScalarValue::Int64(Some(5))));
        assert_eq!(params.get("key"), Some(&ScalarValue::from("a'; DROP TABLE x")));
        assert_eq!(params.get("window"), Some(&interval(Some(3_600_000_000_000))));
        let nets = text_list(vec!["192.0.2.7/32".to_owned(), "2001:db8::/32".to_owned()]);
        assert_eq!(params.get("nets"), Some(&nets));
        assert_eq!(params.get("share"), Some(&ScalarValue::Float64(None)));
        let placeholders = ["by", "key", "limit", "nets", "share", "since", "window"];
        assert!(params.check(&placeholders.iter().map(|p| format!("${p}")).collect()).is_ok());
    }

    #[test]
    fn errors_say_what_to_write() {
        let report = |pairs: &[(&str, &str)]| {
            let error = bind(pairs).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage);
            error.report()
        };
        assert_eq!(
            report(&[("key", "k"), ("limt", "5")]),
            "sample has no parameter limt; did you mean limit? it has: by, key, limit, nets, share, since, window"
        );
        assert_eq!(
            report(&[("key", "k"), ("limit", "five")]),
            "parameter limit of sample: `five` is no int; write limit=100"
        );
        assert_eq!(
            report(&[("key", "k"), ("nets", "10.0.0.0/8,ten")]),
            "parameter nets of sample: `ten` is no network; write nets=10.0.0.0/8,192.0.2.7"
        );
        assert!(report(&[("key", "k"), ("by", "name")]).contains("`name` is none of ip, agent"));
        assert!(report(&[]).starts_with("sample needs a value for key: The key; give it with -p key="));
        assert_eq!(report(&[("key", "a"), ("key", "b")]), "parameter key is given twice");
    }

    #[test]
    fn times_and_durations() {
        let at = |text: &str| parse_timestamp(text, now());
        let rfc = |text: &str| Some(DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros());
        assert_eq!(at("now"), rfc("2026-03-08T12:00:00Z"));
        assert_eq!(at("-1d12h"), rfc("2026-03-07T00:00:00Z"));
        assert_eq!(at("2026-03-01"), rfc("2026-03-01T00:00:00Z"));
        assert_eq!(at("2026-03-01T02:00:00.5+02:00"), rfc("2026-03-01T00:00:00.5Z"));
        assert_eq!(at("1970-01-01"), Some(0));
        assert_eq!(at("9999-12-31"), rfc("9999-12-31T00:00:00Z"));
        for wrong in ["", "-", "7d", "2026-13-01", "2026-03-01T00:00:00", "yesterday", "-99999999999999999w"]
        {
            assert_eq!(at(wrong), None, "{wrong}");
        }
        assert_eq!(parse_duration("1h30m"), Some(5_400_000_000_000));
        assert_eq!(parse_duration("250ms"), Some(250_000_000));
        assert_eq!(parse_duration("0s"), Some(0));
        for wrong in ["", "90", "h", "1x", "-1h", "1.5h", "1 h", "99999999w"] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn free_values_go_by_their_looks() {
        let cases = [
            ("5", ScalarValue::Int64(Some(5))),
            ("-5", ScalarValue::Int64(Some(-5))),
            ("0", ScalarValue::Int64(Some(0))),
            ("0.5", ScalarValue::Float64(Some(0.5))),
            ("true", ScalarValue::Boolean(Some(true))),
            ("'111122223333'", ScalarValue::from("111122223333")),
            ("007", ScalarValue::from("007")),
            ("nan", ScalarValue::from("nan")),
            ("1.2.3.4", ScalarValue::from("1.2.3.4")),
            ("", ScalarValue::from("")),
        ];
        for (text, value) in cases {
            assert_eq!(by_looks(text), value, "{text}");
        }
        let free = Params::free(&given(&[("a", "1"), ("b", "x")])).unwrap();
        let check = |ids: &[&str]| free.check(&ids.iter().map(|id| (*id).to_owned()).collect());
        assert!(check(&["$a", "$b"]).is_ok());
        assert_eq!(check(&["$a"]).unwrap_err().report(), "the query has no $b; it has $a");
        let missing = check(&["$a", "$b", "$c"]).unwrap_err().report();
        assert_eq!(missing, "the query needs a value for $c; give it with -p c=value");
    }

    #[test]
    fn assignments() {
        let pair = |text| Params::parse_assignment(text).ok();
        assert_eq!(pair("a=b=c"), Some(("a".to_owned(), "b=c".to_owned())));
        assert_eq!(pair("a="), Some(("a".to_owned(), String::new())));
        for wrong in ["a", "=b", "a b=c", "1=2", "$a=b"] {
            assert_eq!(pair(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn declarations_are_checked() {
        let check =
            |text: &str| toml::from_str::<ParamSpec>(text).map_err(|e| e.message().to_owned())?.check();
        assert_eq!(check("type = \"int\"\ndefault = 5\nhelp = \"x\""), Ok(()));
        assert_eq!(check("type = \"timestamp\"\ndefault = 2026-03-01\nhelp = \"x\""), Ok(()));
        assert_eq!(check("type = \"float\"\ndefault = 1\nhelp = \"x\""), Ok(()));
        for wrong in [
            "type = \"int\"\ndefault = \"5\"\nhelp = \"x\"",
            "type = \"duration\"\ndefault = \"5\"\nhelp = \"x\"",
            "type = \"cidr_list\"\ndefault = [\"ten\"]\nhelp = \"x\"",
            "type = \"int\"\ndefault = 5\nrequired = true\nhelp = \"x\"",
            "type = \"text\"\ndefault = \"c\"\nchoices = [\"a\", \"b\"]\nhelp = \"x\"",
            "type = \"integer\"\nhelp = \"x\"",
            "type = \"int\"\nhelp = \"x\"\nunit = \"ms\"",
            "type = \"int\"\nhelp = \" \"",
            "type = \"int\"",
        ] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
    }
}
