//! The topics that saved queries belong to: what access logs show of each, and what they cannot show.
//!
//! The words are in `queries/topics.toml`. A saved query belongs to the topic that is its first tag.

use std::fmt::Write as _;

use serde::Deserialize;

use super::saved::{Catalog, Kind, SavedQuery};
use crate::error::{Error, ErrorKind, Result};

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topic {
    /// The first tag of its queries.
    pub id: String,
    /// Its name for people.
    pub title: String,
    /// What these logs show.
    pub shows: String,
    /// What they cannot show.
    pub cannot_show: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    topic: Vec<Topic>,
}

impl Topic {
    /// Every topic, in the order of the file.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Internal`] when the file of the program is damaged.
    pub fn all() -> Result<Vec<Topic>> {
        let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/queries/topics.toml"));
        let file: File = toml::from_str(text)
            .map_err(|e| Error::new(ErrorKind::Internal, "the topics cannot be read").with_source(e))?;
        Ok(file.topic)
    }

    /// The queries of this topic but views, detections first, worst first.
    pub fn queries<'c>(&self, catalog: &'c Catalog) -> Vec<&'c SavedQuery> {
        let mut queries: Vec<&SavedQuery> = catalog
            .iter()
            .filter(|query| query.kind != Kind::View && query.tags.first() == Some(&self.id))
            .collect();
        queries.sort_by(|a, b| (a.kind, b.level, &a.id).cmp(&(b.kind, a.level, &b.id)));
        queries
    }
}

/// `queries/README.md`: every topic and every saved query.
///
/// # Errors
///
/// As [`Topic::all`].
pub fn index(catalog: &Catalog) -> Result<String> {
    let mut out = "# Saved queries\n\n\
        This page is made by `s3trail queries index`; a test fails when it is stale.\n\n\
        `s3trail query NAME` runs one, `s3trail queries show NAME` explains it with its parameters, `s3trail detect` runs \
        all detections.\n\n\
        ## Topic by topic\n\n\
        | topic | what these logs show | queries | what they cannot show |\n|---|---|---|---|\n"
        .to_owned();
    for topic in Topic::all()? {
        let names: Vec<String> =
            topic.queries(catalog).iter().map(|query| format!("`{}`", query.id)).collect();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let Topic { title, shows, cannot_show, .. } = &topic;
        let _ = writeln!(out, "| {} | {} | {names} | {} |", cell(title), cell(shows), cell(cannot_show));
    }
    for (kind, heading) in [(Kind::Detection, "Detections"), (Kind::Report, "Reports"), (Kind::View, "Views")]
    {
        let _ = writeln!(out, "\n## {heading}\n");
        let has_level = kind == Kind::Detection;
        out.push_str(if has_level {
            "| name | level | finds | tags |\n|---|---|---|---|\n"
        } else {
            "| name | tells | tags |\n|---|---|---|\n"
        });
        for query in catalog.of_kind(kind) {
            let level = query.level.map(|level| format!(" {level} |")).unwrap_or_default();
            let _ = writeln!(
                out,
                "| `{}` |{level} {} | {} |",
                query.id,
                cell(&query.title),
                query.tags.join(", ")
            );
        }
    }
    Ok(out)
}

/// Text as a cell of a Markdown table.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
