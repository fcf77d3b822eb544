//! Saved queries: `.sql` files with TOML front matter on leading `--!` lines.
//!
//! One file is one reviewed unit: what it asks, with which parameters, and what a hit means. The files of
//! `queries/` are part of the program; a directory can add to them and replace them by name. Files are read
//! strictly: an unknown key, a placeholder that is not declared, a parameter that is not used are errors with
//! file and line. Whether the SQL runs is the engine's business.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use include_dir::{Dir, include_dir};
use serde::Deserialize;

use super::params::{ParamSpec, is_name};
use super::suggest;
use crate::error::{Error, ErrorKind, Result};
use crate::finding::Level;

static EMBEDDED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/queries");

/// What begins a line of front matter.
const MARK: &str = "--!";

/// Most bytes of a text that is to be SQL: people write less, and what has no end is refused.
const MOST_BYTES: usize = 1 << 20;

/// Reads SQL, saved or not.
///
/// # Errors
///
/// Those of reading, [`io::ErrorKind::InvalidData`] for what is no UTF-8 and [`io::ErrorKind::FileTooLarge`] for more
/// than 1 MiB.
pub fn read_text(from: impl Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    from.take(MOST_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MOST_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "SQL of more than 1 MiB is not read"));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is no UTF-8"))
}

/// What a saved query is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Looks for trouble; every row is a finding.
    Detection,
    /// Answers a question.
    Report,
    /// A table that other queries can use.
    View,
}

impl Kind {
    /// The name in front matter.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Detection => "detection",
            Kind::Report => "report",
            Kind::View => "view",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The front matter, as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FrontMatter {
    id: String,
    kind: Kind,
    title: String,
    level: Option<Level>,
    description: String,
    #[serde(default)]
    runbook: Vec<String>,
    #[serde(default)]
    falsepositives: Vec<String>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    params: BTreeMap<String, ParamSpec>,
}

/// A saved query: its front matter and its SQL.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedQuery {
    /// Its name, and the name of its file.
    pub id: String,
    /// What it is for.
    pub kind: Kind,
    /// What it tells, in one line.
    pub title: String,
    /// How bad a hit is; detections only.
    pub level: Option<Level>,
    /// What it means for the owner, and what the logs cannot show.
    pub description: String,
    /// First things to check.
    pub runbook: Vec<String>,
    /// Harmless things that look the same.
    pub falsepositives: Vec<String>,
    /// Words to select it by.
    pub tags: Vec<String>,
    /// Its parameters, by name.
    pub params: BTreeMap<String, ParamSpec>,
    /// The whole file; front matter is a comment to SQL, so that lines in error messages are lines of the
    /// file.
    pub text: String,
    /// Where the file is: a path, or `queries/...` for those of the program.
    pub origin: String,
}

impl SavedQuery {
    /// Reads the text of a saved query; `origin` is its path, whose file name must be its id.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Query`] with file and line for anything that is not as it must be.
    pub fn parse(origin: &str, text: &str) -> Result<Self> {
        let front_matter: FrontMatter = toml::from_str(&front_matter(origin, text)?).map_err(|error| {
            // Line n of the front matter is line n of the file.
            let line = error.span().map_or(1, |span| line_of(&front_matter_text(text), span.start));
            wrong(origin, line, first_line(error.message()))
        })?;
        let line_of_key = |key: &str| line_of_key(text, key);
        let stem = Path::new(origin).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if front_matter.id != stem {
            let message = format!("the id is {}, the file name is {stem}", front_matter.id);
            return Err(wrong(origin, line_of_key("id"), message));
        }
        for (key, value) in [("title", &front_matter.title), ("description", &front_matter.description)] {
            if value.trim().is_empty() {
                return Err(wrong(origin, line_of_key(key), format!("the {key} is empty")));
            }
        }
        match (front_matter.kind, front_matter.level) {
            (Kind::Detection, None) => {
                return Err(wrong(origin, line_of_key("kind"), "a detection needs a level"));
            }
            (Kind::Report | Kind::View, Some(_)) => {
                return Err(wrong(origin, line_of_key("level"), "only a detection has a level"));
            }
            _ => {}
        }
        if front_matter.kind == Kind::View && !front_matter.params.is_empty() {
            return Err(wrong(origin, line_of_key("kind"), "a view has no parameters"));
        }
        for (name, spec) in &front_matter.params {
            let line = line_of_text(text, &format!("[params.{name}]"));
            if !is_name(name) {
                return Err(wrong(origin, line, format!("no parameter can be named {name}")));
            }
            spec.check().map_err(|what| wrong(origin, line, format!("parameter {name} {what}")))?;
        }
        check_placeholders(origin, text, &front_matter.params)?;
        let FrontMatter { id, kind, title, level, description, runbook, falsepositives, tags, params } =
            front_matter;
        Ok(Self {
            id,
            kind,
            title,
            level,
            description,
            runbook,
            falsepositives,
            tags,
            params,
            text: text.to_owned(),
            origin: origin.to_owned(),
        })
    }

