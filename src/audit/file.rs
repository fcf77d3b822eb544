//! The configuration of buckets from a file, for people who may not give credentials to s3trail.
//!
//! The file is one JSON object. A key without `@` is a bucket, and holds the outputs of AWS CLI calls about it, each
//! under the call's name and verbatim:
//!
//! ```json
//! {
//!   "@audited-at": "2026-03-01T12:00:00Z",
//!   "@account": {
//!     "get-caller-identity": {"Account": "111122223333"},
//!     "list-buckets": {"Buckets": [{"Name": "amzn-s3-demo-web"}]},
//!     "get-public-access-block": {"Error": {"Code": "AccessDenied"}},
//!     "object-lambda-access-points": {
//!       "demo-olap": {"get-access-point-configuration-for-object-lambda": {}}
//!     }
//!   },
//!   "amzn-s3-demo-web": {
//!     "get-bucket-logging": {"LoggingEnabled": {"TargetBucket": "amzn-s3-demo-logs", "TargetPrefix": "web/"}},
//!     "get-bucket-policy": {"Error": {"Code": "NoSuchBucketPolicy"}},
//!     "access-points": {"demo-ap": {"get-access-point": {}, "get-access-point-policy": {}}}
//!   },
//!   "@regions": {
//!     "eu-west-1": {"object-lambda-access-points": {"Error": {"Code": "AccessDenied"}}}
//!   }
//! }
//! ```
//!
//! A call that failed has the error's code in place of its output; a call that is missing, or null, was not made. Both
//! leave unknown what it would have told. So do lists of access points: an empty one says that there are none. Those of
//! Object Lambda stand under their Region, or under the account where it is not known. With `list-buckets` s3trail
//! knows which buckets are the account's own, and whether the file is about all of them. `s3trail audit --print-script`
//! prints a script that writes such a file.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::answer::{
    AccessPointAnswers, AccountAnswers, Answers, Bucket, BucketAnswers, LIST_ACCESS_POINTS,
    LIST_OBJECT_LAMBDA, ObjectLambdaAnswers, ObjectLambdaPoint, not_listed,
};
use super::config::Unanswered;
use crate::error::{Error, ErrorKind, Result};

/// A shell script that writes such a file, with the AWS CLI and nothing else.
pub const SCRIPT: &str = include_str!("config-file.sh");

const AUDITED_AT: &str = "@audited-at";
const ACCOUNT: &str = "@account";
const REGIONS: &str = "@regions";
const ACCESS_POINTS: &str = "access-points";
const OBJECT_LAMBDA: &str = "object-lambda-access-points";

/// Reads a file as described above: the answers, and when they were given.
///
/// # Errors
///
/// [`ErrorKind::Io`] and [`ErrorKind::NotFound`] when the file cannot be read, [`ErrorKind::Input`] naming bucket and
/// key when it is not as it must be.
pub fn read(path: &Path) -> Result<(Answers, DateTime<Utc>)> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::io("read configuration file", path, e))?;
    parse(&text).map_err(|wrong| wrong.in_file(path))
}

/// What is wrong, and where.
#[derive(Debug)]
struct Wrong {
    message: String,
    place: Vec<(&'static str, String)>,
    hint: Option<String>,
}

impl Wrong {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), place: Vec::new(), hint: None }
    }

    fn at(mut self, what: &'static str, name: &str) -> Self {
        self.place.insert(0, (what, name.to_owned()));
        self
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    fn in_file(self, path: &Path) -> Error {
        let error =
            Error::new(ErrorKind::Input, self.message).with_context("file", path.display().to_string());
        let error = self.place.into_iter().fold(error, |error, (what, name)| error.with_context(what, name));
        self.hint.into_iter().fold(error, Error::with_hint)
    }
}

