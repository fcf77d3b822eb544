//! What other people's tests expect of a parse, beside what we make of the same records.
//!
//! Each `NAME.expected.json` of the corpus has its own field names, forms and omissions, and sometimes its mistakes.
//! Where we disagree, [`DISAGREEMENTS`] says so with the reason. One that is not listed fails, and so does one that
//! is listed and no longer there. Messages name places, never values: the records are real.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use s3trail::lines::split_lines;
use s3trail::record::{Field, Quirk, Record, value};
use serde_json::{Map, Value};

use crate::common::{corpus, parse};

/// Where we differ from what a source expects, and why: source, line or document, field.
const DISAGREEMENTS: [(&str, usize, &str); 18] = [
    // 23 and 22 fields. S3 has written 17, 18, and 24 to 27: these are cut short, and we keep them as rejects. Their
    // expressions match field by field and take what is there.
    ("nekrassov01 all_match", 3, "record"),
    ("nekrassov01 all_match", 4, "record"),
    // 17 fields, which is the whole record of 2006 to 2009. In a record of 2019 it is a cut at a field's end, but a
    // record can be read from it: accepted with the quirk short_for_age.
    ("nekrassov01 all_unmatch", 1, "record"),
    ("nekrassov01 contains_unmatch", 4, "record"),
    // 23 fields, as in all_match.
    ("nekrassov01 contains_unmatch", 3, "record"),
    // The five documents were made by hand from one record: address and object size were changed in the parsed
    // fields and not in the line (`body`) they were parsed from.
    ("opensearch", 1, "remote_ip"),
    ("opensearch", 1, "object_size"),
    ("opensearch", 2, "remote_ip"),
    ("opensearch", 2, "object_size"),
    ("opensearch", 3, "remote_ip"),
    ("opensearch", 3, "object_size"),
    // The second 60, which S3 does not write: refused.
    ("opensearch", 4, "record"),
    ("opensearch", 5, "remote_ip"),
    ("opensearch", 5, "object_size"),
    // None of the documents is of a request in the log beside them.
    ("opensearch", 1, "request_id"),
    ("opensearch", 2, "request_id"),
    ("opensearch", 3, "request_id"),
    ("opensearch", 5, "request_id"),
];

