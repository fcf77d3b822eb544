//! The delivery graph: which bucket's log goes where, and the loops in it, as a tree for people, as Mermaid, DOT or
//! JSON.
//!
//! It is given edges and knows how to draw them; how they were found, and which are loops, was decided before. Names
//! of buckets come from log records, so every format escapes them, and none that is not a bucket name gets into a
//! command.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write;

use serde::{Deserialize, Serialize};

use super::not_written;
use super::text::{bytes, count, counted, escape_for_terminal, push_json_string};
use crate::error::{Error, ErrorKind, Result};

/// The format of a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum GraphFormat {
    /// A tree for reading, and what to do about each loop
    Text,
    /// A Mermaid flow chart, for Markdown pages
    Mermaid,
    /// Graphviz
    Dot,
    /// One JSON object: edges and loops
    Json,
}

/// Deliveries from one bucket to another, by one kind of evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edge {
    /// The bucket that is logged; null when the log does not tell.
    pub source_bucket: Option<String>,
    /// The bucket that receives its log.
    pub destination_bucket: String,
    /// `certain`, `observed` or `inferred`.
    pub evidence_kind: String,
    /// Log objects.
    pub objects: i64,
    /// Their bytes, where known.
    pub bytes: Option<i64>,
    /// First delivery seen, RFC 3339.
    pub first_seen: Option<String>,
    /// Last delivery seen, RFC 3339.
    pub last_seen: Option<String>,
    /// When the logging of the source bucket was changed, and no such delivery was seen since; RFC 3339.
    #[serde(default)]
    pub ended_at: Option<String>,
    /// The loop the edge is part of, as `a -> b -> a`; null for none.
    #[serde(rename = "loop")]
    pub loop_path: Option<String>,
}

/// A loop and how to break it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Loop {
    path: String,
    /// When the first of its edges ended.
    ended_at: Option<String>,
    fix: String,
    command: Option<String>,
}

impl Loop {
    fn new(path: &str, edges: &[Edge]) -> Self {
        let buckets: Vec<&str> = path.split(" -> ").collect();
        // The last delivery of the path is the one that closes it.
        let closing = buckets.iter().rev().nth(1).copied().unwrap_or(path);
        let fix = if buckets.len() <= 2 {
            format!("switch off the access log of {closing}, or deliver it to a bucket that is not logged")
        } else {
            format!("switch off the access log of one bucket, say {closing}, or deliver it out of the loop")
        };
        let is_name = closing.len() >= 3
            && closing.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
            && closing.as_bytes()[0] != b'-';
        let command = is_name.then(|| {
            format!("aws s3api put-bucket-logging --bucket {closing} --bucket-logging-status '{{}}'")
        });
        let is_step = |edge: &&Edge| {
            buckets.windows(2).any(|step| {
                edge.source_bucket.as_deref() == Some(step[0]) && edge.destination_bucket == step[1]
            })
        };
        let ended_at = edges.iter().filter(is_step).filter_map(|edge| edge.ended_at.clone()).min();
        Self { path: path.to_owned(), ended_at, fix, command }
    }
}

/// Writes the graph.
///
/// # Errors
/// [`ErrorKind::Io`] when the output cannot be written.
pub fn write(edges: &[Edge], format: GraphFormat, out: &mut dyn Write) -> Result<()> {
    let paths = edges.iter().filter_map(|e| e.loop_path.as_deref());
    let loops: BTreeSet<Loop> = paths.map(|path| Loop::new(path, edges)).collect();
    let text = match format {
        GraphFormat::Text => tree(edges, &loops),
        GraphFormat::Mermaid => mermaid(edges),
        GraphFormat::Dot => dot(edges),
        GraphFormat::Json => {
            let graph = serde_json::json!({ "edges": edges, "loops": loops });
            let json = serde_json::to_string_pretty(&graph)
                .map_err(|e| Error::new(ErrorKind::Internal, "cannot write the graph").with_source(e))?;
            harmless(&json) + "\n"
        }
    };
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(not_written)
}