    /// The SQL to run.
    pub fn sql(&self) -> &str {
        &self.text
    }

    /// The SQL without front matter, to show.
    pub fn body(&self) -> &str {
        let mut rest = self.text.as_str();
        while rest.starts_with(MARK) {
            rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
        }
        rest.trim()
    }
}

/// The saved queries there are, by name.
#[derive(Debug, Clone)]
pub struct Catalog {
    queries: BTreeMap<String, SavedQuery>,
}

impl Catalog {
    /// The queries of the program, and over them the `.sql` files anywhere under `overlay`: a new name is
    /// added, a known one replaced.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Query`] for a file that is not as it must be, [`ErrorKind::NotFound`] and
    /// [`ErrorKind::Io`] for a directory or file that cannot be read, [`ErrorKind::Input`] for what is no file.
    pub fn load(overlay: Option<&Path>) -> Result<Self> {
        let mut files = Vec::new();
        embedded(&EMBEDDED, &mut files);
        let mut queries = by_id(files)?;
        if let Some(directory) = overlay {
            queries.extend(by_id(files_under(directory)?)?);
        }
        Ok(Self { queries })
    }

    /// The saved query of that name.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] with near matches.
    pub fn get(&self, name: &str) -> Result<&SavedQuery> {
        self.queries.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.queries.keys().map(String::as_str).collect();
            let near = suggest::near(name, &names);
            let error = Error::new(ErrorKind::NotFound, format!("there is no saved query {name}"));
            if near.is_empty() {
                return error.with_hint("s3trail queries lists them");
            }
            error.with_hint(format!("did you mean {}? s3trail queries lists them all", near.join(" or ")))
        })
    }

    /// Every saved query, by name.
    pub fn iter(&self) -> impl Iterator<Item = &SavedQuery> {
        self.queries.values()
    }

    /// Every saved query of a kind, by name.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &SavedQuery> {
        self.iter().filter(move |query| query.kind == kind)
    }
}

/// Path and text of every `.sql` file of the program.
fn embedded(directory: &Dir<'_>, files: &mut Vec<(String, String)>) {
    for file in directory.files() {
        if file.path().extension().is_some_and(|extension| extension == "sql") {
            let text = String::from_utf8_lossy(file.contents()).into_owned();
            files.push((format!("queries/{}", file.path().display()), text));
        }
    }
    for directory in directory.dirs() {
        embedded(directory, files);
    }
}

/// Path and text of every `.sql` file under a directory, in order of their paths.
fn files_under(directory: &Path) -> Result<Vec<(String, String)>> {
    if let Err(error) = std::fs::read_dir(directory) {
        return Err(Error::io("read the directory of saved queries", directory, error));
    }
    let mut files = Vec::new();
    // Hidden names are skipped: a Kubernetes volume keeps a second copy of every file under one.
    let is_shown = |entry: &walkdir::DirEntry| {
        entry.depth() == 0 || !entry.file_name().as_encoded_bytes().starts_with(b".")
    };
    for entry in walkdir::WalkDir::new(directory).sort_by_file_name().into_iter().filter_entry(is_shown) {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(directory).to_owned();
            Error::io("read the directory of saved queries", path, error.into())
        })?;
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "sql") || path.is_dir() {
            continue;
        }
        let failed = |error: io::Error| Error::io("read saved query", path, error);
        // To open a named pipe is to wait for its writer.
        if !std::fs::metadata(path).map_err(failed)?.is_file() {
            return Err(Error::new(ErrorKind::Input, "a saved query must be a regular file")
                .with_context("path", path.display().to_string()));
        }
        let text = File::open(path).and_then(read_text).map_err(failed)?;
        files.push((path.display().to_string(), text));
    }
    Ok(files)
}