/// What is compared with what: a name for messages, the log, and how its authors write what they expect.
type Source = (&'static str, &'static str, fn(&mut Comparison<'_>, &Value));

const SOURCES: [Source; 9] = [
    ("dandi", "dandi__s3-log-extraction__example_logs", dandi),
    ("dfarrell-bloom", "dfarrell-bloom__s3logaudit__S3BucketLog", dfarrell_bloom),
    ("dynatrace", "dynatrace-oss__dynatrace-aws-s3-log-forwarder__attribute_extraction", dynatrace),
    ("essa", "essa__s3logs_to_insights__SampleData", essa),
    ("icodeforlove", "icodeforlove__s3-access-log-parser__matches", icodeforlove),
    ("knil-sama", "knil-sama__s3-access-log-rust__integration_test", knil_sama),
    ("logstash", "logstash-plugins__logstash-patterns-core__aws_spec", logstash),
    ("nekrassov01 all_match", "nekrassov01__access-log-parser__sample_s3_all_match", nekrassov01),
    ("opensearch", "opensearch-project__opensearch-catalog__amazon_s3_raw", opensearch),
];

/// Logs whose names say which lines match: none of them, and all but the one that is cut.
const BY_NAME: [(&str, &str, &[usize]); 2] = [
    ("nekrassov01 all_unmatch", "nekrassov01__access-log-parser__sample_s3_all_unmatch", &[]),
    (
        "nekrassov01 contains_unmatch",
        "nekrassov01__access-log-parser__sample_s3_contains_unmatch",
        &[1, 2, 3, 5],
    ),
];

/// One log, and what was found to differ in it.
struct Comparison<'a> {
    source: &'static str,
    lines: Vec<&'a [u8]>,
    compared: usize,
    found: BTreeSet<(&'static str, usize, String)>,
}

impl<'a> Comparison<'a> {
    /// The record of line `line`, from 1; `None` when it is refused.
    fn record(&self, line: usize) -> Option<Record<'a>> {
        parse(self.lines[line - 1]).ok()
    }

    fn differs(&mut self, line: usize, field: impl Into<String>) {
        self.found.insert((self.source, line, field.into()));
    }

    fn check(&mut self, line: usize, field: impl Into<String>, agrees: bool) {
        self.compared += 1;
        if !agrees {
            self.differs(line, field);
        }
    }

    /// Compares the members of `theirs` that `names` translates; any other member must be in `ignored`.
    fn check_fields(
        &mut self,
        line: usize,
        theirs: &Map<String, Value>,
        names: &[(&str, Field)],
        ignored: &[&str],
    ) {
        let Some(record) = self.record(line) else { return self.check(line, "record", false) };
        for (field, agrees) in compare(&record, theirs, names, ignored) {
            self.check(line, field, agrees);
        }
    }

    /// Checks that the lines `accepted`, from 1, are records, and that all others are refused.
    fn check_accepted(&mut self, accepted: &[usize]) {
        for line in 1..=self.lines.len() {
            let agrees = self.record(line).is_some() == accepted.contains(&line);
            self.check(line, "record", agrees);
        }
    }
}

fn compare(
    record: &Record<'_>,
    theirs: &Map<String, Value>,
    names: &[(&str, Field)],
    ignored: &[&str],
) -> Vec<(String, bool)> {
    let compared = theirs.iter().filter(|(name, _)| !ignored.contains(&name.as_str()));
    let verdict = |(name, theirs): (&String, &Value)| {
        let field = names.iter().find(|(theirs, _)| theirs == name).map(|(_, field)| *field);
        let field = field.unwrap_or_else(|| panic!("nobody says which field {name} is"));
        (field.name().to_owned(), same(&written(record, field), theirs))
    };
    compared.map(verdict).collect()
}

/// A field as it stands in the line, without quotes and brackets; a dash where there is nothing.
fn written(record: &Record<'_>, field: Field) -> String {
    let number = match field {
        Field::HttpStatus => record.http_status.map(i64::from),
        Field::BytesSent => record.bytes_sent,
        Field::ObjectSize => record.object_size,
        Field::TotalTimeMs => record.total_time_ms,
        Field::TurnAroundTimeMs => record.turn_around_time_ms,
        _ => return record.get(field).map_or("-".into(), |text| String::from_utf8_lossy(text).into_owned()),
    };
    number.map_or("-".into(), |number| number.to_string())
}

/// Whether their form stands for our text: null for a dash, numbers for digits, quotes and brackets kept or not.
fn same(ours: &str, theirs: &Value) -> bool {
    match theirs {
        Value::Null => ours == "-",
        Value::Number(number) => ours == number.to_string(),
        Value::String(text) => {
            let quoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
            let bracketed = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
            ours == quoted.or(bracketed).unwrap_or(text)
        }
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => false,
    }
}

/// Seconds as `YYYYMMDDhhmmss`, the digits that all their forms of a time have in common.
fn time_digits(seconds: Option<i64>) -> String {
    let Some(seconds) = seconds else { return String::new() };
    let (year, month, day) = value::civil_from_days(seconds.div_euclid(86_400));
    let second = seconds.rem_euclid(86_400);
    format!("{year:04}{month:02}{day:02}{:02}{:02}{:02}", second / 3600, second / 60 % 60, second % 60)
}

/// The first 14 digits of `text`.
fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).take(14).collect()
}

fn text<'a>(of: &'a Value, name: &str) -> &'a str {
    of[name].as_str().unwrap_or_else(|| panic!("{name} is no text"))
}

