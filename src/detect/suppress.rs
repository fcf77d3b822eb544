//! Suppressions: findings that somebody has looked at and answers for, until a day.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use glob::Pattern;
use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::finding::{Finding, Suppressed};
use crate::query::suggest;

/// One suppression, as the settings say it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suppression {
    /// The detection.
    pub id: String,
    /// Fields of the finding (`bucket`, `subject`, `fingerprint` or a detail) and what they must be; `*` stands
    /// for anything. All must fit; empty fits every finding of the detection.
    #[serde(default, rename = "match")]
    pub fields: BTreeMap<String, String>,
    /// Why it is no trouble.
    pub reason: String,
    /// Who answers for it.
    pub owner: String,
    /// The last day it holds.
    pub expires: toml::value::Datetime,
}

/// The suppressions of a run.
#[derive(Debug, Default)]
pub struct Suppressions {
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    id: String,
    fields: Vec<(String, Pattern)>,
    suppressed: Suppressed,
    expires: NaiveDate,
    is_expired: bool,
}

impl Suppressions {
    /// Reads suppressions as of `today`. `detections` are the ids there are.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Usage`](crate::error::ErrorKind::Usage) for an unknown detection, a pattern that is none, an
    /// empty reason or owner, and an expiry that is no date.
    pub fn new(suppressions: &[Suppression], detections: &[&str], today: NaiveDate) -> Result<Self> {
        let rule = |suppression: &Suppression| {
            let Suppression { id, fields, reason, owner, expires } = suppression;
            if !detections.contains(&id.as_str()) {
                return Err(Error::usage(format!(
                    "a suppression names the detection {id}, which is not there"
                ))
                .with_hint(suggest::hint(id, detections, "there is")));
            }
            if reason.trim().is_empty() || owner.trim().is_empty() {
                return Err(Error::usage(format!("the suppression of {id} needs a reason and an owner")));
            }
            let date = expires.date.filter(|_| expires.time.is_none());
            let date =
                date.and_then(|d| NaiveDate::from_ymd_opt(d.year.into(), d.month.into(), d.day.into()));
            let Some(date) = date else {
                return Err(Error::usage(format!(
                    "the suppression of {id} expires on `{expires}`, which is no date"
                ))
                .with_hint("write expires = 2026-12-31"));
            };
            let pattern = |(field, text): (&String, &String)| match Pattern::new(text) {
                Ok(pattern) => Ok((field.clone(), pattern)),
                Err(e) => {
                    Err(Error::usage(format!("the suppression of {id} has no valid pattern for {field}"))
                        .with_source(e))
                }
            };
            Ok(Rule {
                id: id.clone(),
                fields: fields.iter().map(pattern).collect::<Result<_>>()?,
                suppressed: Suppressed {
                    reason: reason.clone(),
                    owner: owner.clone(),
                    expires: date.to_string(),
                },
                expires: date,
                is_expired: date < today,
            })
        };
        Ok(Self { rules: suppressions.iter().map(rule).collect::<Result<_>>()? })
    }

    /// The suppression that covers a finding and still holds, if there is one.
    pub(super) fn of(&self, finding: &Finding) -> Option<Suppressed> {
        let rule = self.rules.iter().find(|rule| !rule.is_expired && rule.covers(finding))?;
        Some(rule.suppressed.clone())
    }

    /// Suppressions that do not hold any more and would cover one of `findings`: detection, owner, last day.
    pub fn expired<'s>(
        &'s self,
        findings: &'s [Finding],
    ) -> impl Iterator<Item = (&'s str, &'s str, NaiveDate)> {
        let rules = self.rules.iter().filter(|rule| rule.is_expired);
        let rules = rules.filter(|rule| findings.iter().any(|f| f.suppressed.is_none() && rule.covers(f)));
        rules.map(|rule| (rule.id.as_str(), rule.suppressed.owner.as_str(), rule.expires))
    }
}

impl Rule {
    fn covers(&self, finding: &Finding) -> bool {
        self.id == finding.id
            && self.fields.iter().all(|(field, pattern)| {
                let value = match field.as_str() {
                    "bucket" => finding.bucket.as_str().into(),
                    "subject" => finding.subject.as_str().into(),
                    "fingerprint" => finding.fingerprint.as_str().into(),
                    _ => match finding.details.get(field) {
                        Some(Value::String(text)) => text.as_str().into(),
                        Some(other) => std::borrow::Cow::from(other.to_string()),
                        None => return false,
                    },
                };
                pattern.matches(&value)
            })
    }
}