/// JSON with every character that a terminal would obey as `\uXXXX`: the same values. Only strings hold any but those
/// of ASCII, and JSON itself has escaped those of ASCII, the last one aside.
fn harmless(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut quoted = Vec::new();
    for c in json.chars() {
        if matches!(c, ' '..='~' | '\n') {
            out.push(c);
            continue;
        }
        quoted.clear();
        push_json_string(&mut quoted, c.encode_utf8(&mut [0; 4]));
        out.push_str(&String::from_utf8_lossy(&quoted[1..quoted.len() - 1]));
    }
    out
}

/// The edges between two buckets, whatever the evidence.
type Pairs<'e> = BTreeMap<Option<&'e str>, BTreeMap<&'e str, Vec<&'e Edge>>>;

fn pairs(edges: &[Edge]) -> Pairs<'_> {
    let mut pairs = Pairs::new();
    for edge in edges {
        let source = edge.source_bucket.as_deref();
        pairs.entry(source).or_default().entry(&edge.destination_bucket).or_default().push(edge);
    }
    pairs
}

fn tree(edges: &[Edge], loops: &BTreeSet<Loop>) -> String {
    if edges.is_empty() {
        return "no log deliveries seen: take in log objects with --log-bucket, or the log of the bucket that \
                receives them\n"
            .to_owned();
    }
    let pairs = pairs(edges);
    let buckets: BTreeSet<&str> = edges
        .iter()
        .flat_map(|e| e.source_bucket.as_deref().into_iter().chain([e.destination_bucket.as_str()]))
        .collect();
    let mut out = format!(
        "{}, {}\n\n",
        counted(buckets.len() as u64, "bucket"),
        match loops.len() {
            0 => "no loop".to_owned(),
            n => counted(n as u64, "loop"),
        }
    );
    // Roots are what nothing else delivers to; then what is left, which is cycles.
    let is_delivered_to = |bucket: &str| {
        edges.iter().any(|e| e.destination_bucket == bucket && e.source_bucket.as_deref() != Some(bucket))
    };
    let mut shown = BTreeSet::new();
    let sources: Vec<Option<&str>> = pairs.keys().copied().collect();
    let (roots, rest): (Vec<_>, Vec<_>) =
        sources.into_iter().partition(|source| source.is_none_or(|bucket| !is_delivered_to(bucket)));
    for source in roots.into_iter().chain(rest) {
        if source.is_some_and(|bucket| shown.contains(bucket)) {
            continue;
        }
        let _ = writeln!(out, "{}", name(source));
        shown.extend(source);
        let mut path = vec![source];
        branches(&pairs, &mut path, "", &mut shown, &mut out);
    }
    for (number, found) in loops.iter().enumerate() {
        let heading = if number == 0 { "\nLoops\n" } else { "" };
        let _ = writeln!(out, "{heading}{}. {}", number + 1, escape_for_terminal(&found.path));
        let advice = match &found.ended_at {
            Some(time) => {
                let _ = writeln!(
                    out,
                    "   ended: the logging was changed at {}, and no delivery was seen since",
                    escape_for_terminal(time)
                );
                "should it come back"
            }
            None => "to break it",
        };
        let _ = writeln!(out, "   {advice}: {}", escape_for_terminal(&found.fix));
        if let Some(command) = &found.command {
            let _ = writeln!(out, "   {command}");
        }
    }
    out
}

/// Where the log of the last bucket of `path` goes, a line for each destination, and from there on.
fn branches<'e>(
    pairs: &Pairs<'e>,
    path: &mut Vec<Option<&'e str>>,
    indent: &str,
    shown: &mut BTreeSet<&'e str>,
    out: &mut String,
) {
    let Some(destinations) = path.last().and_then(|bucket| pairs.get(bucket)) else { return };
    let last = destinations.len() - 1;
    for (at, (destination, edges)) in destinations.iter().enumerate() {
        let (corner, below) = if at == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        let is_loop = path.contains(&Some(*destination));
        let is_known = !is_loop && shown.contains(destination) && pairs.contains_key(&Some(*destination));
        let remark = match (is_loop, is_known) {
            (true, _) => "  LOOP",
            (_, true) => "  (see above)",
            _ => "",
        };
        let volumes: Vec<String> = edges.iter().map(|edge| volume(edge)).collect();
        let name = escape_for_terminal(destination);
        let _ = writeln!(out, "{indent}{corner}{name}{remark}  {}", volumes.join("; "));
        if !is_loop && !is_known {
            shown.insert(destination);
            path.push(Some(destination));
            branches(pairs, path, &format!("{indent}{below}"), shown, out);
            path.pop();
        }
    }
}

