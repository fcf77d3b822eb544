//! Settings of a folder: `s3trail.toml`. Flags win over the environment, the environment over this file.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use glob::Pattern;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::args::{Moment, duration};
use crate::detect::Suppression;
use crate::error::{Error, Result};
use crate::query::params::value_text;
use crate::query::{Reference, SavedQuery};

/// The file looked for when none is named.
const DEFAULT_FILE: &str = "s3trail.toml";

/// What `s3trail.toml` may say.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// The lake, when `--lake` is not given.
    pub lake: Option<String>,
    /// The destination bucket, when `--log-bucket` is not given.
    pub log_bucket: Option<String>,
    /// Rejects for each line that are too many, 0 to 1.
    pub max_reject_ratio: Option<f64>,
    /// A folder of saved queries laid over the built-in ones.
    pub queries: Option<PathBuf>,
    /// Threads to use.
    pub threads: Option<NonZeroUsize>,
    /// US dollars by item: rows of the table `prices`.
    #[serde(default)]
    pub prices: BTreeMap<String, f64>,
    /// Requests a second by region: rows of the table `kms_quotas`.
    #[serde(default)]
    pub kms_quotas: BTreeMap<String, i64>,
    /// Log objects in S3.
    #[serde(default)]
    pub source: SourceSettings,
    /// Findings that are known and no trouble.
    #[serde(default)]
    pub suppressions: Vec<Suppression>,
    /// Values of parameters, by saved query and name.
    #[serde(default)]
    pub params: BTreeMap<String, BTreeMap<String, toml::Value>>,
}

/// `[source]`: what is the same in every run. What deletes, and what is another thing in every process, is said on the
/// command line.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(not(feature = "s3"), allow(dead_code))]
pub(super) struct SourceSettings {
    /// When `--profile` is not given.
    pub profile: Option<String>,
    /// When `--region` is not given.
    pub region: Option<String>,
    /// When `--endpoint-url` is not given.
    pub endpoint_url: Option<String>,
    /// As `--path-style`.
    pub path_style: bool,
    /// As `--requester-pays`.
    pub requester_pays: bool,
    /// When `--concurrency` is not given.
    pub concurrency: Option<NonZeroUsize>,
    /// When no `--include` is given.
    #[serde(deserialize_with = "globs")]
    pub include: Vec<Pattern>,
    /// When no `--exclude` is given.
    #[serde(deserialize_with = "globs")]
    pub exclude: Vec<Pattern>,
    /// When `--delivered-since` is not given.
    pub since: Option<Moment>,
    /// When `--older-than` is not given.
    #[serde(deserialize_with = "some_duration")]
    pub older_than: Option<Duration>,
    /// When `--lookback` is not given.
    #[serde(deserialize_with = "some_duration")]
    pub lookback: Option<Duration>,
    /// When `--full-scan-every` is not given.
    #[serde(deserialize_with = "some_duration")]
    pub full_scan_every: Option<Duration>,
    /// When `--event-days` is not given.
    pub event_days: Option<u32>,
}

fn globs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Pattern>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let glob =
        |text: &String| Pattern::new(text).map_err(|e| D::Error::custom(format!("{text} is no glob: {e}")));
    texts.iter().map(glob).collect()
}

fn some_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    duration(&String::deserialize(deserializer)?).map(Some).map_err(D::Error::custom)
}

impl Settings {
    /// Reads the file named, or `./s3trail.toml` where there is one.
    ///
    /// Errors when a named file is missing, and when a file is not valid or says something unknown.
    pub fn load(named: Option<&Path>) -> Result<Settings> {
        let path = named.unwrap_or(Path::new(DEFAULT_FILE));
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if named.is_none() && e.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Settings::default());
            }
            Err(e) => return Err(Error::io("read settings", path, e)),
        };
        let settings: Settings = toml::from_str(&text).map_err(|e| {
            let line =
                e.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            Error::usage(format!("settings are not valid: {}", e.message()))
                .with_context("file", path.display().to_string())
                .with_context("line", line.to_string())
        })?;
        settings.check().map_err(|e| e.with_context("file", path.display().to_string()))?;
        Ok(settings)
    }

    /// Refuses what has no meaning although it is well-formed.
    fn check(&self) -> Result<()> {
        for (item, usd) in &self.prices {
            let items: Vec<&str> = Reference::price_items().collect();
            if !items.contains(&item.as_str()) {
                return Err(Error::usage(format!("[prices] has no {item}"))
                    .with_hint(format!("it has {}", items.join(", "))));
            }
            if !usd.is_finite() || *usd < 0.0 {
                return Err(Error::usage(format!("the price of {item} must be a number from 0 on")));
            }
        }
        for (region, quota) in &self.kms_quotas {
            if *quota <= 0 {
                return Err(Error::usage(format!("the KMS quota of {region} must be above 0")));
            }
        }
        Ok(())
    }

    /// Prices and quotas.
    pub fn reference(&self) -> Reference {
        Reference { prices: self.prices.clone(), kms_quotas: self.kms_quotas.clone() }
    }

    /// What is given for the parameters of a saved query, and beneath it what the settings say of it.
    pub fn with_params(&self, query: &SavedQuery, given: &[(String, String)]) -> Vec<(String, String)> {
        let mut all = given.to_vec();
        for (name, value) in self.params.get(&query.id).into_iter().flatten() {
            if !given.iter().any(|(other, _)| other == name) {
                all.push((name.clone(), value_text(value)));
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Settings, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Settings::load(Some(file.path())).map_err(|e| e.report())
    }

    #[test]
    fn a_source_is_described_once_for_all_runs() {
        let text = "lake = 'l'\n[source]\nregion = 'eu-west-1'\nexclude = ['AWSLogs/*']\nlookback = '3d'\nsince = '2026-01-01'\n";
        let source = load(text).unwrap().source;
        assert_eq!(source.region.as_deref(), Some("eu-west-1"));
        assert_eq!(source.lookback, Some(Duration::from_secs(3 * 86_400)));
        assert!(source.exclude[0].matches("AWSLogs/1/x.json.gz") && source.since.is_some());
    }

    #[test]
    fn what_cannot_be_meant_is_named_with_its_line() {
        for (line, word) in [
            ("lookback = 'long'", "7d"),
            ("include = ['a***']", "a***"),
            ("since = 'yesterday'", "-7d"),
            ("concurrency = 0", "zero"),
            ("delete_after_commit = true", "delete_after_commit"),
            ("shard = '1/4'", "shard"),
        ] {
            let refused = load(&format!("[source]\n{line}\n")).unwrap_err();
            assert!(refused.contains(word) && refused.contains("line: 2"), "{line}: {refused}");
        }
    }
}
