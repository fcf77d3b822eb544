//! `s3trail detect`: look for trouble and say what was found.

use std::process::ExitCode;
use std::sync::Arc;

use super::args::{DetectArgs, DetectionValues, Detections, FindingsOutput};
use super::ingest::DEFAULT_MAX_REJECT_RATIO;
use super::notes::Note;
use super::output::{terminal_width, write_to};
use super::settings::Settings;
use super::target::Opened;
use super::{FOUND, TROUBLE, Ui, threads};
use crate::detect::{Job, Selection, Suppressions, detect};
use crate::error::{Error, Result};
use crate::finding::{Findings, Level};
use crate::query::{Catalog, Kind, Params, SavedQuery, usual_bytes};
use crate::report::findings::{self, FindingOptions};

pub(super) async fn run(args: DetectArgs, settings: &Settings, ui: &Ui) -> Result<ExitCode> {
    let plan = Plan::new(&args.detections, settings)?;
    let opened = Opened::open(&args.target, settings, ui).await?;
    let findings = plan.run(&opened, &args.detections.values, settings, ui).await?;
    show(&findings, &args.output)?;
    // No finding in what was read says nothing of what was not.
    let limit = settings.max_reject_ratio.unwrap_or(DEFAULT_MAX_REJECT_RATIO);
    let is_refused = opened.reject_ratio > limit;
    if is_refused {
        ui.note(&Note::RejectRatioExceeded { ratio: opened.reject_ratio, limit });
    }
    match opened.is_partial || is_refused {
        true => Ok(ExitCode::from(TROUBLE)),
        false => Ok(exit_code(&findings, args.output.fail_on)),
    }
}

/// Detections that are going to run, checked as far as that goes without a lake.
pub(super) struct Plan {
    catalog: Catalog,
    jobs: Vec<Job>,
    suppressions: Suppressions,
}

impl Plan {
    pub fn new(detections: &Detections, settings: &Settings) -> Result<Plan> {
        let catalog = Catalog::load(detections.values.queries.as_deref().or(settings.queries.as_deref()))?;
        let selection = Selection {
            only: detections.only.clone(),
            tags: detections.tags.clone(),
            min_level: detections.min_level,
        };
        let jobs = selection.choose(&catalog)?;
        let jobs = jobs.into_iter().map(|query| job(query, &detections.values, settings));
        let jobs = jobs.collect::<Result<Vec<_>>>()?;
        for param in &detections.values.params {
            if !jobs.iter().any(|job| job.query.id == param.id) {
                return Err(Error::usage(format!("{} is not among the detections that run", param.id))
                    .with_hint("write -p ID.NAME=VALUE; s3trail queries list names the detections"));
            }
        }
        let ids: Vec<&str> = catalog.of_kind(Kind::Detection).map(|query| query.id.as_str()).collect();
        let today = chrono::Utc::now().date_naive();
        let suppressions = Suppressions::new(&settings.suppressions, &ids, today)?;
        Ok(Plan { catalog, jobs, suppressions })
    }

    pub async fn run(
        &self,
        opened: &Opened,
        values: &DetectionValues,
        settings: &Settings,
        ui: &Ui,
    ) -> Result<Findings> {
        let max_memory = values.max_memory.unwrap_or_else(usual_bytes);
        let engine = Arc::new(opened.engine(&self.catalog, settings, Some(max_memory), None).await?);
        let bar = ui.counter(self.jobs.len() as u64);
        let on_done = |_: &str, _: usize, _: std::time::Duration| bar.inc(1);
        let findings = detect(&engine, &self.jobs, &self.suppressions, threads(), &on_done).await;
        bar.finish_and_clear();
        for skipped in &findings.skipped {
            ui.note(&Note::DetectionFailed { id: skipped.id.clone(), reason: skipped.reason.clone() });
        }
        for (id, owner, expired) in self.suppressions.expired(&findings.findings) {
            let (id, owner, expired) = (id.to_owned(), owner.to_owned(), expired.to_string());
            ui.note(&Note::SuppressionExpired { id, owner, expired });
        }
        Ok(findings)
    }
}

/// A detection with what the command line and the settings say of its parameters.
pub(super) fn job(query: &SavedQuery, values: &DetectionValues, settings: &Settings) -> Result<Job> {
    let mut given: Vec<(String, String)> = Vec::new();
    for param in values.params.iter().filter(|param| param.id == query.id) {
        given.push((param.name.clone(), param.value.clone()));
    }
    for (name, value) in [("since", &values.since), ("until", &values.until)] {
        if let Some(value) = value
            && query.params.contains_key(name)
            && !given.iter().any(|(given, _)| given == name)
        {
            given.push((name.to_owned(), value.clone()));
        }
    }
    let params = Params::bind(query, &settings.with_params(query, &given))?;
    Ok(Job { query: query.clone(), params })
}

/// Writes the findings.
pub(super) fn show(found: &Findings, output: &FindingsOutput) -> Result<()> {
    let options = FindingOptions {
        width: if output.output.is_none() { terminal_width() } else { None },
        show_suppressed: output.show_suppressed,
        csv_raw: false,
        region: output.region.clone(),
        account: output.account.clone(),
    };
    write_to(output.output.as_deref(), |out| findings::write(found, output.format, out, &options))
}

/// Whether a detection could not be run, or there is a finding that `--fail-on` asks for.
pub(super) fn exit_code(found: &Findings, fail_on: Option<Level>) -> ExitCode {
    let matters = |least| found.active().any(|finding| finding.level >= least);
    if !found.skipped.is_empty() {
        ExitCode::from(TROUBLE)
    } else if fail_on.is_some_and(matters) {
        ExitCode::from(FOUND)
    } else {
        ExitCode::SUCCESS
    }
}
