//! Findings in the formats that others have published a schema of, held against it.
//!
//! `tests/schemas/README.md` says where the schemas come from.

use boon::{Compiler, SchemaIndex, Schemas};
use s3trail::finding::{Evidence, Finding, Findings, Level, Skipped, Suppressed};
use s3trail::report::findings::{FindingFormat, FindingOptions, write};
use serde_json::{Map, Value, json};

use crate::common::root;

/// Texts that log records, file names and settings may hold.
const TEXTS: [&str; 9] = [
    "arn:aws:iam::111122223333:user/alice",
    "192.0.2.7",
    "2001:db8::7",
    "",
    " ",
    "a\"b\\c\u{1b}[31m\u{0}\u{202e}\u{feff}",
    "[x](javascript:alert(1)) {0} {{1}} %00 ../../etc/passwd?a#b",
    "=cmd|'/c calc'!A1",
    "ключ/日本/\u{1f980}",
];

/// A finding for every level and text, each with something else missing or too much.
fn findings() -> Findings {
    let mut findings = Vec::new();
    for (at, level) in Level::ALL.iter().rev().enumerate() {
        for (number, text) in TEXTS.iter().enumerate() {
            findings.push(finding(*level, text, at * TEXTS.len() + number));
        }
    }
    findings.push(long());
    let skipped = |text: &&str| Skipped { id: "not-run".to_owned(), reason: (*text).to_owned() };
    Findings { findings, skipped: TEXTS.iter().map(skipped).collect(), seconds: 1.25 }
}

fn finding(level: Level, text: &str, number: usize) -> Finding {
    let some = |every: usize| number.is_multiple_of(every);
    let text_if = |wanted: bool| wanted.then(|| text.to_owned());
    let evidence = (0..number % 4).map(|at| Evidence {
        log_bucket: text_if(at != 1),
        log_key: text_if(at != 2),
        log_offset: some(2).then_some(at as i64 * 700),
        time: some(3).then(|| "2026-03-01T10:20:30Z".to_owned()),
    });
    let details = [
        ("none".to_owned(), Value::Null),
        ("text".to_owned(), json!(text)),
        (text.to_owned(), json!([1, 2.5, true, { "deep": text }])),
    ];
    let suppressed = some(5).then(|| Suppressed {
        reason: if text.trim().is_empty() { "known".to_owned() } else { text.to_owned() },
        owner: "ops@example.com".to_owned(),
        expires: "2026-12-31".to_owned(),
    });
    Finding {
        id: format!("detection-{level}"),
        title: "Something is the case".to_owned(),
        level,
        bucket: "amzn-s3-demo-bucket".to_owned(),
        subject: text.to_owned(),
        count: if some(7) { i64::MAX } else { number as i64 },
        first_seen: "2026-03-01T10:20:30Z".to_owned(),
        last_seen: "2026-03-02T10:20:30.250Z".to_owned(),
        evidence: evidence.collect(),
        details: details.into_iter().collect(),
        fingerprint: format!("detection-{level}:{number:016x}"),
        tags: ["recursion", "attack.t1530", "attack.t1567.002"][..number % 4]
            .iter()
            .map(|t| (*t).to_owned())
            .collect(),
        suppressed,
        runbook: ["Look", "Stop it {now} [at once]"][..number % 3].iter().map(|s| (*s).to_owned()).collect(),
        description: if some(2) { String::new() } else { "What it\nmeans.".to_owned() },
    }
}

/// A finding in which everything is longer than any format takes.
fn long() -> Finding {
    let long = "ü\u{1b}".repeat(2_000);
    let mut finding = finding(Level::Low, &long, 99);
    finding.title.clone_from(&long);
    finding.description.clone_from(&long);
    finding.runbook = vec![long.clone(); 3];
    finding.suppressed =
        Some(Suppressed { reason: long.clone(), owner: long.clone(), expires: "2026-12-31".to_owned() });
    finding.details = (0..60).map(|at| (format!("{at}{long}"), json!(long))).collect::<Map<_, _>>();
    finding
}

/// Every combination of what may be known of the account.
fn options() -> Vec<FindingOptions> {
    let mut options = Vec::new();
    for region in [None, Some("eu-central-1"), Some("us-gov-west-1")] {
        for account in [None, Some("111122223333")] {
            options.push(FindingOptions {
                region: region.map(str::to_owned),
                account: account.map(str::to_owned),
                ..FindingOptions::default()
            });
        }
    }
    options
}

fn written(findings: &Findings, format: FindingFormat, options: &FindingOptions) -> String {
    let mut out = Vec::new();
    write(findings, format, &mut out, options).expect("a vector takes everything");
    String::from_utf8(out).expect("JSON is UTF-8")
}

/// The schema in `tests/schemas/<name>`. None of them refers to anything outside itself.
fn schema(name: &str) -> Validator {
    let path = root().join("tests/schemas").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let schema: Value = serde_json::from_str(&text).expect("a schema is JSON");
    let mut schemas = Schemas::new();
    let mut compiler = Compiler::new();
    // Nothing is fetched: the file is the whole schema.
    let place = format!("file:///{name}");
    compiler.add_resource(&place, schema).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let index =
        compiler.compile(&place, &mut schemas).unwrap_or_else(|e| panic!("{}: {e:#}", path.display()));
    Validator { schemas, index }
}

/// A schema ready to be held against documents.
struct Validator {
    schemas: Schemas,
    index: SchemaIndex,
}

impl Validator {
    fn is_valid(&self, document: &Value) -> bool {
        self.schemas.validate(document, self.index).is_ok()
    }
}

/// Fails with everything that `schema` has against `document`.
fn assert_valid(schema: &Validator, document: &Value) {
    if let Err(errors) = schema.schemas.validate(document, schema.index) {
        panic!("{errors:#}");
    }
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

#[test]
fn sarif_is_what_its_schema_says() {
    let schema = schema("sarif-2.1.0-rtm.5.json");
    let empty = Findings { findings: Vec::new(), skipped: Vec::new(), seconds: 0.0 };
    for findings in [findings(), empty] {
        assert_valid(&schema, &parsed(&written(&findings, FindingFormat::Sarif, &FindingOptions::default())));
    }
    // A schema that takes everything would prove nothing.
    assert!(!schema.is_valid(&json!({ "version": "2.1.0", "runs": [{ "results": [] }] })));
}

#[test]
fn ocsf_is_what_its_schema_says() {
    let schema = schema("ocsf-1.1.0-detection-finding.json");
    let findings = findings();
    for options in options() {
        let text = written(&findings, FindingFormat::Ocsf, &options);
        assert_eq!(text.lines().count(), findings.findings.len());
        for line in text.lines() {
            assert_valid(&schema, &parsed(line));
        }
    }
    assert!(!schema.is_valid(&json!({ "class_uid": 2004 })));
}

#[test]
fn asff_is_what_the_service_takes() {
    let schema = schema("asff-2018-10-08.json");
    let mut findings = findings();
    // More than a request takes.
    findings.findings.extend_from_within(..);
    findings.findings.extend_from_within(..);
    for options in options() {
        let text = written(&findings, FindingFormat::Asff, &options);
        assert!(text.lines().count() > 1);
        for line in text.lines() {
            assert_valid(&schema, &parsed(line));
        }
    }
    assert!(!schema.is_valid(&json!({ "Findings": [] })));
}