fn parse(text: &str) -> std::result::Result<(Answers, DateTime<Utc>), Wrong> {
    let value = serde_json::from_str(text).map_err(|e| Wrong::new(format!("this is no JSON: {e}")))?;
    let Value::Object(members) = value else {
        return Err(Wrong::new("the configuration must be an object by name of bucket"));
    };
    let mut answers = Answers::default();
    let mut audited_at = None;
    for (key, value) in members {
        match key.as_str() {
            AUDITED_AT => audited_at = Some(time(&value).map_err(|wrong| wrong.at("key", AUDITED_AT))?),
            ACCOUNT => account(value, &mut answers).map_err(|wrong| wrong.at("bucket", ACCOUNT))?,
            REGIONS => regions(value, &mut answers).map_err(|wrong| wrong.at("key", REGIONS))?,
            other if other.starts_with('@') => {
                return Err(unknown(other, &[AUDITED_AT, ACCOUNT, REGIONS]).at("key", other));
            }
            name => {
                let bucket = bucket(name, value, &mut answers.unanswered);
                let bucket = bucket.map_err(|wrong| wrong.at("bucket", name))?;
                answers.buckets.insert(key, bucket);
            }
        }
    }
    let audited_at = audited_at.ok_or_else(|| {
        Wrong::new(format!("the file does not say when the configuration was read: {AUDITED_AT} is missing"))
            .hint(format!("add \"{AUDITED_AT}\": \"2026-03-01T12:00:00Z\", with the time of the calls"))
    })?;
    let listed = answers.account.buckets.given();
    answers.is_complete = listed
        .is_some_and(|list| list.buckets.iter().all(|bucket| answers.buckets.contains_key(&bucket.name)));
    Ok((answers, audited_at))
}

fn time(value: &Value) -> std::result::Result<DateTime<Utc>, Wrong> {
    let time = value.as_str().and_then(|text| DateTime::parse_from_rfc3339(text).ok());
    let time =
        time.ok_or_else(|| Wrong::new("this is no time").hint("write it as \"2026-03-01T12:00:00Z\""))?;
    Ok(time.to_utc())
}

fn account(value: Value, answers: &mut Answers) -> std::result::Result<(), Wrong> {
    for (key, value) in object(value)? {
        if key == OBJECT_LAMBDA {
            object_lambda(None, value, answers)?;
        } else {
            let account = &mut answers.account;
            take(&key, value, AccountAnswers::APIS, &[OBJECT_LAMBDA], |key, value| account.take(key, value))?;
        }
    }
    Ok(())
}

fn regions(value: Value, answers: &mut Answers) -> std::result::Result<(), Wrong> {
    for (region, value) in object(value)? {
        for (key, value) in object(value).map_err(|wrong| wrong.at("region", &region))? {
            let read = match key.as_str() {
                OBJECT_LAMBDA => object_lambda(Some(region.as_str()), value, answers),
                other => Err(unknown(other, &[OBJECT_LAMBDA]).at("key", other)),
            };
            read.map_err(|wrong| wrong.at("region", &region))?;
            answers.regions.insert(region.clone());
        }
    }
    Ok(())
}

/// The Object Lambda access points of a Region, or of one that is not named.
fn object_lambda(
    region: Option<&str>,
    value: Value,
    answers: &mut Answers,
) -> std::result::Result<(), Wrong> {
    let read = points(value, ObjectLambdaAnswers::APIS, ObjectLambdaAnswers::take);
    match read.map_err(|wrong| wrong.at("key", OBJECT_LAMBDA))? {
        Listed::Points(points) => {
            let region = region.map(str::to_owned);
            let point = |(name, answers)| ObjectLambdaPoint { name, region: region.clone(), answers };
            answers.object_lambda_access_points.extend(points.into_iter().map(point));
        }
        Listed::Not(code) => {
            let name = region.unwrap_or("account");
            answers.unanswered.push(not_listed(name, LIST_OBJECT_LAMBDA, &code));
        }
    }
    Ok(())
}

/// The answers about a bucket; `unanswered` gets the list of its access points if it could not be read.
fn bucket(name: &str, value: Value, unanswered: &mut Vec<Unanswered>) -> std::result::Result<Bucket, Wrong> {
    let mut bucket = Bucket::default();
    for (key, value) in object(value)? {
        if key == ACCESS_POINTS {
            let points = points(value, AccessPointAnswers::APIS, AccessPointAnswers::take);
            match points.map_err(|wrong| wrong.at("key", ACCESS_POINTS))? {
                Listed::Points(points) => bucket.access_points = Some(points),
                Listed::Not(code) => unanswered.push(not_listed(name, LIST_ACCESS_POINTS, &code)),
            }
        } else {
            let answers = &mut bucket.answers;
            take(&key, value, BucketAnswers::APIS, &[ACCESS_POINTS], |key, value| answers.take(key, value))?;
        }
    }
    Ok(bucket)
}

/// Access points by name, or the error code of the list.
enum Listed<A> {
    Points(BTreeMap<String, A>),
    Not(String),
}

