//! Errors of the SQL engine in one line, with the way out.
//!
//! Unknown names get near matches and what there is instead; the rest of DataFusion's messages lose their
//! layers and line breaks. Nothing here decides anything: the query has already failed.

use std::collections::BTreeSet;

use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::sql::sqlparser::parser::ParserError;
use tokio::task::JoinError;

use crate::error::{Error, ErrorKind, escape_line};

/// Most names that a list of what there is shows.
const MOST_LISTED: usize = 60;

/// How the error begins of a query that was refused memory or room for what it spills.
const OUT_OF_MEMORY: &str = "the query needs more memory or disk than it may use";

/// Whether a query failed for want of memory, or of room for what it spills.
pub fn is_out_of_memory(error: &Error) -> bool {
    error.report().starts_with(OUT_OF_MEMORY)
}

/// Names that `name` could be a slip for: at most three, nearest first.
pub fn near<'a>(name: &str, candidates: &[&'a str]) -> Vec<&'a str> {
    let wanted = name.to_lowercase();
    let most = (wanted.chars().count() / 3).max(1);
    let mut found: Vec<(usize, &str)> = candidates
        .iter()
        .filter_map(|candidate| {
            let lower = candidate.to_lowercase();
            let distance = strsim::damerau_levenshtein(&wanted, &lower);
            // Half a name is often all that one remembers.
            let is_part = wanted.len() >= 4 && (lower.contains(&wanted) || wanted.contains(&lower));
            (distance <= most || is_part).then_some((distance, *candidate))
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found.into_iter().map(|(_, candidate)| candidate).take(3).collect()
}

/// `did you mean a or b? WHAT: a, b, c`.
pub fn hint(name: &str, candidates: &[&str], what: &str) -> String {
    let near = near(name, candidates);
    let mut out = String::new();
    if !near.is_empty() {
        out = format!("did you mean {}? ", near.join(" or "));
    }
    let shown = candidates.len().min(MOST_LISTED);
    let more = if shown < candidates.len() { ", ..." } else { "" };
    out.push_str(&format!("{what}: {}{more}", candidates[..shown].join(", ")));
    out
}

/// A failure of the engine as an error of kind [`ErrorKind::Query`] with a message of one line.
///
/// `state` is asked for the names that exist; without it there are no near matches for functions.
pub fn query_error(error: &DataFusionError, state: Option<&SessionState>) -> Error {
    let new = |message: String| Error::new(ErrorKind::Query, escape_line(message.trim()));
    match error.find_root() {
        DataFusionError::SchemaError(schema, _) => match schema.as_ref() {
            SchemaError::FieldNotFound { field, valid_fields } => {
                let names: BTreeSet<&str> = valid_fields.iter().map(|f| f.name.as_str()).collect();
                let error = new(format!("there is no column {}", field.flat_name()));
                if names.is_empty() {
                    return error;
                }
                error.with_hint(hint(&field.name, &names.into_iter().collect::<Vec<_>>(), "there is"))
            }
            other => new(other.to_string()),
        },
        DataFusionError::SQL(parser, _) => new(match parser.as_ref() {
            ParserError::TokenizerError(text) | ParserError::ParserError(text) => {
                format!("this is no SQL: {text}")
            }
            ParserError::RecursionLimitExceeded => "the query is nested too deeply".to_owned(),
        }),
        DataFusionError::Plan(text) => match unknown_function(text) {
            Some(name) => unknown_function_error(name, state),
            None => new(text.clone()),
        },
        DataFusionError::ResourcesExhausted(text) => new(format!("{OUT_OF_MEMORY}: {text}"))
            .with_hint("raise the memory limit, or ask for less: a shorter time, fewer columns"),
        DataFusionError::Internal(text) => new(format!("the SQL engine failed: {text}")),
        DataFusionError::ExecutionJoin(cause) => new(format!("the SQL engine failed: {cause}")),
        DataFusionError::External(cause) if cause.is::<JoinError>() => {
            new(format!("the SQL engine failed: {cause}"))
        }
        DataFusionError::Execution(text)
        | DataFusionError::NotImplemented(text)
        | DataFusionError::Configuration(text) => new(text.clone()),
        DataFusionError::External(cause) => new(cause.to_string()),
        other => new(other.strip_backtrace()),
    }
}

/// The name in DataFusion's message about a function that does not exist.
fn unknown_function(message: &str) -> Option<&str> {
    let rest = message.strip_prefix("Invalid function '")?;
    rest.split_once('\'').map(|(name, _)| name)
}

fn unknown_function_error(name: &str, state: Option<&SessionState>) -> Error {
    let error = Error::new(ErrorKind::Query, escape_line(&format!("there is no function {name}")));
    let Some(state) = state else {
        return error;
    };
    let mut names: Vec<&str> = state.scalar_functions().keys().map(String::as_str).collect();
    names.extend(state.aggregate_functions().keys().map(String::as_str));
    names.extend(state.window_functions().keys().map(String::as_str));
    let near = near(name, &names);
    if near.is_empty() {
        return error.with_hint("SHOW FUNCTIONS lists them");
    }
    error.with_hint(format!("did you mean {}? SHOW FUNCTIONS lists them all", near.join(" or ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_near() {
        let names = ["access_logs", "log_objects", "rejects", "requests", "log_deliveries"];
        assert_eq!(near("acces_logs", &names), ["access_logs"]);
        assert_eq!(near("request", &names), ["requests"]);
        assert_eq!(near("Rejects", &names), ["rejects"]);
        assert_eq!(near("deliveries", &names), ["log_deliveries"]);
        assert_eq!(near("customers", &names), Vec::<&str>::new());
        assert_eq!(near("", &names), Vec::<&str>::new());
    }

    #[test]
    fn hints_list_what_there_is() {
        assert_eq!(hint("kez", &["bucket", "key"], "there is"), "did you mean key? there is: bucket, key");
        assert_eq!(hint("nothing", &["bucket", "key"], "there is"), "there is: bucket, key");
        let many: Vec<String> = (0..100).map(|i| format!("column_{i}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(hint("x", &many, "there is").ends_with("column_59, ..."));
    }

    #[test]
    fn messages_are_one_line() {
        let error = DataFusionError::Plan("first\nsecond\u{1b}[31m".to_owned()).context("somewhere");
        let error = query_error(&error, None);
        assert_eq!(error.kind(), ErrorKind::Query);
        assert_eq!(error.report(), "first second\\u{1b}[31m");
    }
}
