//! `s3trail queries`: what can be asked by name.
//!
//! Files of a folder are read here before anybody has read them: nothing in them reaches a terminal unescaped.

use std::process::ExitCode;

use super::args::{QueriesArgs, QueriesCommand, QueriesFilter};
use super::settings::Settings;
use crate::error::{Error, Result};
use crate::query::topics::{Topic, index};
use crate::query::{Catalog, SavedQuery, suggest};
use crate::report::text::escape_for_terminal;

pub(super) fn run(args: QueriesArgs, settings: &Settings) -> Result<ExitCode> {
    let catalog = Catalog::load(args.queries.as_deref().or(settings.queries.as_deref()))?;
    match args.command.unwrap_or(QueriesCommand::List(QueriesFilter::default())) {
        QueriesCommand::List(filter) => list(&catalog, &filter)?,
        QueriesCommand::Show { name } => show(catalog.get(&name)?),
        QueriesCommand::Index => print!("{}", escape_lines(&index(&catalog)?)),
    }
    Ok(ExitCode::SUCCESS)
}

/// One line for each saved query, topic by topic.
fn list(catalog: &Catalog, filter: &QueriesFilter) -> Result<()> {
    let topics = Topic::all()?;
    if let Some(unknown) = filter.topic.iter().find(|name| topics.iter().all(|topic| topic.id != **name)) {
        let ids: Vec<&str> = topics.iter().map(|topic| topic.id.as_str()).collect();
        return Err(Error::usage(format!("there is no topic {unknown}"))
            .with_hint(suggest::hint(unknown, &ids, "there is")));
    }
    let is_wanted = |query: &SavedQuery| {
        filter.kind.is_none_or(|kind| kind.name() == query.kind.name())
            && filter.min_level.is_none_or(|least| query.level.is_some_and(|level| level >= least))
    };
    let width = catalog.iter().map(|query| escape_for_terminal(&query.id).len()).max().unwrap_or(0);
    let line = |query: &SavedQuery| {
        let level = query.level.map_or("", |level| level.name());
        let (id, title) = (escape_for_terminal(&query.id), escape_for_terminal(&query.title));
        println!("  {id:<width$}  {:<9}  {level:<13}  {title}", query.kind.name());
    };
    for topic in topics.iter().filter(|topic| filter.topic.is_empty() || filter.topic.contains(&topic.id)) {
        let queries: Vec<_> = topic.queries(catalog).into_iter().filter(|query| is_wanted(query)).collect();
        if !queries.is_empty() {
            println!("{} ({})", topic.title, topic.id);
            queries.into_iter().for_each(line);
        }
    }
    // Views, and queries of a folder whose first tag is no topic.
    let has_topic = |query: &SavedQuery| topics.iter().any(|topic| topic.queries(catalog).contains(&query));
    let rest: Vec<_> = catalog.iter().filter(|query| is_wanted(query) && !has_topic(query)).collect();
    if filter.topic.is_empty() && !rest.is_empty() {
        println!("Others");
        rest.into_iter().for_each(line);
    }
    Ok(())
}

fn show(query: &SavedQuery) {
    let level = query.level.map(|level| format!(", {level}")).unwrap_or_default();
    let (id, title) = (escape_for_terminal(&query.id), escape_for_terminal(&query.title));
    println!("{id} ({}{level}): {title}", query.kind.name());
    println!("\n{}", escape_lines(query.description.trim()));
    for (heading, lines) in [("what to do", &query.runbook), ("false positives", &query.falsepositives)] {
        if !lines.is_empty() {
            println!("\n{heading}:");
        }
        for line in lines {
            println!("  - {}", escape_lines(line));
        }
    }
    if !query.tags.is_empty() {
        println!("\ntags: {}", escape_for_terminal(&query.tags.join(", ")));
    }
    if !query.params.is_empty() {
        println!("\nparameters (-p name=value):");
    }
    for (name, spec) in &query.params {
        let default = match spec.default_text() {
            Some(text) if text.is_empty() => String::new(),
            Some(text) => format!(" [default: {}]", escape_for_terminal(&text)),
            None if spec.required => " [required]".to_owned(),
            None => String::new(),
        };
        println!("  {name}  {}  {}{default}", spec.param_type.name(), escape_lines(&spec.help));
    }
    println!("\n{}", escape_lines(query.body().trim()));
}

/// Text of several lines, safe to show: line breaks and tabs stay.
fn escape_lines(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    let mut out = String::with_capacity(text.len());
    for piece in text.split_inclusive(['\n', '\t']) {
        let plain = piece.trim_end_matches(['\n', '\t']);
        out.push_str(&escape_for_terminal(plain));
        out.push_str(&piece[plain.len()..]);
    }
    out
}