/// Answers about access points. No access point can have the name `Error`.
fn points<A: Default>(
    value: Value,
    apis: &[&str],
    take_by: fn(&mut A, &str, Value) -> std::result::Result<bool, String>,
) -> std::result::Result<Listed<A>, Wrong> {
    if let Some(error) = value.get("Error") {
        let code = error.get("Code").and_then(Value::as_str).filter(|code| !code.is_empty());
        let code = code.ok_or_else(|| Wrong::new("has an Error without Code"))?;
        return Ok(Listed::Not(code.to_owned()));
    }
    let mut points = BTreeMap::new();
    for (name, value) in object(value)? {
        let mut answers = A::default();
        let outputs = object(value).map_err(|wrong| wrong.at("access point", &name))?;
        for (key, value) in outputs {
            take(&key, value, apis, &[], |key, value| take_by(&mut answers, key, value))
                .map_err(|wrong| wrong.at("access point", &name))?;
        }
        points.insert(name, answers);
    }
    Ok(Listed::Points(points))
}

/// Gives an output to `take_by`, which knows the calls `apis`.
fn take(
    key: &str,
    value: Value,
    apis: &[&str],
    others: &[&str],
    take_by: impl FnOnce(&str, Value) -> std::result::Result<bool, String>,
) -> std::result::Result<(), Wrong> {
    match take_by(key, value) {
        Ok(true) => Ok(()),
        Ok(false) => Err(unknown(key, &[apis, others].concat()).at("key", key)),
        Err(message) => Err(Wrong::new(message).at("key", key)),
    }
}

fn object(value: Value) -> std::result::Result<Map<String, Value>, Wrong> {
    match value {
        Value::Object(members) => Ok(members),
        _ => Err(Wrong::new("must be an object of outputs by name of the call")),
    }
}