fn name(bucket: Option<&str>) -> String {
    bucket
        .map_or("(source not told by the log)".to_owned(), |bucket| escape_for_terminal(bucket).into_owned())
}

/// `certain: 1,868 log objects, 2.9 MB, 2013-08-17 to 2013-09-04`.
fn volume(edge: &Edge) -> String {
    let mut text = format!("{}: {}", edge.evidence_kind, counted(edge.objects.max(0) as u64, "log object"));
    if let Some(n) = edge.bytes {
        let _ = write!(text, ", {}", bytes(n.max(0) as u64));
    }
    if let (Some(first), Some(last)) = (day(&edge.first_seen), day(&edge.last_seen)) {
        let _ = if first == last { write!(text, ", {first}") } else { write!(text, ", {first} to {last}") };
    }
    text
}

fn day(time: &Option<String>) -> Option<&str> {
    time.as_deref()?.get(..10)
}

/// Every bucket with its number, in order of name; the unknown source first.
fn numbers(edges: &[Edge]) -> BTreeMap<Option<&str>, usize> {
    let both = |e: &'_ Edge| -> [Option<String>; 2] {
        [e.source_bucket.clone(), Some(e.destination_bucket.clone())]
    };
    let all: BTreeSet<Option<String>> = edges.iter().flat_map(both).collect();
    let mut numbers = BTreeMap::new();
    for edge in edges {
        for bucket in [edge.source_bucket.as_deref(), Some(edge.destination_bucket.as_str())] {
            let place = all.iter().position(|b| b.as_deref() == bucket).unwrap_or_default();
            numbers.insert(bucket, place);
        }
    }
    numbers
}

/// What stands on an edge, as short as it can be.
fn label(edge: &Edge) -> String {
    format!("{} {}", count(edge.objects.max(0) as u64), edge.evidence_kind)
}

fn mermaid(edges: &[Edge]) -> String {
    // Entities by number are the only escape that Mermaid has.
    let quoted = |text: &str| -> String {
        let plain =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ' ' | '(' | ')' | ',');
        text.chars().map(|c| if plain(c) { c.to_string() } else { format!("#{};", c as u32) }).collect()
    };
    let numbers = numbers(edges);
    let mut out = "flowchart LR\n".to_owned();
    for (bucket, number) in &numbers {
        let _ = writeln!(out, "  b{number}[\"{}\"]", quoted(&name(*bucket)));
    }
    let mut loops = Vec::new();
    for (at, edge) in edges.iter().enumerate() {
        let from = numbers[&edge.source_bucket.as_deref()];
        let to = numbers[&Some(edge.destination_bucket.as_str())];
        let _ = writeln!(out, "  b{from} -->|\"{}\"| b{to}", quoted(&label(edge)));
        if edge.loop_path.is_some() {
            loops.push(at.to_string());
        }
    }
    if !loops.is_empty() {
        let _ = writeln!(out, "  linkStyle {} stroke:#c00,stroke-width:3px", loops.join(","));
    }
    out
}

