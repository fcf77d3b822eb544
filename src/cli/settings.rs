//! Settings of a folder: `s3trail.toml`. Flags win over the environment, the environment over this file.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::{Error, Result};

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
        toml::from_str(&text).map_err(|e| {
            let line =
                e.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            Error::usage(format!("settings are not valid: {}", e.message()))
                .with_context("file", path.display().to_string())
                .with_context("line", line.to_string())
        })
    }
}
