//! `s3trail recursion`: the delivery graph with its loops.

use std::process::ExitCode;

use super::Ui;
use super::args::RecursionArgs;
use super::output::write_to;
use super::settings::Settings;
use super::target::Opened;
use crate::error::Result;
use crate::query::{Catalog, Engine, Params};
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
    let edges: Vec<Edge> =
        Engine::rows(&engine.collect(frame).await?).map_err(|e| e.with_context("report", REPORT))?;
    write_to(args.output.as_deref(), |out| graph::write(&edges, args.format, out))?;
    Ok(opened.exit_code())
}