fn dot(edges: &[Edge]) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let mut out = "digraph log_deliveries {\n  rankdir=LR;\n  node [shape=box];\n".to_owned();
    for edge in edges {
        let from = quoted(&name(edge.source_bucket.as_deref()));
        let to = quoted(&escape_for_terminal(&edge.destination_bucket));
        let style = if edge.loop_path.is_some() { ", color=red, penwidth=2" } else { "" };
        let _ = writeln!(out, "  {from} -> {to} [label={}{style}];", quoted(&label(edge)));
    }
    out.push_str("}\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(source: Option<&str>, destination: &str, kind: &str, loop_path: Option<&str>) -> Edge {
        Edge {
            source_bucket: source.map(str::to_owned),
            destination_bucket: destination.to_owned(),
            evidence_kind: kind.to_owned(),
            objects: 1_868,
            bytes: Some(2_900_000),
            first_seen: Some("2026-03-01T10:00:00Z".to_owned()),
            last_seen: Some("2026-03-09T10:00:00Z".to_owned()),
            ended_at: None,
            loop_path: loop_path.map(str::to_owned),
        }
    }

    fn written(edges: &[Edge], format: GraphFormat) -> String {
        let mut out = Vec::new();
        write(edges, format, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_loop_that_was_broken_says_so() {
        let mut edges = [
            edge(Some("logs"), "logs", "observed", Some("logs -> logs")),
            edge(Some("data"), "logs", "certain", None),
        ];
        assert!(written(&edges, GraphFormat::Text).contains("to break it: switch off"));
        edges[0].ended_at = Some("2026-03-09T11:00:00Z".to_owned());
        let text = written(&edges, GraphFormat::Text);
        assert!(
            text.contains("   ended: the logging was changed at 2026-03-09T11:00:00Z, and no delivery"),
            "{text}"
        );
        assert!(
            text.contains("   should it come back: switch off") && !text.contains("to break it"),
            "{text}"
        );
        let json = written(&edges, GraphFormat::Json);
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["loops"][0]["ended_at"], "2026-03-09T11:00:00Z");
    }

    #[test]
    fn a_tree_shows_chains_loops_and_what_to_do() {
        let own = Some("demo-logs -> demo-logs");
        let edges = [
            edge(None, "demo-logs", "observed", None),
            edge(Some("demo-logs"), "demo-logs", "certain", own),
            edge(Some("demo-logs"), "demo-logs", "observed", own),
            edge(Some("demo-web"), "demo-logs", "certain", None),
        ];
        let volume = "1,868 log objects, 2.9 MB, 2026-03-01 to 2026-03-09";
        let expected = format!(
            "2 buckets, 1 loop\n\n\
             (source not told by the log)\n\
             └─ demo-logs  observed: {volume}\n\
             \x20  └─ demo-logs  LOOP  certain: {volume}; observed: {volume}\n\
             demo-web\n\
             └─ demo-logs  (see above)  certain: {volume}\n\
             \n\
             Loops\n\
             1. demo-logs -> demo-logs\n\
             \x20  to break it: switch off the access log of demo-logs, or deliver it to a bucket that is not logged\n\
             \x20  aws s3api put-bucket-logging --bucket demo-logs --bucket-logging-status '{{}}'\n"
        );
        assert_eq!(written(&edges, GraphFormat::Text), expected);
    }

    #[test]
    fn a_cycle_without_a_root_is_shown_once() {
        let path = Some("demo-a -> demo-b -> demo-a");
        let edges = [
            edge(Some("demo-a"), "demo-b", "certain", path),
            edge(Some("demo-b"), "demo-a", "certain", path),
        ];
        let text = written(&edges, GraphFormat::Text);
        assert_eq!(text.matches("LOOP").count(), 1, "{text}");
        assert!(text.contains("1. demo-a -> demo-b -> demo-a\n"), "{text}");
        assert!(text.contains("--bucket demo-b --bucket-logging-status '{}'"), "{text}");
    }

    #[test]
    fn hostile_names_stay_names() {
        let evil = "x;$(rm)\u{1b}[2J\u{9b}\u{202e}\u{e0041}\u{7f}é\"]";
        let path = format!("{evil} -> {evil}");
        let edges = [edge(Some(evil), evil, "observed", Some(&path))];
        let text = written(&edges, GraphFormat::Text);
        assert!(!text.contains('\u{1b}') && !text.contains("aws s3api"), "{text}");
        let mermaid = written(&edges, GraphFormat::Mermaid);
        assert!(mermaid.contains("x#59;#36;(rm)") && !mermaid.contains('\u{1b}'), "{mermaid}");
        let dot = written(&edges, GraphFormat::Dot);
        assert!(dot.contains("\\\"]\"") && !dot.contains('\u{1b}'), "{dot}");
        let json = written(&edges, GraphFormat::Json);
        let obeyed = |c: char| c != '\n' && (c.is_control() || matches!(c, '\u{202e}' | '\u{e0041}'));
        assert!(!json.contains(obeyed) && json.contains("\\u009b\\u202e\\udb40\\udc41\\u007fé"), "{json}");
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["edges"][0]["source_bucket"], evil);
        assert_eq!(json["loops"][0]["command"], serde_json::Value::Null);
    }

    #[test]
    fn an_empty_graph_says_so() {
        assert!(written(&[], GraphFormat::Text).starts_with("no log deliveries seen"));
        assert_eq!(written(&[], GraphFormat::Mermaid), "flowchart LR\n");
    }
}