/// The `line` member of an expectation.
fn line_number(of: &Value) -> usize {
    of["line"].as_u64().and_then(|line| usize::try_from(line).ok()).expect("a line number")
}

fn object(of: &Value) -> &Map<String, Value> {
    of.as_object().expect("an object")
}

fn array(of: &Value) -> &[Value] {
    of.as_array().expect("a list")
}

/// Method, target and protocol (or only its version) are members of their own: put together, is it our request-URI?
fn same_request(record: &Record<'_>, theirs: [&Value; 3]) -> bool {
    let [method, target, protocol] = theirs.map(|part| part.as_str().unwrap_or_default());
    let protocol = if protocol.starts_with("HTTP/") { protocol.into() } else { format!("HTTP/{protocol}") };
    written(record, Field::RequestUri) == format!("{method} {target} {protocol}")
}

/// Aggregated: one list for each key and measure, over the reads that delivered something (200 and 206).
fn dandi(log: &mut Comparison<'_>, expected: &Value) {
    let mut ours: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in 1..=log.lines.len() {
        let Some(record) = log.record(line) else {
            log.check(line, "record", false);
            continue;
        };
        if !matches!(record.http_status, Some(200 | 206)) {
            continue;
        }
        let key = written(&record, Field::Key);
        let measures = [
            ("bytes_sent", record.bytes_sent.unwrap_or(0).to_string()),
            // The whole object, and not a range of it.
            ("download", u8::from(record.http_status == Some(200)).to_string()),
            ("ips", written(&record, Field::RemoteIp)),
            ("timestamps", time_digits(record.time)[2..].to_owned()),
        ];
        for (measure, value) in measures {
            ours.entry(format!("{key}/{measure}.txt")).or_default().push(value);
        }
    }
    let theirs = object(expected);
    log.check(0, "keys", ours.keys().eq(theirs.keys().collect::<BTreeSet<_>>()));
    for (name, values) in ours {
        let measure = name.rsplit('/').next().unwrap_or_default().to_owned();
        log.check(0, measure, theirs.get(&name).is_some_and(|theirs| *theirs == Value::from(values)));
    }
}

fn dfarrell_bloom(log: &mut Comparison<'_>, expected: &Value) {
    let names = [
        ("owner", Field::BucketOwner),
        ("bucket", Field::Bucket),
        ("ip", Field::RemoteIp),
        ("requester", Field::Requester),
        ("request_id", Field::RequestId),
        ("operation", Field::Operation),
        ("key", Field::Key),
        ("uri", Field::RequestUri),
        ("status", Field::HttpStatus),
        ("error", Field::ErrorCode),
        ("bytes_sent", Field::BytesSent),
        ("object_size", Field::ObjectSize),
        ("total_ms", Field::TotalTimeMs),
        ("turnaround_ms", Field::TurnAroundTimeMs),
        ("referrer", Field::Referer),
        ("user_agent", Field::UserAgent),
        ("version_id", Field::VersionId),
    ];
    for record in array(expected) {
        log.check_fields(line_number(record), object(record), &names, &["line"]);
    }
}

fn dynatrace(log: &mut Comparison<'_>, expected: &Value) {
    let Some(record) = log.record(1) else { return log.differs(1, "record") };
    let bucket = written(&record, Field::Bucket) == text(expected, "aws.resource.id");
    let time = time_digits(record.time) == digits(text(expected, "timestamp"));
    log.check(1, "bucket", bucket);
    log.check(1, "time", time);
}

