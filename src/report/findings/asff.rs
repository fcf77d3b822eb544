//! AWS Security Finding Format, 2018-10-08: requests for Security Hub's `BatchImportFindings`, one a line.
//!
//! A request takes at most 100 findings and 6 MB, so a line is a whole request (`{"Findings": [...]}`) and more
//! findings are more lines: `split -l 1`, then `aws securityhub batch-import-findings --cli-input-json` for each. No
//! findings are no line, since the service refuses an empty list.
//!
//! Texts are cut to the published limits. Those count characters; here bytes are counted, which is never more, since
//! the service has been seen to do the same. `UpdatedAt` is when the finding was last seen: importing the same finding
//! twice updates nothing. `Workflow` and `Note` are taken by Security Hub when a finding is new, and belong to its
//! users from then on. Findings are the account's own, so the product is its `default`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::text::escape_for_terminal;
use super::json::compact;
use super::{FindingOptions, object_uri, partition, rfc3339, sentence, steps};
use crate::error::{Result, escape_line};
use crate::finding::{Finding, Findings};

/// Findings in a request.
const MAX_FINDINGS: usize = 100;
/// Bytes of a request: 6 MB, with room for what counts besides the findings.
const MAX_REQUEST: usize = 5_500_000;
/// Bytes of the product fields of a finding, which may have 240 kB in all.
const MAX_FIELDS: usize = 200_000;
/// Pairs in the product fields, bytes of a name and of a value.
const MAX_PAIRS: usize = 50;
const MAX_NAME: usize = 128;
const MAX_VALUE: usize = 2048;
/// Bytes of a `Title`, of a `Description`, of the texts of a recommendation and a note, and of ids.
const MAX_TITLE: usize = 256;
const MAX_DESCRIPTION: usize = 1024;
const MAX_TEXT: usize = 512;

/// Topics of detections, and what Security Hub's taxonomy calls their like.
const TYPES: [(&str, &str); 6] = [
    ("anomalies", "Unusual Behaviors"),
    ("destruction", "Effects/Data Destruction"),
    ("exfiltration", "Effects/Data Exfiltration"),
    ("public-access", "Effects/Data Exposure"),
    ("reconnaissance", "TTPs/Discovery"),
    ("recursion", "Effects/Resource Consumption"),
];
/// The type of everything else.
const OTHER_TYPE: &str = "Software and Configuration Checks/AWS Security Best Practices";

