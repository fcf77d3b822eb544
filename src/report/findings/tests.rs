//! Every format over the same findings, hostile ones included.

use serde_json::{Map, Value, json};

use super::*;
use crate::finding::{Skipped, Suppressed};

/// A subject that a terminal, a page, a spreadsheet or a viewer would obey.
const HOSTILE: &str = "=cmd|'/c calc'!A1 \u{1b}[2J\u{202e}[pay|me](https://e.example) {0} <img src=x>";

fn finding(id: &str, level: Level, subject: &str) -> Finding {
    Finding {
        id: id.to_owned(),
        title: format!("Title of {id}"),
        level,
        bucket: "amzn-s3-demo-bucket".to_owned(),
        subject: subject.to_owned(),
        count: 1204,
        first_seen: "2026-03-01T12:00:59Z".to_owned(),
        last_seen: "2026-03-02T13:30:00.250Z".to_owned(),
        evidence: vec![
            Evidence {
                log_bucket: Some("amzn-s3-demo-logs".to_owned()),
                log_key: Some("logs/2026 03#1\u{1b}".to_owned()),
                log_offset: Some(512),
                time: Some("2026-03-01T12:00:59Z".to_owned()),
            },
            Evidence {
                log_bucket: None,
                log_key: Some("//host/a.log".to_owned()),
                log_offset: None,
                time: None,
            },
        ],
        details: Map::new(),
        fingerprint: format!("{id}:0123456789abcdef"),
        tags: vec!["destruction".to_owned(), "attack.t1485".to_owned()],
        suppressed: None,
        runbook: vec!["Look at the log: aws s3 ls BUCKET".to_owned(), "Stop it".to_owned()],
        description: "What it\nmeans.".to_owned(),
    }
}

fn suppressed(mut finding: Finding) -> Finding {
    finding.suppressed = Some(Suppressed {
        reason: "a test of ours".to_owned(),
        owner: "ops@example.com".to_owned(),
        expires: "2026-12-31".to_owned(),
    });
    finding
}

/// Two detections, one finding of each level but critical and low, one of them suppressed, one detection not run.
fn sample() -> Findings {
    let mut quick = finding("old-tls", Level::Medium, "192.0.2.7");
    quick.last_seen = "2026-03-01T12:45:00Z".to_owned();
    let mut at_once = finding("old-tls", Level::Medium, "192.0.2.8");
    at_once.last_seen = at_once.first_seen.clone();
    at_once.count = 1;
    Findings {
        findings: vec![
            finding("mass-deletion", Level::High, "arn:aws:iam::111122223333:user/alice"),
            quick,
            at_once,
            suppressed(finding("new-agent", Level::Informational, "curl")),
        ],
        skipped: vec![Skipped { id: "kms-throttled".to_owned(), reason: "out of memory\u{1b}[m".to_owned() }],
        seconds: 1.2,
    }
}

fn one(finding: Finding) -> Findings {
    Findings { findings: vec![finding], skipped: Vec::new(), seconds: 0.5 }
}

fn none() -> Findings {
    Findings { findings: Vec::new(), skipped: Vec::new(), seconds: 0.5 }
}

fn written(findings: &Findings, format: FindingFormat, options: &FindingOptions) -> String {
    let mut out = Vec::new();
    write(findings, format, &mut out, options).unwrap();
    String::from_utf8(out).unwrap()
}

fn plain(findings: &Findings, format: FindingFormat) -> String {
    written(findings, format, &FindingOptions::default())
}

fn parsed(findings: &Findings, format: FindingFormat) -> Value {
    serde_json::from_str(&plain(findings, format)).unwrap()
}

