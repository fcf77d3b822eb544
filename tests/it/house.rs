//! The house rules: who may import whom, who may write to the terminal, who may exit.
//!
//! Read from the text of `src`, comments and literals left out, since no lint knows these rules.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::common::root;

/// Which modules of the crate a module may use, itself and `error` aside. `a::b` allows `b` in `a` and nothing else
/// of `a`; `*` is everything.
const MAY_USE: [(&str, &[&str]); 18] = [
    // Whether the cause was a closed pipe is the one thing asked of `report`.
    ("main", &["cli", "report::is_broken_pipe"]),
    ("cli", &["*"]),
    ("detect", &["query", "finding"]),
    // The columns of a table that is empty without an audit.
    ("query", &["lake", "record", "finding", "audit::schema"]),
    ("ingest", &["source", "lines", "parse", "batch", "lake", "record", "stop"]),
    ("audit", &["lake", "cloud", "record"]),
    // The columns, by their names, and the calendar.
    ("lake", &["batch::schema", "record::Field", "record::value"]),
    ("parse", &["record"]),
    ("batch", &["record", "lines"]),
    ("source", &["cloud", "record::value"]),
    ("cloud", &[]),
    ("report", &["finding"]),
    ("finding", &[]),
    ("generate", &[]),
    ("record", &[]),
    ("lines", &[]),
    ("stop", &[]),
    ("error", &[]),
];

/// Modules that know neither Arrow nor files.
const PURE: [&str; 3] = ["record", "parse", "lines"];

/// A source file: its path below `src`, the module of the crate it belongs to, its text, and the text without
/// comments and literals.
struct File {
    path: PathBuf,
    module: String,
    text: String,
    code: String,
}

impl File {
    /// `src/<path>:<line>` of byte `at` of the code.
    fn place(&self, at: usize) -> String {
        let line = self.code[..at].bytes().filter(|b| *b == b'\n').count() + 1;
        format!("src/{}:{line}", self.path.display())
    }
}

fn files() -> Vec<File> {
    let src = root().join("src");
    let mut files = Vec::new();
    for entry in walkdir::WalkDir::new(&src).sort_by_file_name() {
        let path = entry.expect("src can be read").into_path();
        if path.extension().is_none_or(|ending| ending != "rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("src can be read");
        let path = path.strip_prefix(&src).expect("below src").to_owned();
        let first = path.iter().next().map(Path::new).and_then(Path::file_stem);
        let module = first.expect("a file has a name").to_string_lossy().into_owned();
        let code = code_of(&text);
        files.push(File { path, module, text, code });
    }
    assert!(files.len() > 30, "only {} files below {}", files.len(), src.display());
    files
}

/// `text` with blanks in place of comments and of what strings and characters hold; lines stay where they are.
fn code_of(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let end = at + literal_or_comment(rest, at > 0 && is_word(bytes[at - 1])).unwrap_or(0);
        for byte in code[at..end].iter_mut().filter(|b| **b != b'\n') {
            *byte = b' ';
        }
        at = end.max(at + 1);
    }
    String::from_utf8(code).expect("whole literals were blanked")
}

/// Length of the comment or literal that `text` begins with.
fn literal_or_comment(text: &[u8], inside_word: bool) -> Option<usize> {
    let until = |needle: &[u8], from: usize| {
        let found = text.get(from..)?.windows(needle.len()).position(|window| window == needle);
        Some(found.map_or(text.len(), |found| from + found + needle.len()))
    };
    match text {
        [b'/', b'/', ..] => Some(text.iter().position(|b| *b == b'\n').unwrap_or(text.len())),
        [b'/', b'*', ..] => until(b"*/", 2),
        [b'r', b'"' | b'#', ..] if !inside_word => {
            let hashes = text[1..].iter().take_while(|b| **b == b'#').count();
            let close = [&b"\""[..], &b"#".repeat(hashes)].concat();
            if text.get(1 + hashes) == Some(&b'"') { until(&close, 2 + hashes) } else { None }
        }
        [b'"', ..] => Some(1 + escaped(&text[1..], b'"')),
        [b'\'', b'\\', ..] => Some(1 + escaped(&text[1..], b'\'')),
        // One character, and not the beginning of a lifetime.
        [b'\'', ..] => text.iter().skip(2).take(4).position(|b| *b == b'\'').and_then(|found| {
            let inner = std::str::from_utf8(&text[1..2 + found]).ok()?;
            (inner.chars().count() == 1).then_some(3 + found)
        }),
        _ => None,
    }
}

/// Length of `text` up to and with the next `close` that no backslash precedes.
fn escaped(text: &[u8], close: u8) -> usize {
    let mut at = 0;
    while at < text.len() && text[at] != close {
        at += if text[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(text.len())
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Byte offsets in `code` of `word`, where it stands as a word of its own.
fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let before = at.checked_sub(1).is_some_and(|at| is_word(code.as_bytes()[at]));
        let after = code.as_bytes().get(at + word.len()).is_some_and(|b| is_word(*b));
        !before && !after
    })
}

/// The first two names of every path behind `crate::` (or, in `main`, behind the name of the crate), groups written
/// out, and where they are: `use crate::a::{b, c}` gives `a::b` and `a::c`.
fn paths(file: &File) -> Vec<(usize, String)> {
    let crate_name = if file.module == "main" { "s3trail" } else { "crate" };
    let mut found = Vec::new();
    for at in words(&file.code, crate_name) {
        let Some(tree) = file.code[at + crate_name.len()..].trim_start().strip_prefix("::") else { continue };
        let mut leaves = Vec::new();
        expand(tree, "", &mut leaves);
        found.extend(leaves.into_iter().map(|leaf| (at, leaf)));
    }
    found
}