fn essa(log: &mut Comparison<'_>, expected: &Value) {
    let names = [
        ("bucketOwner", Field::BucketOwner),
        ("bucket", Field::Bucket),
        ("remoteAddr", Field::RemoteIp),
        ("requester", Field::Requester),
        ("requestId", Field::RequestId),
        ("operation", Field::Operation),
        ("path", Field::Key),
        ("request", Field::RequestUri),
        ("status", Field::HttpStatus),
        ("errorCode", Field::ErrorCode),
        ("sent", Field::BytesSent),
        ("size", Field::ObjectSize),
        ("totalTime", Field::TotalTimeMs),
        ("turnAroundTime", Field::TurnAroundTimeMs),
        ("referrer", Field::Referer),
        ("versionId", Field::VersionId),
    ];
    for theirs in array(expected) {
        let line = line_number(theirs);
        log.check_fields(line, object(theirs), &names, &["line", "time"]);
        let time = log.record(line).map(|record| time_digits(record.time));
        log.check(line, "time", time.is_some_and(|time| time == digits(text(theirs, "time"))));
    }
}

/// A few fields each, or a note: refused, or (all dashes) accepted with nothing in it.
fn icodeforlove(log: &mut Comparison<'_>, expected: &Value) {
    let names = [
        ("key", Field::Key),
        ("request_uri", Field::RequestUri),
        ("http_status", Field::HttpStatus),
        ("bytes_sent", Field::BytesSent),
        ("total_time", Field::TotalTimeMs),
        ("user_agent", Field::UserAgent),
        ("requester", Field::Requester),
    ];
    for theirs in array(expected) {
        let line = line_number(theirs);
        match theirs["note"].as_str() {
            None => log.check_fields(line, object(theirs), &names, &["line"]),
            Some("must be rejected") => log.check(line, "record", log.record(line).is_none()),
            Some("parses to an empty record") => {
                let empty = log.record(line).is_some_and(|record| {
                    let no_time = record.quirks.iter().eq([Quirk::NoTime]) && record.time.is_none();
                    no_time && Field::ALL.into_iter().all(|field| written(&record, field) == "-")
                });
                log.check(line, "record", empty);
            }
            Some(_) => panic!("a note nobody has read"),
        }
    }
}

fn knil_sama(log: &mut Comparison<'_>, expected: &Value) {
    let mut names: Vec<(&str, Field)> = Field::ALL.map(|field| (field.name(), field)).to_vec();
    names.extend([
        ("bucket_name", Field::Bucket),
        ("total_time", Field::TotalTimeMs),
        ("turn_around_time", Field::TurnAroundTimeMs),
    ]);
    log.check_fields(1, object(expected), &names, &[]);
}

/// The legacy pattern: no value where there is a dash, and the request in three parts.
fn logstash(log: &mut Comparison<'_>, expected: &Value) {
    let names = [
        ("owner", Field::BucketOwner),
        ("bucket", Field::Bucket),
        ("timestamp", Field::Time),
        ("clientip", Field::RemoteIp),
        ("requester", Field::Requester),
        ("request_id", Field::RequestId),
        ("operation", Field::Operation),
        ("key", Field::Key),
        ("response", Field::HttpStatus),
        ("bytes", Field::BytesSent),
        ("object_size", Field::ObjectSize),
        ("request_time_ms", Field::TotalTimeMs),
        ("referrer", Field::Referer),
        ("agent", Field::UserAgent),
    ];
    for theirs in array(expected) {
        let (line, fields) = (line_number(theirs), &theirs["fields"]);
        log.check_fields(line, object(fields), &names, &["verb", "request", "httpversion"]);
        let request = [&fields["verb"], &fields["request"], &fields["httpversion"]];
        log.check(line, "request_uri", log.record(line).is_some_and(|record| same_request(&record, request)));
        for (name, field) in [("bytes", Field::BytesSent), ("object_size", Field::ObjectSize)] {
            let none = log.record(line).is_some_and(|record| written(&record, field) == "-");
            log.check(line, field.name(), none == fields[name].is_null());
        }
    }
}