#[test]
fn a_table_is_read_from_the_worst_to_the_least() {
    let expected = "\
HIGH: 1 finding

  Title of mass-deletion
  first: Look at the log: aws s3 ls BUCKET

    amzn-s3-demo-bucket  arn:aws:iam::111122223333:user/alice
      count 1,204 from 2026-03-01 12:00 to 2026-03-02 13:30  mass-deletion:0123456789abcdef

MEDIUM: 2 findings

  Title of old-tls
  first: Look at the log: aws s3 ls BUCKET

    amzn-s3-demo-bucket  192.0.2.7
      count 1,204 from 2026-03-01 12:00 to 12:45  old-tls:0123456789abcdef
    amzn-s3-demo-bucket  192.0.2.8
      count 1 at 2026-03-01 12:00  old-tls:0123456789abcdef

NOT RUN TO THE END: 1 detection

  kms-throttled: out of memory\\x1b[m

1 high, 2 medium; 1 suppressed; 1 detection not run to the end; 1.20 s; times are UTC
";
    assert_eq!(plain(&sample(), FindingFormat::Table), expected);
}

#[test]
fn a_table_shows_suppressed_findings_if_asked() {
    let options = FindingOptions { show_suppressed: true, ..FindingOptions::default() };
    let text = written(&sample(), FindingFormat::Table, &options);
    assert!(text.contains("INFORMATIONAL: 1 finding, 1 of them suppressed\n"), "{text}");
    assert!(
        text.contains("\n      suppressed until 2026-12-31 by ops@example.com: a test of ours\n"),
        "{text}"
    );
    assert!(text.ends_with(
        "1 high, 2 medium; 1 suppressed; 1 detection not run to the end; 1.20 s; times are UTC\n"
    ));
}

#[test]
fn a_table_is_fitted_to_the_terminal() {
    let options = |width| FindingOptions { width: Some(width), show_suppressed: true, ..Default::default() };
    let long = finding("mass-deletion", Level::Critical, &"日本/".repeat(100));
    for findings in [sample(), one(long.clone())] {
        for width in 60..120 {
            let text = written(&findings, FindingFormat::Table, &options(width));
            for line in text.lines() {
                assert!(unicode_width::UnicodeWidthStr::width(line) <= width, "{width}: {line}");
                assert_eq!(line, line.trim_end());
            }
            for finding in &findings.findings {
                assert!(text.contains(&finding.fingerprint));
            }
        }
        // Nothing to read, but no panic either.
        for width in 0..60 {
            written(&findings, FindingFormat::Table, &options(width));
        }
    }
    let text = written(&one(long), FindingFormat::Table, &options(60));
    let expected = "\
CRITICAL: 1 finding

  Title of mass-deletion
  first: Look at the log: aws s3 ls BUCKET

    amzn-s3-demo-bucket
      日本/日本/日本/日本/日本/日本/日本/日本/日本/日本/日…
      count 1,204 from 2026-03-01 12:00 to 2026-03-02 13:30
      mass-deletion:0123456789abcdef

1 critical; 0.50 s; times are UTC
";
    assert_eq!(text, expected);
}

#[test]
fn nothing_found_is_said_plainly() {
    assert_eq!(plain(&none(), FindingFormat::Table), "no findings; 0.50 s\n");
    assert_eq!(plain(&none(), FindingFormat::Markdown), "No findings; 0.50 s\n");
    assert_eq!(plain(&none(), FindingFormat::Json), "{\"findings\":[],\"skipped\":[],\"seconds\":0.5}\n");
    for format in [FindingFormat::Ndjson, FindingFormat::Ocsf, FindingFormat::Asff] {
        assert_eq!(plain(&none(), format), "");
    }
    assert_eq!(plain(&none(), FindingFormat::Csv).lines().count(), 1);
    let sarif = parsed(&none(), FindingFormat::Sarif);
    assert_eq!(sarif["runs"][0]["results"], json!([]));
    assert_eq!(sarif["runs"][0]["invocations"][0]["executionSuccessful"], json!(true));
    let suppressed = one(suppressed(finding("new-agent", Level::High, "curl")));
    assert_eq!(plain(&suppressed, FindingFormat::Table), "no findings; 1 suppressed; 0.50 s\n");
}

#[test]
fn no_format_lets_control_characters_pass() {
    let mut hostile = suppressed(finding("old-tls", Level::Low, HOSTILE));
    hostile.bucket = HOSTILE.to_owned();
    hostile.details.insert(HOSTILE.to_owned(), json!([HOSTILE]));
    hostile.suppressed.as_mut().unwrap().reason = HOSTILE.to_owned();
    let mut findings = one(hostile);
    findings.skipped.push(Skipped { id: HOSTILE.to_owned(), reason: HOSTILE.to_owned() });
    let options = FindingOptions { width: Some(80), show_suppressed: true, ..FindingOptions::default() };
    for format in <FindingFormat as clap::ValueEnum>::value_variants() {
        let text = written(&findings, *format, &options);
        assert!(!text.is_empty());
        let hidden = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
        assert!(!text.contains(hidden), "{format:?}: {text:?}");
    }
}

#[test]
fn json_is_the_findings_as_they_serialise() {
    let mut findings = sample();
    findings.findings[0].details.insert("key\u{1b}".to_owned(), json!({ "n": 1.5, "none": null }));
    findings.findings[0].subject = HOSTILE.to_owned();
    let text = plain(&findings, FindingFormat::Json);
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), serde_json::to_value(&findings).unwrap());
    assert_eq!(text.lines().count(), 1 + findings.findings.len() + findings.skipped.len());
    assert!(text.contains(r#""key\u001b""#) && text.contains(r"\u202e"), "{text}");

    let text = plain(&findings, FindingFormat::Ndjson);
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(Value::Array(lines), serde_json::to_value(&findings.findings).unwrap());
}

#[test]
fn csv_has_a_row_for_each_finding_and_no_formulas() {
    let mut hostile = finding("old-tls", Level::Low, "=1+1");
    hostile.details.insert("keys".to_owned(), json!(2));
    hostile.evidence.truncate(1);
    let findings =
        Findings { findings: vec![hostile, suppressed(finding("new-agent", Level::High, "curl"))], ..none() };
    let text = plain(&findings, FindingFormat::Csv);
    let mut lines = text.lines();
    assert_eq!(
        lines.next().unwrap(),
        "id,level,bucket,subject,count,first_seen,last_seen,title,fingerprint,tags,suppressed,details,evidence"
    );
    assert_eq!(
        lines.next().unwrap(),
        "old-tls,low,amzn-s3-demo-bucket,'=1+1,1204,2026-03-01T12:00:59Z,2026-03-02T13:30:00.250Z,\
         Title of old-tls,old-tls:0123456789abcdef,destruction attack.t1485,,\"{\"\"keys\"\":2}\",\
         \"[{\"\"log_bucket\"\":\"\"amzn-s3-demo-logs\"\",\"\"log_key\"\":\"\"logs/2026 03#1\\u001b\"\",\
         \"\"log_offset\"\":512,\"\"time\"\":\"\"2026-03-01T12:00:59Z\"\"}]\""
    );
    assert_eq!(lines.next(), None);

    let options = FindingOptions { csv_raw: true, show_suppressed: true, ..FindingOptions::default() };
    let text = written(&findings, FindingFormat::Csv, &options);
    assert!(text.contains(",=1+1,") && text.contains(",a test of ours,"), "{text}");
}

#[test]
fn markdown_has_a_table_for_each_level_and_no_links() {
    let mut findings = sample();
    findings.findings.truncate(2);
    findings.findings[1].subject = HOSTILE.to_owned();
    let expected = r#"## High: 1 finding

| finding | bucket | subject | count | first seen | last seen |
| --- | --- | --- | ---: | --- | --- |
| mass-deletion:0123456789abcdef | amzn-s3-demo-bucket | arn:aws:iam::111122223333:user/alice | 1204 | 2026-03-01 12:00 | 2026-03-02 13:30 |

- mass-deletion: Title of mass-deletion. First: Look at the log: aws s3 ls BUCKET

## Medium: 1 finding

| finding | bucket | subject | count | first seen | last seen |
| --- | --- | --- | ---: | --- | --- |
| old-tls:0123456789abcdef | amzn-s3-demo-bucket | =cmd\|'/c calc'!A1 \x1b\[2J\u{202e}\[pay\|me\](https&#58;//e.example) {0} &lt;img src=x&gt; | 1204 | 2026-03-01 12:00 | 2026-03-01 12:45 |

- old-tls: Title of old-tls. First: Look at the log: aws s3 ls BUCKET

## Not run to the end: 1 detection

- kms-throttled: out of memory\x1b\[m

1 high, 1 medium; 1 detection not run to the end; 1.20 s; times are UTC
"#;
    assert_eq!(plain(&findings, FindingFormat::Markdown), expected);
    let options = FindingOptions { show_suppressed: true, ..FindingOptions::default() };
    let text = written(&sample(), FindingFormat::Markdown, &options);
    assert!(text.contains(" until 2026-12-31 by ops@example.com: a test of ours |\n"), "{text}");
}

#[test]
fn sarif_has_rules_results_and_what_did_not_run() {
    let mut findings = sample();
    findings.findings[0].subject = HOSTILE.to_owned();
    let text = plain(&findings, FindingFormat::Sarif);
    let sarif: Value = serde_json::from_str(&text).unwrap();
    let run = &sarif["runs"][0];

    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    assert_eq!(rules.len(), 3);
    assert_eq!(rules[0]["id"], json!("mass-deletion"));
    assert_eq!(rules[0]["defaultConfiguration"]["level"], json!("error"));
    assert_eq!(rules[0]["help"]["text"], json!("1. Look at the log: aws s3 ls BUCKET\n2. Stop it"));
    assert_eq!(rules[0]["properties"]["tags"], json!(["destruction", "attack.t1485"]));

    let results = run["results"].as_array().unwrap();
    let of = |name: &str| results.iter().map(|result| result[name].clone()).collect::<Vec<_>>();
    assert_eq!(of("ruleIndex"), [json!(0), json!(1), json!(1), json!(2)]);
    assert_eq!(of("level"), [json!("error"), json!("warning"), json!("warning"), json!("note")]);
    assert_eq!(results[0]["suppressions"], json!([]));
    assert_eq!(results[3]["suppressions"][0]["kind"], json!("external"));
    assert_eq!(results[3]["suppressions"][0]["justification"], json!("a test of ours"));
    assert_eq!(results[0]["partialFingerprints"], json!({ "s3trail/v1": "mass-deletion:0123456789abcdef" }));
    let location = &results[0]["locations"][0]["physicalLocation"];
    assert_eq!(location["artifactLocation"]["uri"], json!("s3://amzn-s3-demo-logs/logs/2026%2003%231%1B"));
    assert_eq!(location["region"]["byteOffset"], json!(512));
    let related = &results[0]["relatedLocations"][0]["physicalLocation"];
    assert_eq!(related, &json!({ "artifactLocation": { "uri": "%2F%2Fhost/a.log" } }));
    let message = results[0]["message"]["text"].as_str().unwrap();
    assert!(message.contains(r"\[pay|me\](https://e.example) {{0}}"), "{message}");
    assert!(!message.contains('\u{1b}'));
    assert_eq!(results[0]["properties"]["subject"], json!(HOSTILE));

    let invocation = &run["invocations"][0];
    assert_eq!(invocation["executionSuccessful"], json!(false));
    let notification = &invocation["toolExecutionNotifications"][0];
    assert_eq!(notification["properties"]["detection"], json!("kms-throttled"));
    // The first line opens, four results, one rule list and one notification follow.
    assert_eq!(text.lines().filter(|line| line.contains("\"ruleId\"")).count(), 4);
}

#[test]
fn ocsf_events_say_when_what_and_where() {
    let text = plain(&sample(), FindingFormat::Ocsf);
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.len(), 4);
    let event = &events[0];
    assert_eq!(event["class_uid"], json!(2004));
    assert_eq!(event["type_uid"], json!(200_401));
    assert_eq!(event["time"], json!(1_772_458_200_250_i64));
    assert_eq!(event["finding_info"]["first_seen_time"], json!(1_772_366_459_000_i64));
    assert_eq!(event["finding_info"]["uid"], json!("mass-deletion:0123456789abcdef"));
    assert_eq!(event["finding_info"]["types"], json!(["destruction"]));
    assert_eq!(event["finding_info"]["attacks"], json!([{ "technique": { "uid": "T1485" } }]));
    assert_eq!(event["severity_id"], json!(4));
    assert_eq!((&event["status_id"], &events[3]["status_id"]), (&json!(1), &json!(3)));
    assert_eq!(events[3]["status_detail"], json!("a test of ours"));
    assert_eq!(event["resources"][0]["uid"], json!("arn:aws:s3:::amzn-s3-demo-bucket"));
    assert_eq!(event["evidences"][0]["data"]["log_offset"], json!(512));
    assert_eq!(event["cloud"], json!({ "provider": "AWS" }));
    // An address is something to look up, a name is not.
    assert_eq!(event["observables"].as_array().unwrap().len(), 1);
    assert_eq!(events[1]["observables"][1]["value"], json!("192.0.2.7"));

    let mut huge = finding("mass-deletion", Level::Critical, "x");
    huge.count = i64::MAX;
    let event = parsed(&one(huge), FindingFormat::Ocsf);
    assert_eq!((event.get("count"), &event["unmapped"]["count"]), (None, &json!(i64::MAX)));
}

#[test]
fn asff_says_whose_findings_they_are() {
    let options = FindingOptions {
        region: Some("cn-north-1".to_owned()),
        account: Some("111122223333".to_owned()),
        ..FindingOptions::default()
    };
    let text = written(&sample(), FindingFormat::Asff, &options);
    let request: Value = serde_json::from_str(&text).unwrap();
    let first = &request["Findings"][0];
    assert_eq!(
        first["ProductArn"],
        json!("arn:aws-cn:securityhub:cn-north-1:111122223333:product/111122223333/default")
    );
    assert_eq!(first["AwsAccountId"], json!("111122223333"));
    assert_eq!(first["Resources"][0]["Id"], json!("arn:aws-cn:s3:::amzn-s3-demo-bucket"));
    assert_eq!(first["Resources"][0]["Region"], json!("cn-north-1"));
    assert_eq!(first["Severity"], json!({ "Label": "HIGH", "Original": "high" }));
    assert_eq!(first["Types"], json!(["Effects/Data Destruction"]));
    assert_eq!(first["UpdatedAt"], json!("2026-03-02T13:30:00.250Z"));
    let fields = &first["ProductFields"];
    assert_eq!(fields["s3trail/evidence/0"], json!("s3://amzn-s3-demo-logs/logs/2026%2003%231%1B byte 512"));
    let description = first["Description"].as_str().unwrap();
    assert!(description.ends_with("2026-03-02T13:30:00.250Z. What it means."), "{description}");
    let last = &request["Findings"][3];
    assert_eq!(last["Workflow"]["Status"], json!("SUPPRESSED"));
    assert_eq!(last["Note"]["UpdatedBy"], json!("ops@example.com"));

    // Without an account it is nobody's.
    let request = parsed(&sample(), FindingFormat::Asff);
    let first = &request["Findings"][0];
    assert_eq!(first["AwsAccountId"], json!("000000000000"));
    assert_eq!(first["Resources"][0].get("Region"), None);
}

#[test]
fn asff_keeps_to_the_published_limits() {
    let mut long = finding("mass-deletion", Level::High, &"é".repeat(4000));
    long.title = "t".repeat(500);
    long.description = "d".repeat(5000);
    long.runbook = vec!["r".repeat(5000)];
    for at in 0..80 {
        long.details.insert(format!("{at:02}{}", "n".repeat(200)), json!("\u{1b}".repeat(5000)));
    }
    long.details.insert("0 blank".to_owned(), json!(" "));
    long.details.insert("0 null".to_owned(), Value::Null);
    let findings = Findings { findings: vec![long; 110], ..none() };
    let text = plain(&findings, FindingFormat::Asff);
    let mut seen = 0;
    for line in text.lines() {
        assert!(line.len() < 6_000_000);
        let request: Value = serde_json::from_str(line).unwrap();
        let findings = request["Findings"].as_array().unwrap();
        assert!((1..=100).contains(&findings.len()));
        seen += findings.len();
        let asff = &findings[0];
        let length = |value: &Value| value.as_str().unwrap().len();
        assert_eq!(length(&asff["Title"]), 256);
        assert!(length(&asff["Description"]) > 1000 && length(&asff["Description"]) <= 1024);
        assert!(length(&asff["Remediation"]["Recommendation"]["Text"]) <= 512);
        let fields = asff["ProductFields"].as_object().unwrap();
        assert!(fields.len() <= 50 && fields.len() > 10);
        assert!(fields.iter().all(|(name, value)| name.len() <= 128 && length(value) <= 2048));
        assert!(fields.contains_key("s3trail/subject") && fields.contains_key("s3trail/count"));
        assert!(
            !fields.contains_key("s3trail/details/0 null") && !fields.contains_key("s3trail/details/0 blank")
        );
        assert!(json::compact(asff).unwrap().len() < 240_000);
    }
    assert_eq!(seen, 110);

    let small = Findings { findings: vec![finding("old-tls", Level::Low, "x"); 201], ..none() };
    let requests: Vec<Value> =
        plain(&small, FindingFormat::Asff).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let sizes = requests.iter().map(|request| request["Findings"].as_array().unwrap().len());
    assert_eq!(sizes.collect::<Vec<_>>(), [100, 100, 1]);
}

#[test]
fn a_time_that_is_none_is_an_error_where_a_number_is_needed() {
    let mut odd = finding("old-tls", Level::Low, "x");
    odd.first_seen = "yesterday\u{7}".to_owned();
    let odd = one(odd);
    for format in [FindingFormat::Ocsf, FindingFormat::Asff] {
        let error = write(&odd, format, Vec::new(), &FindingOptions::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
    }
    let text = plain(&odd, FindingFormat::Table);
    assert!(text.contains("count 1,204 from yesterday\\x07 to 2026-03-02 13:30"), "{text}");
}
