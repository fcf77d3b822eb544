//! SARIF 2.1.0, one run: a detection is a rule, a finding is a result.
//!
//! A log record stands where SARIF expects a place in a source file: the first is the location of the result, the
//! others are related locations, since SARIF means by several locations that each of them has to be repaired. The
//! bucket is the logical location. SARIF has three levels to our five; the exact one is in the properties.
//!
//! What a viewer renders (messages) has no control characters, links or placeholders of strangers in it; what it keeps
//! as data (properties) is the text as it was logged.

use serde_json::{Map, Value, json};

use super::super::text::escape_for_terminal;
use super::json::spelled;
use super::{object_uri, partition, sentence, steps};
use crate::error::Result;
use crate::finding::{Evidence, Finding, Findings, Level, Skipped};

/// The log file, each result on a line of its own.
pub(super) fn document(findings: &Findings) -> Result<Vec<u8>> {
    let mut rules: Vec<&Finding> = Vec::new();
    let mut results = Vec::with_capacity(findings.findings.len());
    for finding in &findings.findings {
        let known = rules.iter().position(|rule| rule.id == finding.id);
        let rule = known.unwrap_or_else(|| {
            rules.push(finding);
            rules.len() - 1
        });
        results.push(result(finding, rule));
    }
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": env!("CARGO_PKG_NAME"),
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules.into_iter().map(rule).collect::<Vec<_>>(),
            } },
            "invocations": [{
                "executionSuccessful": findings.skipped.is_empty(),
                "toolExecutionNotifications": findings.skipped.iter().map(notification).collect::<Vec<_>>(),
            }],
            "results": results,
        }],
    });
    // The object, the runs, the run, its arrays.
    let mut text = spelled(&log, 4)?;
    text.push(b'\n');
    Ok(text)
}

/// A detection, as one of its findings has it.
fn rule(finding: &Finding) -> Value {
    let mut rule = json!({
        "id": finding.id,
        "shortDescription": { "text": finding.title },
        "defaultConfiguration": { "level": level(finding.level) },
        "properties": { "tags": finding.tags, "level": finding.level },
    });
    if !finding.description.is_empty() {
        rule["fullDescription"] = json!({ "text": finding.description });
    }
    if let Some(steps) = steps(&finding.runbook, "\n") {
        rule["help"] = json!({ "text": steps });
    }
    rule
}

fn result(finding: &Finding, rule: usize) -> Value {
    let mut places = finding.evidence.iter().filter_map(place);
    let arn = format!("arn:{}:s3:::{}", partition(None), finding.bucket);
    let mut location = json!({
        "logicalLocations": [{ "name": finding.bucket, "fullyQualifiedName": arn, "kind": "resource" }],
    });
    if let Some(place) = places.next() {
        location["physicalLocation"] = place;
    }
    let related: Vec<Value> = places.map(|place| json!({ "physicalLocation": place })).collect();
    // Some results with suppressions and some without would be no valid run: none is the empty list.
    let suppressions = finding.suppressed.iter().map(|suppressed| {
        json!({
            "kind": "external",
            "justification": suppressed.reason,
            "properties": { "owner": suppressed.owner, "expires": suppressed.expires },
        })
    });
    let mut result = json!({
        "ruleId": finding.id,
        "ruleIndex": rule,
        "level": level(finding.level),
        "message": { "text": message(&format!("{}: {}", finding.title, sentence(finding))) },
        "locations": [location],
        "partialFingerprints": { "s3trail/v1": finding.fingerprint },
        "suppressions": suppressions.collect::<Vec<_>>(),
        "properties": {
            "level": finding.level,
            "bucket": finding.bucket,
            "subject": finding.subject,
            "count": finding.count,
            "firstSeen": finding.first_seen,
            "lastSeen": finding.last_seen,
            "details": finding.details,
        },
    });
    if !related.is_empty() {
        result["relatedLocations"] = Value::Array(related);
    }
    result
}

/// The physical location of a log record, or of the whole log object.
fn place(evidence: &Evidence) -> Option<Value> {
    let mut place = Map::new();
    place.insert("artifactLocation".to_owned(), json!({ "uri": object_uri(evidence)? }));
    if let Some(offset) = evidence.log_offset.filter(|offset| *offset >= 0) {
        place.insert("region".to_owned(), json!({ "byteOffset": offset }));
    }
    if let Some(time) = &evidence.time {
        place.insert("properties".to_owned(), json!({ "time": time }));
    }
    Some(Value::Object(place))
}

fn notification(skipped: &Skipped) -> Value {
    let text = format!("{} was not run to the end: {}", skipped.id, skipped.reason);
    json!({
        "level": "error",
        "message": { "text": message(&text) },
        "properties": { "detection": skipped.id },
    })
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Critical | Level::High => "error",
        Level::Medium => "warning",
        Level::Low | Level::Informational => "note",
    }
}

/// `text` as a message: SARIF takes `[text](target)` in it for a link and `{0}` for an argument.
fn message(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in escape_for_terminal(text).chars() {
        match c {
            '[' | ']' => out.extend(['\\', c]),
            '{' | '}' => out.extend([c, c]),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_no_meaning_of_their_own() {
        assert_eq!(message("[a](https://e.example) {0}\u{1b}[m"), r"\[a\](https://e.example) {{0}}\x1b\[m");
    }
}