fn by_id(files: Vec<(String, String)>) -> Result<BTreeMap<String, SavedQuery>> {
    let mut queries: BTreeMap<String, SavedQuery> = BTreeMap::new();
    for (origin, text) in files {
        let query = SavedQuery::parse(&origin, &text)?;
        if let Some(other) = queries.get(&query.id) {
            let message = format!("the id {} is taken by {}", query.id, other.origin);
            return Err(wrong(&origin, line_of_key(&text, "id"), message));
        }
        queries.insert(query.id.clone(), query);
    }
    Ok(queries)
}

/// The front matter of a file; an error when there is none, or when some follows later.
fn front_matter(origin: &str, text: &str) -> Result<String> {
    let count = text.lines().take_while(|line| line.starts_with(MARK)).count();
    if count == 0 {
        return Err(wrong(origin, 1, "the file does not begin with front matter")
            .with_hint("see s3trail queries show operations-summary for an example"));
    }
    if let Some(later) = text.lines().skip(count).position(|line| line.trim_start().starts_with(MARK)) {
        return Err(wrong(origin, count + later + 1, "front matter must be one block at the top"));
    }
    Ok(front_matter_text(text))
}

/// The leading `--!` lines without their mark.
fn front_matter_text(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let Some(line) = line.strip_prefix(MARK) else {
            break;
        };
        out.push_str(line.strip_prefix(' ').unwrap_or(line));
        out.push('\n');
    }
    out
}

/// Every placeholder is declared, and every parameter is used.
fn check_placeholders(origin: &str, text: &str, params: &BTreeMap<String, ParamSpec>) -> Result<()> {
    let tokens = Tokenizer::new(&GenericDialect {}, text)
        .tokenize_with_location()
        .map_err(|error| wrong(origin, error.location.line as usize, error.message))?;
    let mut used = BTreeSet::new();
    for token in &tokens {
        if let Token::Placeholder(id) = &token.token {
            let name = id.trim_start_matches('$');
            if !params.contains_key(name) {
                let line = token.span.start.line as usize;
                return Err(wrong(origin, line, format!("parameter {id} is not declared")));
            }
            used.insert(name.to_owned());
        }
    }
    if let Some(unused) = params.keys().find(|name| !used.contains(*name)) {
        let line = line_of_text(text, &format!("[params.{unused}]"));
        return Err(wrong(origin, line, format!("parameter {unused} is not used")));
    }
    Ok(())
}

fn wrong(origin: &str, line: usize, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Query, message.into())
        .with_context("file", origin)
        .with_context("line", line.to_string())
}

/// 1-based line of a byte offset.
fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|&byte| byte == b'\n').count() + 1
}

/// 1-based line of a top-level key of the front matter; 1 when it is not found.
fn line_of_key(text: &str, key: &str) -> usize {
    let front_matter = front_matter_text(text);
    let is_key = |line: &str| line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='));
    front_matter.lines().position(is_key).map_or(1, |line| line + 1)
}