/// One request a line.
pub(super) fn requests(findings: &Findings, options: &FindingOptions) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    // Findings and bytes of the request under way.
    let (mut count, mut bytes) = (0, 0);
    for finding in &findings.findings {
        let finding = compact(&asff(finding, options)?)?;
        if count == MAX_FINDINGS || (count > 0 && bytes + finding.len() > MAX_REQUEST) {
            text.extend_from_slice(b"]}\n");
            (count, bytes) = (0, 0);
        }
        text.extend_from_slice(if count == 0 { br#"{"Findings":["# } else { b"," });
        count += 1;
        bytes += finding.len();
        text.extend(finding);
    }
    if count > 0 {
        text.extend_from_slice(b"]}\n");
    }
    Ok(text)
}

fn asff(finding: &Finding, options: &FindingOptions) -> Result<Value> {
    let region = options.region.as_deref().unwrap_or("us-east-1");
    let account = options.account.as_deref().unwrap_or("000000000000");
    let partition = partition(Some(region));
    let (first_seen, last_seen) = (rfc3339(&finding.first_seen)?, rfc3339(&finding.last_seen)?);
    let mut resource = json!({
        "Type": "AwsS3Bucket",
        "Id": clipped(&format!("arn:{partition}:s3:::{}", finding.bucket), MAX_TEXT),
        "Partition": partition,
    });
    if options.region.is_some() {
        resource["Region"] = json!(region);
    }
    let description = format!("{}. {}", sentence(finding), escape_line(&finding.description));
    let mut asff = json!({
        "SchemaVersion": "2018-10-08",
        "Id": clipped(&finding.fingerprint, MAX_TEXT),
        "ProductArn": format!("arn:{partition}:securityhub:{region}:{account}:product/{account}/default"),
        "ProductName": env!("CARGO_PKG_NAME"),
        "GeneratorId": clipped(&finding.id, MAX_TEXT),
        "AwsAccountId": account,
        "Types": types(finding),
        "FirstObservedAt": first_seen,
        "LastObservedAt": last_seen,
        "CreatedAt": first_seen,
        "UpdatedAt": last_seen,
        "Severity": { "Label": finding.level.name().to_uppercase(), "Original": finding.level },
        "Title": clipped(&escape_for_terminal(&format!("{}: {}", finding.title, finding.bucket)), MAX_TITLE),
        "Description": clipped(description.trim_end(), MAX_DESCRIPTION),
        "ProductFields": fields(finding)?,
        "Resources": [resource],
        "RecordState": "ACTIVE",
        "Workflow": { "Status": if finding.suppressed.is_some() { "SUPPRESSED" } else { "NEW" } },
    });
    if let Some(steps) = steps(&finding.runbook, " ") {
        asff["Remediation"] = json!({ "Recommendation": { "Text": clipped(&steps, MAX_TEXT) } });
    }
    if let Some(suppressed) = &finding.suppressed {
        let why = format!("Suppressed until {}: {}", suppressed.expires, suppressed.reason);
        asff["Note"] = json!({
            "Text": clipped(&why, MAX_TEXT),
            "UpdatedBy": clipped(&suppressed.owner, MAX_TEXT),
            "UpdatedAt": last_seen,
        });
    }
    Ok(asff)
}

fn types(finding: &Finding) -> Vec<&'static str> {
    let has = |tag: &str| finding.tags.iter().any(|t| t == tag);
    let types: Vec<_> = TYPES.iter().filter(|(tag, _)| has(tag)).map(|(_, name)| *name).collect();
    if types.is_empty() { vec![OTHER_TYPE] } else { types }
}

/// What has no place of its own, the most important first, as far as there is room. A text is itself, anything else
/// compact JSON; null and blank texts, which Security Hub refuses, are left out.
fn fields(finding: &Finding) -> Result<BTreeMap<String, String>> {
    let mut pairs = vec![
        ("s3trail/subject".to_owned(), finding.subject.clone()),
        ("s3trail/count".to_owned(), finding.count.to_string()),
        ("s3trail/tags".to_owned(), finding.tags.join(" ")),
    ];
    for (at, evidence) in finding.evidence.iter().enumerate() {
        let Some(mut place) = object_uri(evidence) else { continue };
        if let Some(offset) = evidence.log_offset {
            place.push_str(&format!(" byte {offset}"));
        }
        pairs.push((format!("s3trail/evidence/{at}"), place));
    }
    for (name, value) in &finding.details {
        let value = match value {
            Value::Null => continue,
            Value::String(text) => text.clone(),
            value => String::from_utf8_lossy(&compact(value)?).into_owned(),
        };
        pairs.push((format!("s3trail/details/{name}"), value));
    }
    let mut fields = BTreeMap::new();
    let mut room = MAX_FIELDS;
    for (name, value) in pairs {
        let (name, value) = (clipped(&name, MAX_NAME), clipped(&value, MAX_VALUE));
        let size = compact(&name)?.len() + compact(&value)?.len();
        if fields.len() < MAX_PAIRS && size <= room && !value.trim().is_empty() {
            room -= size;
            fields.insert(name, value);
        }
    }
    Ok(fields)
}

/// `text` in at most `max` bytes, with `…` for what was cut off.
fn clipped(text: &str, max: usize) -> String {
    const MARK: &str = "…";
    if text.len() <= max {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(max - MARK.len());
    format!("{}{MARK}", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(clipped("abcdef", 6), "abcdef");
        assert_eq!(clipped("abcdefg", 6), "abc…");
        assert_eq!(clipped("aéééé", 6), "aé…");
    }
}
