//! `s3trail queries`: what can be asked by name.

use std::process::ExitCode;

use super::args::{QueriesArgs, QueriesCommand};
use super::settings::Settings;
use crate::error::Result;
use crate::query::{Catalog, SavedQuery};

pub(super) fn run(args: QueriesArgs, settings: &Settings) -> Result<ExitCode> {
    let catalog = Catalog::load(args.queries.as_deref().or(settings.queries.as_deref()))?;
    match args.command.unwrap_or(QueriesCommand::List) {
        QueriesCommand::List => list(&catalog),
        QueriesCommand::Show { name } => show(catalog.get(&name)?),
    }
    Ok(ExitCode::SUCCESS)
}

fn list(catalog: &Catalog) {
    let width = catalog.iter().map(|q| q.id.len()).max().unwrap_or(0);
    for query in catalog.iter() {
        println!("{:<width$}  {:<9}  {}", query.id, query.kind.name(), query.title);
    }
}

fn show(query: &SavedQuery) {
    println!("{} ({}): {}", query.id, query.kind.name(), query.title);
    println!("\n{}", query.description.trim());
    if !query.tags.is_empty() {
        println!("\ntags: {}", query.tags.join(", "));
    }
    for step in &query.runbook {
        println!("  - {step}");
    }
    if !query.params.is_empty() {
        println!("\nparameters (-p name=value):");
    }
    for (name, spec) in &query.params {
        let default = match spec.default_text() {
            Some(text) if text.is_empty() => String::new(),
            Some(text) => format!(" [default: {text}]"),
            None if spec.required => " [required]".to_owned(),
            None => String::new(),
        };
        println!("  {name}  {}  {}{default}", spec.param_type.name(), spec.help);
    }
    println!("\n{}", query.body().trim());
}
