//! Options about detections and their findings.

use std::path::PathBuf;

use clap::Args;

use super::{CloudArgs, level};
use crate::cli::generate::size;
use crate::finding::Level;
use crate::report::findings::FindingFormat;

/// Which detections run, and with which values.
#[derive(Debug, Args)]
pub(in crate::cli) struct Detections {
    /// Only these detections
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Only detections with one of these tags, such as recursion or attack.t1530
    #[arg(long = "tag", value_name = "TAG", value_delimiter = ',')]
    pub tags: Vec<String>,
    /// Only detections of this level or above
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    pub min_level: Option<Level>,
    #[command(flatten)]
    pub values: DetectionValues,
}

/// What detections are given.
#[derive(Debug, Args)]
pub(in crate::cli) struct DetectionValues {
    /// Findings from this time on: 2026-03-01, 2026-03-01T12:00:00Z, or -7d
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub since: Option<String>,
    /// Findings before this time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub until: Option<String>,
    /// A parameter of a detection; may be repeated, see s3trail queries show ID
    #[arg(long = "param", short, value_name = "ID.NAME=VALUE", value_parser = detection_param)]
    pub params: Vec<DetectionParam>,
    /// A folder of saved queries laid over the built-in ones
    #[arg(long, value_name = "DIR", env = "S3TRAIL_QUERIES")]
    pub queries: Option<PathBuf>,
    /// Memory for sorting and grouping before it spills to disk, such as 2GB [default: a quarter of the machine's]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub max_memory: Option<u64>,
}

/// `ID.NAME=VALUE`.
#[derive(Debug, Clone)]
pub(in crate::cli) struct DetectionParam {
    pub id: String,
    pub name: String,
    pub value: String,
}

/// How findings are shown, and what they mean for the exit code.
#[derive(Debug, Args)]
pub(in crate::cli) struct FindingsOutput {
    /// Exit with 1 when a finding has this level or a worse one and is not suppressed; with --watch warn of it
    #[arg(long, value_name = "LEVEL", value_parser = level, env = "S3TRAIL_FAIL_ON")]
    pub fail_on: Option<Level>,
    /// Form of the findings [default: table]
    #[arg(long, value_enum, default_value = "table", hide_default_value = true)]
    pub format: FindingFormat,
    /// Write the findings to a file
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Show suppressed findings too (table, Markdown and CSV; the others always have them)
    #[arg(long)]
    pub show_suppressed: bool,
    /// Account that ASFF findings are imported into
    #[arg(long, value_name = "ACCOUNT", hide_short_help = true)]
    pub account: Option<String>,
    /// Region that ASFF findings are imported into [default: --region]
    #[arg(id = "asff_region", long = "asff-region", value_name = "REGION", hide_short_help = true)]
    pub region: Option<String>,
}

impl FindingsOutput {
    /// Takes the region of the buckets for the findings where none was given for them.
    pub fn or_region_of(&mut self, cloud: &CloudArgs) {
        if self.region.is_none() {
            self.region.clone_from(&cloud.region);
        }
    }
}

fn detection_param(text: &str) -> Result<DetectionParam, String> {
    let parts = text.split_once('.').and_then(|(id, rest)| Some((id, rest.split_once('=')?)));
    match parts {
        Some((id, (name, value))) if !id.is_empty() && !name.is_empty() => {
            Ok(DetectionParam { id: id.to_owned(), name: name.to_owned(), value: value.to_owned() })
        }
        _ => Err("write ID.NAME=VALUE, such as mass-deletion.min_keys=50".to_owned()),
    }
}