/// 1-based line of the first line that contains `part`; 1 when there is none.
fn line_of_text(text: &str, part: &str) -> usize {
    text.lines().position(|line| line.contains(part)).map_or(1, |line| line + 1)
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"--! id = "sample"
--! kind = "detection"
--! title = "A sample"
--! level = "high"
--! description = "For tests"
--! tags = ["a", "b"]
--! [params.limit]
--! type = "int"
--! default = 10
--! help = "Rows"
-- an ordinary comment with $dollar
SELECT 'no $placeholder' LIMIT $limit
"#;

    fn error(text: &str) -> String {
        SavedQuery::parse("detections/sample.sql", text).unwrap_err().report()
    }

    #[test]
    fn a_file_is_read() {
        let query = SavedQuery::parse("detections/sample.sql", GOOD).unwrap();
        assert_eq!(
            (query.id.as_str(), query.kind, query.level),
            ("sample", Kind::Detection, Some(Level::High))
        );
        assert_eq!(query.tags, ["a", "b"]);
        assert!(query.params.contains_key("limit"));
        assert_eq!(query.sql(), GOOD);
        assert!(query.body().starts_with("-- an ordinary comment"));
    }

    #[test]
    fn mistakes_have_file_and_line() {
        let place = |line: u32| format!("(file: detections/sample.sql, line: {line})");
        let cases = [
            (GOOD.replace("\"sample\"", "\"other\""), "the id is other, the file name is sample", 1),
            (GOOD.replace("tags = ", "tag = "), "unknown field `tag`", 6),
            (GOOD.replace("level = \"high\"", "level = \"severe\""), "unknown variant `severe`", 4),
            (GOOD.replace("--! level = \"high\"\n", ""), "a detection needs a level", 2),
            (GOOD.replace("\"detection\"", "\"report\""), "only a detection has a level", 4),
            (GOOD.replace("\"A sample\"", "\" \""), "the title is empty", 3),
            (
                GOOD.replace("default = 10", "default = \"x\""),
                "parameter limit has a default that is no int",
                7,
            ),
            (GOOD.replace("LIMIT $limit", "LIMIT $limits"), "parameter $limits is not declared", 12),
            (GOOD.replace("LIMIT $limit", ""), "parameter limit is not used", 7),
            (GOOD.replace("-- an ordinary", "--! an ordinary"), "", 11),
            (format!("{GOOD}--! late = 1\n"), "front matter must be one block at the top", 13),
            (GOOD.replace("SELECT 'no", "SELECT ''no"), "", 12),
            (format!("\n{GOOD}"), "the file does not begin with front matter", 1),
        ];
        for (text, message, line) in cases {
            let report = error(&text);
            assert!(report.contains(message) && report.contains(&place(line)), "line {line}: {report}");
        }
    }

    #[test]
    fn a_missing_key_is_named() {
        let report = error(&GOOD.replace("--! title = \"A sample\"\n", ""));
        assert!(report.contains("missing field `title`"), "{report}");
    }

    #[test]
    fn a_view_takes_no_parameters() {
        let text = GOOD.replace("\"detection\"", "\"view\"").replace("--! level = \"high\"\n", "");
        assert!(error(&text).contains("a view has no parameters"));
    }

    #[test]
    fn levels_are_ordered_and_named() {
        assert!(Level::ALL.is_sorted());
        assert!(Level::Critical > Level::High);
        assert_eq!(Level::ALL.map(Level::name), ["informational", "low", "medium", "high", "critical"]);
    }

    #[test]
    fn the_program_s_own_queries_are_well_formed() {
        let catalog = Catalog::load(None).unwrap();
        for query in catalog.iter() {
            let folder = format!("queries/{}s/", query.kind);
            assert!(query.origin.starts_with(&folder), "{} is no {}", query.origin, query.kind);
            assert!(query.title.chars().count() <= 100, "{}", query.id);
            super::super::guard::check(query.sql())
                .unwrap_or_else(|e| panic!("{}: {}", query.id, e.report()));
        }
        for query in catalog.of_kind(Kind::Report) {
            for name in ["since", "until", "bucket", "limit"] {
                assert!(query.params.contains_key(name), "{} has no parameter {name}", query.id);
            }
            assert!(query.body().contains("ORDER BY"), "{} has no order", query.id);
        }
        assert!(catalog.of_kind(Kind::Report).count() >= 14);
    }

    #[test]
    fn a_name_that_is_not_there() {
        let error = Catalog::load(None).unwrap().get("operation-summary").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.report().contains("did you mean operations-summary?"), "{}", error.report());
    }

    #[test]
    fn a_directory_adds_and_replaces() {
        let directory = tempfile::tempdir().unwrap();
        let nested = directory.path().join("mine");
        std::fs::create_dir(&nested).unwrap();
        std::fs::write(nested.join("sample.sql"), GOOD).unwrap();
        std::fs::write(nested.join("notes.txt"), "no query").unwrap();
        std::fs::write(nested.join(".sample.sql"), "no query").unwrap();
        let replaced = GOOD.replace("\"sample\"", "\"operations-summary\"");
        std::fs::write(directory.path().join("operations-summary.sql"), replaced).unwrap();
        let catalog = Catalog::load(Some(directory.path())).unwrap();
        assert_eq!(catalog.get("sample").unwrap().title, "A sample");
        assert_eq!(catalog.get("operations-summary").unwrap().kind, Kind::Detection);

        std::fs::write(directory.path().join("sample.sql"), GOOD).unwrap();
        let error = Catalog::load(Some(directory.path())).unwrap_err().report();
        assert!(error.contains("the id sample is taken by"), "{error}");

        let odd = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/zero", odd.path().join("zero.sql")).unwrap();
        let error = Catalog::load(Some(odd.path())).unwrap_err().report();
        assert!(error.contains("must be a regular file") && error.contains("zero.sql"), "{error}");
        std::fs::remove_file(odd.path().join("zero.sql")).unwrap();
        std::fs::write(odd.path().join("long.sql"), " ".repeat(MOST_BYTES + 1)).unwrap();
        let error = Catalog::load(Some(odd.path())).unwrap_err().report();
        assert!(error.contains("more than 1 MiB") && error.contains("long.sql"), "{error}");

        let missing = Catalog::load(Some(&directory.path().join("nowhere"))).unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
    }
}
