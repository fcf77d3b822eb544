//! What a question is put to: a lake, or log objects through a lake that is thrown away.

use std::process::ExitCode;
use std::time::Duration;

use super::args::Target;
use super::ingest::{lake_location, print_summary, report_trouble};
use super::progress::Bar;
use super::settings::Settings;
use super::shared::{bucket_of, open_lake, open_sources};
use super::{TROUBLE, Ui, threads};
use crate::audit;
use crate::error::{Error, Result};
use crate::ingest::{IngestOptions, ingest};
use crate::lake::{Lake, Table};
use crate::query::{Catalog, Engine, EngineOptions, reference, views};
use crate::source::SourceOptions;
use crate::stop::Stop;

/// A lake, and the folder that goes away with it when it is a temporary one.
pub(super) struct Opened {
    pub lake: Lake,
    /// Whether log objects of `--logs` could not be read: the answer is not about all that was asked.
    pub is_partial: bool,
    /// Lines of `--logs` that were refused, by lines.
    pub reject_ratio: f64,
    _temporary: Option<tempfile::TempDir>,
}

impl Opened {
    /// Opens the lake that was named, or makes one of the log objects that were.
    pub async fn open(target: &Target, settings: &Settings, ui: &Ui) -> Result<Opened> {
        let reach = target.cloud.reach(&settings.source);
        if target.logs.is_empty() {
            let location = lake_location(target.lake.as_deref(), settings, ui);
            return Ok(Opened::of(open_lake(&location, &reach).await?));
        }
        let folder = tempfile::Builder::new()
            .prefix("s3trail-")
            .tempdir()
            .map_err(|e| Error::io("create a temporary lake", std::env::temp_dir(), e))?;
        let bar = Bar::new(&target.logs, ui.quiet);
        let bucket = bucket_of(&target.logs)?.map(|(bucket, _)| bucket);
        let wanted = SourceOptions { concurrency: target.cloud.concurrency, ..SourceOptions::default() };
        let sources = open_sources(&target.logs, &wanted, &reach, None, *ui).await?;
        let location = folder.path().join("lake");
        let mut lake = Lake::open_or_create(&location.to_string_lossy()).await?;
        let options = IngestOptions {
            log_bucket: bucket.or_else(|| target.log_bucket.clone()),
            durable: false,
            ..IngestOptions::default()
        };
        let summary = ingest(Some(&mut lake), sources, &options, &bar, &Stop::new()).await?;
        report_trouble(&summary, bar.finish(), ui);
        print_summary(&summary, false, ui);
        let is_partial = summary.incomplete || summary.failed_objects > 0;
        Ok(Opened { lake, is_partial, reject_ratio: summary.reject_ratio(), _temporary: Some(folder) })
    }

    /// A lake that was there.
    fn of(lake: Lake) -> Opened {
        Opened { lake, is_partial: false, reject_ratio: 0.0, _temporary: None }
    }

    /// The exit code of an answer to a question.
    pub fn exit_code(&self) -> ExitCode {
        if self.is_partial { ExitCode::from(TROUBLE) } else { ExitCode::SUCCESS }
    }

    /// An engine over one snapshot of the lake, with the views of `catalog`.
    pub async fn engine(
        &self,
        catalog: &Catalog,
        settings: &Settings,
        max_memory: Option<u64>,
        timeout: Option<Duration>,
    ) -> Result<Engine> {
        let options = EngineOptions {
            threads: Some(threads()),
            memory_limit_bytes: max_memory,
            timeout,
            ..EngineOptions::default()
        };
        let engine = Engine::new(&options)?;
        for table in Table::ALL {
            engine.register_table(table.name(), self.lake.provider(table).await?).await?;
        }
        let configuration = audit::side_table();
        engine.register_table(configuration.name, self.lake.side_provider(&configuration).await?).await?;
        reference::register(&engine, &settings.reference()).await?;
        views::register(&engine, catalog).await?;
        Ok(engine)
    }
}
