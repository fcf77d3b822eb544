//! OCSF, class Detection Finding (2004), one event a line: the form in which data lakes and SIEMs take events.
//!
//! The events say version 1.1.0, the first with this class and the one every consumer knows, and use only what later
//! versions still have. What OCSF has no place for is in `unmapped`. Every run creates its findings anew as far as we
//! know, so the activity is always Create; `finding_info.uid`, the fingerprint, tells that it is the same finding.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::json::compact;
use super::{FindingOptions, instant, partition, sentence, steps};
use crate::error::Result;
use crate::finding::{Evidence, Finding, Findings, Level};

const VERSION: &str = "1.1.0";

/// One event a line, nothing at all without findings.
pub(super) fn lines(findings: &Findings, options: &FindingOptions) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    for finding in &findings.findings {
        text.extend(compact(&event(finding, options)?)?);
        text.push(b'\n');
    }
    Ok(text)
}

fn event(finding: &Finding, options: &FindingOptions) -> Result<Value> {
    let first_seen = instant(&finding.first_seen)?.timestamp_millis();
    let last_seen = instant(&finding.last_seen)?.timestamp_millis();
    let (severity_id, severity) = severity(finding.level);
    let is_suppressed = finding.suppressed.is_some();
    let mut event = json!({
        "category_uid": 2,
        "category_name": "Findings",
        "class_uid": 2004,
        "class_name": "Detection Finding",
        "activity_id": 1,
        "activity_name": "Create",
        "type_uid": 200_401,
        "type_name": "Detection Finding: Create",
        "time": last_seen,
        "start_time": first_seen,
        "end_time": last_seen,
        "severity_id": severity_id,
        "severity": severity,
        "status_id": if is_suppressed { 3 } else { 1 },
        "status": if is_suppressed { "Suppressed" } else { "New" },
        "message": sentence(finding),
        "metadata": {
            "version": VERSION,
            "profiles": ["cloud"],
            "product": {
                "name": env!("CARGO_PKG_NAME"),
                "vendor_name": env!("CARGO_PKG_NAME"),
                "version": env!("CARGO_PKG_VERSION"),
            },
            "event_code": finding.id,
            "labels": finding.tags,
        },
        "cloud": cloud(options),
        "finding_info": info(finding, first_seen, last_seen),
        "resources": [{
            "uid": format!("arn:{}:s3:::{}", partition(options.region.as_deref()), finding.bucket),
            "name": finding.bucket,
            "type": "AWS::S3::Bucket",
            "cloud_partition": partition(options.region.as_deref()),
        }],
        "observables": observables(finding),
        "unmapped": { "subject": finding.subject, "count": finding.count, "details": finding.details },
    });
    // Some consumers keep `count` in 32 bits; the number itself is in `unmapped` whatever it is.
    if let Ok(count) = i32::try_from(finding.count) {
        event["count"] = json!(count);
    }
    if !finding.evidence.is_empty() {
        event["evidences"] = finding.evidence.iter().map(evidence).collect();
    }
    if let Some(steps) = steps(&finding.runbook, "\n") {
        event["remediation"] = json!({ "desc": steps });
    }
    if let Some(suppressed) = &finding.suppressed {
        event["status_detail"] = json!(suppressed.reason);
        event["comment"] = json!(format!("suppressed by {} until {}", suppressed.owner, suppressed.expires));
    }
    Ok(event)
}

fn info(finding: &Finding, first_seen: i64, last_seen: i64) -> Value {
    let (attacks, types): (Vec<&String>, Vec<&String>) =
        finding.tags.iter().partition(|tag| technique(tag).is_some());
    let mut info = json!({
        "uid": finding.fingerprint,
        "title": finding.title,
        "types": types,
        "first_seen_time": first_seen,
        "last_seen_time": last_seen,
        "data_sources": ["Amazon S3 server access logs"],
        "analytic": { "uid": finding.id, "name": finding.title, "type_id": 1, "type": "Rule" },
    });
    if !finding.description.is_empty() {
        info["desc"] = json!(finding.description);
    }
    if !attacks.is_empty() {
        info["attacks"] = attacks.into_iter().filter_map(|tag| technique(tag)).collect();
    }
    info
}

/// The MITRE ATT&CK technique, and the part of it, that a tag such as `attack.t1567.002` names.
fn technique(tag: &str) -> Option<Value> {
    let uid = tag.strip_prefix("attack.t")?;
    let (technique, part) = uid.split_once('.').map_or((uid, None), |(uid, part)| (uid, Some(part)));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !is_number(technique) || !part.is_none_or(is_number) {
        return None;
    }
    let mut attack = json!({ "technique": { "uid": format!("T{technique}") } });
    if part.is_some() {
        attack["sub_technique"] = json!({ "uid": format!("T{uid}") });
    }
    Some(attack)
}

fn cloud(options: &FindingOptions) -> Value {
    let mut cloud = json!({ "provider": "AWS" });
    if let Some(region) = &options.region {
        cloud["region"] = json!(region);
    }
    if let Some(account) = &options.account {
        cloud["account"] = json!({ "uid": account, "type": "AWS Account", "type_id": 10 });
    }
    cloud
}

/// What a consumer may want to look up elsewhere: the bucket, and the subject where it is an address.
fn observables(finding: &Finding) -> Vec<Value> {
    let bucket = json!({
        "name": "resources.name",
        "type": "Resource UID",
        "type_id": 10,
        "value": finding.bucket,
    });
    let address = finding.subject.parse::<IpAddr>().ok().map(|address| {
        json!({
            "name": "unmapped.subject",
            "type": "IP Address",
            "type_id": 2,
            "value": address.to_string(),
        })
    });
    std::iter::once(bucket).chain(address).collect()
}

fn evidence(evidence: &Evidence) -> Value {
    json!({ "data": evidence })
}

fn severity(level: Level) -> (u8, &'static str) {
    match level {
        Level::Informational => (1, "Informational"),
        Level::Low => (2, "Low"),
        Level::Medium => (3, "Medium"),
        Level::High => (4, "High"),
        Level::Critical => (5, "Critical"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn techniques_are_read_from_tags() {
        assert_eq!(technique("attack.t1530"), Some(json!({ "technique": { "uid": "T1530" } })));
        assert_eq!(
            technique("attack.t1567.002"),
            Some(json!({ "technique": { "uid": "T1567" }, "sub_technique": { "uid": "T1567.002" } }))
        );
        for tag in ["recursion", "attack.", "attack.t", "attack.t1.", "attack.persistence", "attack.t1.x"] {
            assert_eq!(technique(tag), None, "{tag}");
        }
    }
}