/// Writes the paths of the use tree that `tree` begins with to `leaves`, cut to two names; returns what is left.
fn expand<'a>(tree: &'a str, prefix: &str, leaves: &mut Vec<String>) -> &'a str {
    let tree = tree.trim_start();
    if let Some(mut rest) = tree.strip_prefix('{') {
        loop {
            rest = expand(rest, prefix, leaves).trim_start();
            rest = match rest.strip_prefix(',') {
                Some(rest) if rest.trim_start().starts_with('}') => rest.trim_start(),
                Some(rest) => rest,
                None => return rest.strip_prefix('}').unwrap_or(rest),
            };
            if let Some(rest) = rest.strip_prefix('}') {
                return rest;
            }
        }
    }
    let end = tree.bytes().position(|b| !is_word(b) && b != b'*').unwrap_or(tree.len());
    let path = if prefix.is_empty() { tree[..end].to_owned() } else { format!("{prefix}::{}", &tree[..end]) };
    let rest = tree[end..].trim_start();
    if let Some(rest) = rest.strip_prefix("::") {
        return expand(rest, &path, leaves);
    }
    leaves.push(path.split("::").take(2).collect::<Vec<_>>().join("::"));
    // `as name`
    rest.find([',', '}', ';', '\n', '(', ')']).map_or("", |end| &rest[end..])
}

fn allowed(module: &str, path: &str) -> bool {
    let target = path.split("::").next().unwrap_or(path);
    if target == module || target == "error" || matches!(path, "Error" | "ErrorKind" | "Result") {
        return true;
    }
    let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == module) else { return false };
    allowed.iter().any(|may| *may == "*" || *may == target || *may == path)
}

#[test]
fn imports_go_down_the_house_only() {
    let mut forbidden = Vec::new();
    let mut edges = 0;
    for file in files().iter().filter(|file| file.module != "lib") {
        assert!(
            MAY_USE.iter().any(|(module, _)| *module == file.module),
            "src/{} has no place in the house: give it one in MAY_USE",
            file.path.display()
        );
        for (at, path) in paths(file) {
            edges += 1;
            if !allowed(&file.module, &path) {
                forbidden.push(format!("{}: {} must not use {path}", file.place(at), file.module));
            }
        }
    }
    assert!(edges > 50, "only {edges} imports were found");
    assert!(forbidden.is_empty(), "{}", forbidden.join("\n"));
}

#[test]
fn only_cli_and_report_write_to_the_terminal_and_only_main_exits() {
    let mut forbidden = Vec::new();
    for file in files() {
        let mut forbid = |word: &str, call: &str| {
            for at in words(&file.code, word) {
                if file.code[at + word.len()..].starts_with(call) {
                    forbidden.push(format!("{}: {word}{call}", file.place(at)));
                }
            }
        };
        if !matches!(file.module.as_str(), "cli" | "report" | "main") {
            for word in ["println", "print", "eprintln", "eprint"] {
                forbid(word, "!");
            }
            for word in ["stdout", "stderr"] {
                forbid(word, "(");
            }
        }
        forbid("dbg", "!");
        if file.module != "main" {
            forbid("process::exit", "");
            forbid("process::abort", "");
            forbid("exit", "(");
        }
    }
    assert!(forbidden.is_empty(), "{}", forbidden.join("\n"));
}

#[test]
fn nom_stays_in_parse_and_arrow_and_files_stay_out() {
    let mut forbidden = Vec::new();
    for file in files() {
        let mut forbid = |word: &str| {
            for at in words(&file.code, word) {
                if file.code[at + word.len()..].starts_with("::") {
                    forbidden.push(format!("{}: {word}", file.place(at)));
                }
            }
        };
        if file.module != "parse" {
            forbid("nom");
        }
        if PURE.contains(&file.module.as_str()) {
            for name in ["arrow", "parquet", "datafusion", "deltalake", "tokio", "rayon", "fs", "File", "net"]
            {
                forbid(name);
            }
        }
    }
    assert!(forbidden.is_empty(), "{}", forbidden.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent: Vec<_> = files().into_iter().filter(|file| !file.text.starts_with("//! ")).collect();
    let silent: Vec<_> = silent.iter().map(|file| file.path.display().to_string()).collect();
    assert!(silent.is_empty(), "no //! at the top of {}", silent.join(", "));
}

#[test]
fn the_rules_themselves_see_what_they_should() {
    let code = code_of(
        "let s = \"// \\\" crate::x\"; // crate::y\nlet r = r#\"crate::\"z\"#; let c = '\"'; f::<'a>('\\'') /* x\n*/ b",
    );
    assert_eq!(code.split_whitespace().collect::<String>(), "lets=;letr=;letc=;f::<'a>()b");
    assert_eq!(code.lines().count(), 3);

    let paths_of = |code: &str| {
        let file = File {
            path: "parse/mod.rs".into(),
            module: "parse".into(),
            text: String::new(),
            code: code_of(code),
        };
        paths(&file).into_iter().map(|(_, path)| path).collect::<BTreeSet<_>>()
    };
    let set = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(
        paths_of("use crate::{lines, a::{self, b::c, d as e,}, f::*};"),
        set(&["lines", "a::self", "a::b", "a::d", "f::*"])
    );
    assert_eq!(
        paths_of("fn f(x: crate::batch::Batcher) -> crate::Result<()> { crate::record::value::time(x) }"),
        set(&["batch::Batcher", "Result", "record::value"])
    );
    assert_eq!(paths_of("pub(crate) fn f() { mycrate::x() } // crate::y"), set(&[]));
    assert!(allowed("lake", "batch::schema") && !allowed("lake", "batch::Batcher"));
    assert!(allowed("parse", "record::Field") && !allowed("record", "parse::parse_line"));
}