/// An unknown key, with those it could be a slip for.
fn unknown(key: &str, known: &[&str]) -> Wrong {
    let distance = |name: &str| strsim::damerau_levenshtein(key, name);
    let mut near: Vec<&str> = known
        .iter()
        .copied()
        .filter(|name| distance(name) <= key.chars().count() / 3 || (key.len() > 3 && name.contains(key)))
        .collect();
    near.sort_by_key(|name| distance(name));
    near.truncate(3);
    let wrong = Wrong::new("this key is not known");
    if near.is_empty() {
        wrong.hint(format!("there is: {}", known.join(", ")))
    } else {
        wrong.hint(format!("did you mean {}?", near.join(" or ")))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Snapshot;
    use super::*;

    fn wrong(text: &str) -> String {
        parse(text).unwrap_err().in_file(Path::new("config.json")).report()
    }

    #[test]
    fn a_file_as_the_documentation_shows_it() {
        // The example of this module's documentation.
        let text: String = include_str!("file.rs")
            .lines()
            .skip_while(|line| *line != "//! ```json")
            .skip(1)
            .take_while(|line| *line != "//! ```")
            .map(|line| line.trim_start_matches("//!"))
            .collect();
        let (answers, audited_at) = parse(&text).unwrap();
        assert_eq!(audited_at.to_rfc3339(), "2026-03-01T12:00:00+00:00");
        assert!(answers.is_complete);
        assert_eq!(answers.object_lambda_access_points.len(), 1);
        let snapshot = Snapshot::of(&answers, audited_at);
        let web = snapshot.rows.iter().find(|row| row.name == "amzn-s3-demo-web").unwrap();
        assert_eq!(web.logging_target_bucket.as_deref(), Some("amzn-s3-demo-logs"));
        assert_eq!((web.is_own, web.access_points, web.policy_known), (Some(true), Some(1), Some(true)));
        assert_eq!(web.versioning, None, "the file does not say");
        assert_eq!(snapshot.unanswered.len(), 2);
        let region = snapshot.rows.iter().find(|row| row.name == "eu-west-1").unwrap();
        assert_eq!(region.denied.as_deref(), Some(LIST_OBJECT_LAMBDA));
    }

    #[test]
    fn a_list_that_could_not_be_read_is_no_empty_list() {
        let text = r#"{
            "@audited-at": "2026-03-01T00:00:00Z",
            "@account": {"object-lambda-access-points": {"Error": {"Code": "AccessDenied"}}},
            "@regions": {"eu-west-1": {"object-lambda-access-points": {"demo-olap": {}}}},
            "amzn-s3-demo-web": {"access-points": {"Error": {"Code": "SlowDown"}}},
            "amzn-s3-demo-app": {"access-points": {}}
        }"#;
        let (answers, _) = parse(text).unwrap();
        let points = |bucket: &str| answers.buckets[bucket].access_points.as_ref().map(BTreeMap::len);
        assert_eq!((points("amzn-s3-demo-web"), points("amzn-s3-demo-app")), (None, Some(0)));
        let [olap] = answers.object_lambda_access_points.as_slice() else { panic!("{answers:?}") };
        assert_eq!((olap.name.as_str(), olap.region.as_deref()), ("demo-olap", Some("eu-west-1")));
        assert!(answers.regions.contains("eu-west-1"));
        let missing: Vec<_> = answers.unanswered.iter().map(|list| (&*list.name, list.is_denied)).collect();
        assert_eq!(missing, [("account", true), ("amzn-s3-demo-web", false)]);
    }

    #[test]
    fn a_file_about_some_buckets_is_not_complete() {
        let time = r#""@audited-at": "2026-03-01T00:00:00+01:00""#;
        let (answers, audited_at) = parse(&format!(r#"{{{time}, "amzn-s3-demo-web": {{}}}}"#)).unwrap();
        assert!(!answers.is_complete, "nobody listed the buckets");
        assert_eq!(audited_at.to_rfc3339(), "2026-02-28T23:00:00+00:00");
        let list =
            r#""@account": {"list-buckets": {"Buckets": [{"Name": "a"}, {"Name": "amzn-s3-demo-web"}]}}"#;
        let (answers, _) = parse(&format!(r#"{{{time}, {list}, "amzn-s3-demo-web": {{}}}}"#)).unwrap();
        assert!(!answers.is_complete, "one of the list is missing");
    }

    #[test]
    fn mistakes_are_named_with_bucket_and_key() {
        let with = |rest: &str| wrong(&format!(r#"{{"@audited-at": "2026-03-01T00:00:00Z", {rest}}}"#));
        let report = with(r#""amzn-s3-demo-web": {"get-bucket-loging": {}}"#);
        assert!(
            report.contains("(file: config.json, bucket: amzn-s3-demo-web, key: get-bucket-loging)"),
            "{report}"
        );
        assert!(report.contains("did you mean get-bucket-logging"), "{report}");
        let report = with(r#""amzn-s3-demo-web": {"logging": {}}"#);
        assert!(report.contains("did you mean get-bucket-logging?"), "{report}");
        let report = with(r#""amzn-s3-demo-web": {"x": {}}"#);
        assert!(report.contains("there is: get-bucket-location, "), "{report}");
        let report = with(r#""amzn-s3-demo-web": {"get-bucket-logging": {"TargetBucket": "b"}}"#);
        assert!(
            report.contains("it has no LoggingEnabled (file: config.json, bucket: amzn-s3-demo-web,"),
            "{report}"
        );
        let report = with(r#""b": {"access-points": {"ap": {"get-access-point-polic": {}}}}"#);
        assert!(report.contains("bucket: b, key: access-points, access point: ap, key: "), "{report}");
        let report = with(r#""b": {"access-points": {"Error": {}}}"#);
        assert!(
            report.contains("has an Error without Code (file: config.json, bucket: b, key: acc"),
            "{report}"
        );
        let report = with(r#""@regions": {"eu-west-1": {"access-points": {}}}"#);
        assert!(report.contains("key: @regions, region: eu-west-1, key: access-points"), "{report}");
        let report = with(r#""@acount": {}"#);
        assert!(report.contains("did you mean @account?"), "{report}");
        assert!(with(r#""b": []"#).contains("must be an object of outputs"));
        assert!(wrong("{").contains("this is no JSON"));
        assert!(wrong("[]").contains("object by name of bucket"));
        assert!(wrong("{}").contains("@audited-at is missing"));
        assert!(
            wrong(r#"{"@audited-at": "yesterday"}"#)
                .contains("this is no time (file: config.json, key: @audited-at)")
        );
    }

    #[test]
    fn the_script_asks_all_that_is_made_use_of() {
        let apis =
            [BucketAnswers::APIS, AccountAnswers::APIS, AccessPointAnswers::APIS, ObjectLambdaAnswers::APIS];
        for api in apis.concat() {
            assert!(SCRIPT.contains(api), "the script does not call {api}");
        }
    }
}
