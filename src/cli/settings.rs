//! Settings of a folder: `s3trail.toml`. Flags win over the environment, the environment over this file.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use serde::Deserialize;

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
    /// Findings that are known and no trouble.
    #[serde(default)]
    pub suppressions: Vec<Suppression>,
    /// Values of parameters, by saved query and name.
    #[serde(default)]
    pub params: BTreeMap<String, BTreeMap<String, toml::Value>>,
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
