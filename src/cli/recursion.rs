//! `s3trail recursion`: the delivery graph with its loops.

use std::process::ExitCode;

use arrow::json::WriterBuilder;
use arrow::json::writer::LineDelimited;

use super::Ui;
use super::args::RecursionArgs;
use super::output::write_to;
use super::settings::Settings;
use super::target::Opened;
use crate::error::{Error, ErrorKind, Result};
use crate::query::{Catalog, Params};
use crate::report::graph::{self, Edge};

/// The report that gives the edges.
const REPORT: &str = "delivery-graph";

pub(super) async fn run(args: RecursionArgs, settings: &Settings, ui: &Ui) -> Result<ExitCode> {
    let catalog = Catalog::load(args.queries.as_deref().or(settings.queries.as_deref()))?;
    let report = catalog.get(REPORT)?;
    let mut given = Vec::new();
    for (name, value) in [("since", &args.since), ("until", &args.until)] {
        given.extend(value.iter().map(|value| (name.to_owned(), value.clone())));
    }
    let params = Params::bind(report, &settings.with_params(report, &given))?;
    let opened = Opened::open(&args.target, settings, ui).await?;
    let engine = opened.engine(&catalog, settings, None, None).await?;
    let frame = engine.plan(report.sql(), &params).await?;
    let batches = engine.collect(frame).await?;
    let failed = |e| Error::new(ErrorKind::Internal, "edges cannot be read").with_source(e);
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(Vec::new());
    batches.iter().try_for_each(|batch| writer.write(batch)).map_err(failed)?;
    writer.finish().map_err(failed)?;
    let json = writer.into_inner();
    let edges: Result<Vec<Edge>, _> = serde_json::Deserializer::from_slice(&json).into_iter().collect();
    let edges = edges.map_err(|e| {
        Error::new(ErrorKind::Query, format!("{REPORT} does not return the columns of edges")).with_source(e)
    })?;
    write_to(args.output.as_deref(), |out| graph::write(&edges, args.format, out))?;
    Ok(ExitCode::SUCCESS)
}