/// All fields that are there, line for line, the request in three parts.
fn nekrassov01(log: &mut Comparison<'_>, expected: &Value) {
    let mut names: Vec<(&str, Field)> = Field::ALL.map(|field| (field.name(), field)).to_vec();
    names.extend([("total_time", Field::TotalTimeMs), ("turn_around_time", Field::TurnAroundTimeMs)]);
    assert_eq!(array(expected).len(), log.lines.len());
    for (line, theirs) in (1..).zip(array(expected)) {
        log.check_fields(line, object(theirs), &names, &["method", "request_uri", "protocol"]);
        let request = [&theirs["method"], &theirs["request_uri"], &theirs["protocol"]];
        if let Some(same) = log.record(line).map(|record| same_request(&record, request)) {
            log.check(line, "request_uri", same);
        }
    }
}

/// Documents, not line for line. Each has the line it was made from, cut behind the version id.
fn opensearch(log: &mut Comparison<'_>, expected: &Value) {
    let mut names: Vec<(&str, Field)> = Field::ALL.map(|field| (field.name(), field)).to_vec();
    names.extend([
        ("total_time", Field::TotalTimeMs),
        ("turn_around_time", Field::TurnAroundTimeMs),
        ("referrer", Field::Referer),
    ]);
    let cut: Vec<&str> = Field::ALL.into_iter().skip(18).map(Field::name).collect();
    let ids: BTreeSet<String> = (1..=log.lines.len())
        .filter_map(|line| log.record(line).map(|record| written(&record, Field::RequestId)))
        .collect();
    for (number, document) in (1..).zip(array(expected)) {
        let theirs = &document["aws"]["s3"];
        let Ok(record) = parse(text(document, "body").as_bytes()) else {
            log.check(number, "record", false);
            continue;
        };
        for (field, agrees) in compare(&record, object(theirs), &names, &cut) {
            log.check(number, field, agrees);
        }
        log.check(number, "request_id", ids.contains(text(theirs, "request_id")));
    }
}

/// The lines of a log of the corpus, compared by `run`.
fn compared<R>(corpus: &Path, source: &'static str, log: &str, run: R) -> Comparison<'static>
where
    R: FnOnce(&mut Comparison<'_>),
{
    let bytes = std::fs::read(corpus.join(format!("{log}.log"))).expect("the corpus can be read");
    let lines = split_lines(&bytes).map(|line| line.text).collect();
    let mut log = Comparison { source, lines, compared: 0, found: BTreeSet::new() };
    run(&mut log);
    Comparison { source, lines: Vec::new(), compared: log.compared, found: log.found }
}

#[test]
fn we_agree_with_what_others_expect_but_where_we_say_why() {
    let Some(corpus) = corpus() else { return };
    let mut found = BTreeSet::new();
    for (source, log, compare) in SOURCES {
        let expected = std::fs::read(corpus.join(format!("{log}.expected.json")));
        let expected = expected.expect("the corpus can be read");
        let expected: Value = serde_json::from_slice(&expected).expect("JSON");
        let log = compared(&corpus, source, log, |log| compare(log, &expected));
        assert!(log.compared > 1, "{source}: nothing was compared");
        found.extend(log.found);
    }
    for (source, log, accepted) in BY_NAME {
        found.extend(compared(&corpus, source, log, |log| log.check_accepted(accepted)).found);
    }

    let listed: BTreeSet<_> =
        DISAGREEMENTS.map(|(source, line, field)| (source, line, field.to_owned())).into();
    let new: Vec<_> = found.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(&found).collect();
    assert!(new.is_empty() && gone.is_empty(), "not listed: {new:#?}\nlisted and no longer there: {gone:#?}");
}

#[test]
fn every_expectation_of_the_corpus_is_compared() {
    let Some(corpus) = corpus() else { return };
    let entries = std::fs::read_dir(corpus).expect("the corpus can be read");
    let names = entries.map(|entry| entry.expect("the corpus can be read").file_name().into_string());
    let there: BTreeSet<String> =
        names.filter_map(|name| name.ok()?.strip_suffix(".expected.json").map(str::to_owned)).collect();
    let compared: BTreeSet<String> = SOURCES.map(|(_, log, _)| log.to_owned()).into();
    assert_eq!(there, compared);
}
