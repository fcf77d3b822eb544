//! Local sources: files, folders (recursive), globs, standard input.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Failure, FailureClass, Found, LogObject, Place, Skipped, SourceOptions, decode};
use crate::error::{Error, ErrorKind, Result};

/// Endings of files that lie beside logs and are none. Log objects as S3 names them have no ending.
const NOT_LOGS: [&str; 16] = [
    "md", "json", "jsonl", "ndjson", "parquet", "csv", "tsv", "html", "sql", "toml", "yaml", "yml", "py",
    "sh", "crc", "tmp",
];

/// The log objects of a list of SOURCE words, in a stable order; an iterator.
#[derive(Debug)]
pub struct Files {
    pending: std::vec::IntoIter<Root>,
    walk: Option<Walk>,
    options: SourceOptions,
    /// Keeps the copies of standard input and of pipes alive.
    _spools: Vec<tempfile::NamedTempFile>,
}

#[derive(Debug)]
enum Root {
    File {
        path: PathBuf,
        key: String,
    },
    Folder(PathBuf),
    /// What a glob matched and is no log object.
    Other(Box<Found>),
}

impl Files {
    /// Resolves `words`: each a file, a folder, a glob, or `-` for standard input (copied to a temporary file).
    ///
    /// Errors when a word names nothing.
    pub fn open(words: &[String], options: &SourceOptions) -> Result<Self> {
        let mut roots = Vec::new();
        let mut spools: Vec<tempfile::NamedTempFile> = Vec::new();
        let mut stdin_taken = false;
        for word in words {
            if word == "-" {
                if std::mem::replace(&mut stdin_taken, true) {
                    return Err(Error::usage("standard input (-) is named twice"));
                }
                let file = decode::spool(io::stdin().lock())?;
                roots.push(Root::File { path: file.path().to_owned(), key: "-".to_owned() });
                spools.push(file);
                continue;
            }
            let path = Path::new(word);
            match path.symlink_metadata() {
                Ok(_) => {
                    roots.push(root(path, &mut spools)?);
                    continue;
                }
                // It may be a glob.
                Err(e) if is_absence(e.kind()) => {}
                Err(e) => return Err(Error::io("read source", path, e)),
            }
            let before = roots.len();
            let matches = glob::glob(word).map_err(|e| {
                Error::usage("not a path and not a glob").with_context("source", word.clone()).with_source(e)
            })?;
            for path in matches {
                let path = path.map_err(|e| {
                    Error::io("list", e.path(), io::Error::new(e.error().kind(), e.to_string()))
                })?;
                roots.push(matched(&path));
            }
            if roots.len() == before {
                return Err(Error::new(
                    ErrorKind::NotFound,
                    "no such file or folder, and no file matches it",
                )
                .with_context("source", word.clone())
                .with_hint("name a file, a folder, a glob, or - for standard input"));
            }
        }
        if roots.is_empty() {
            return Err(Error::usage("no source was named"));
        }
        Ok(Self { pending: roots.into_iter(), walk: None, options: options.clone(), _spools: spools })
    }
}

/// Whether it says that there is no such path, and not that it cannot be seen.
fn is_absence(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename)
}

fn root(path: &Path, spools: &mut Vec<tempfile::NamedTempFile>) -> Result<Root> {
    let metadata = path.metadata().map_err(|e| Error::io("read source", path, e))?;
    if metadata.is_dir() {
        std::fs::read_dir(path).map_err(|e| Error::io("list folder", path, e))?;
        return Ok(Root::Folder(path.to_owned()));
    }
    let opened = std::fs::File::open(path).map_err(|e| Error::io("read source", path, e))?;
    let key = file_key(path);
    if metadata.is_file() {
        return Ok(Root::File { path: path.to_owned(), key });
    }
    // A pipe, as in `s3trail ingest <(aws s3 cp ...)`: it can be read once only.
    let file = decode::spool(opened)?;
    let path = file.path().to_owned();
    spools.push(file);
    Ok(Root::File { path, key })
}

/// What a glob matched. Unlike what was named outright, one that cannot be read does not end the run, and a pipe is
/// left alone.
fn matched(path: &Path) -> Root {
    let other = |found| Root::Other(Box::new(found));
    match path.metadata() {
        Ok(metadata) if metadata.is_dir() => Root::Folder(path.to_owned()),
        Ok(metadata) if metadata.is_file() => Root::File { path: path.to_owned(), key: file_key(path) },
        Ok(_) => other(skipped(path, "not a regular file")),
        Err(e) => other(Found::Unreadable(unreadable(path, e))),
    }
}

/// The key of a file that was named itself.
fn file_key(path: &Path) -> String {
    path.file_name().map_or_else(|| path.to_string_lossy(), |name| name.to_string_lossy()).into_owned()
}

/// The key of `path` below `root`: `/`-separated; bytes that are not UTF-8 become U+FFFD.
fn key_below(root: &Path, path: &Path) -> String {
    let below = path.strip_prefix(root).unwrap_or(path);
    let parts: Vec<_> = below.components().map(|c| c.as_os_str().to_string_lossy()).collect();
    parts.join("/")
}

impl Iterator for Files {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        loop {
            let found = self.any()?;
            match &found {
                Found::Object(object) if !self.options.wants_key(&object.key) => {}
                Found::Object(object) if !self.options.wants_time(object) => {}
                _ => return Some(found),
            }
        }
    }
}

impl Files {
    /// The next thing found, wanted or not.
    fn any(&mut self) -> Option<Found> {
        loop {
            if let Some(walk) = &mut self.walk {
                match walk.step(&self.options) {
                    Some(found) => return Some(found),
                    None => self.walk = None,
                }
            }
            match self.pending.next()? {
                Root::File { path, key } => return Some(object(path, key)),
                Root::Other(found) => return Some(*found),
                Root::Folder(path) => self.walk = Some(Walk::new(path)),
            }
        }
    }
}

/// The walk over one root. Each folder is walked once, however many ways lead to it; links to folders come last, so
/// that a folder below the root goes by its own name.
#[derive(Debug)]
struct Walk {
    root: PathBuf,
    entries: walkdir::IntoIter,
    /// Links to folders, to be walked yet.
    links: VecDeque<PathBuf>,
    /// Device and inode of the folders that were walked, or are being walked.
    walked: HashSet<(u64, u64)>,
}

impl Walk {
    fn new(root: PathBuf) -> Self {
        Self { entries: entries(&root), root, links: VecDeque::new(), walked: HashSet::new() }
    }

    /// The next thing found that is no folder.
    fn step(&mut self, options: &SourceOptions) -> Option<Found> {
        loop {
            let entry = match self.entries.next() {
                Some(Ok(entry)) => entry,
                // A link to a folder that it is in.
                Some(Err(e)) if e.loop_ancestor().is_some() => continue,
                Some(Err(e)) => return Some(unlisted(&self.root, e)),
                None => {
                    self.entries = entries(&self.links.pop_front()?);
                    continue;
                }
            };
            if !entry.file_type().is_dir() {
                return Some(found(&self.root, &entry, options));
            }
            if entry.path_is_symlink() && entry.depth() > 0 {
                self.entries.skip_current_dir();
                self.links.push_back(entry.into_path());
                continue;
            }
            match entry.metadata() {
                Ok(folder) if self.walked.insert((folder.dev(), folder.ino())) => {}
                Ok(_) => self.entries.skip_current_dir(),
                Err(e) => {
                    self.entries.skip_current_dir();
                    return Some(unlisted(&self.root, e));
                }
            }
        }
    }
}

fn entries(folder: &Path) -> walkdir::IntoIter {
    walkdir::WalkDir::new(folder).follow_links(true).sort_by_file_name().into_iter()
}

fn unlisted(root: &Path, source: walkdir::Error) -> Found {
    let place = source.path().unwrap_or(root).display().to_string();
    let error =
        Error::new(ErrorKind::Io, "cannot list").with_context("path", place.clone()).with_source(source);
    Found::Unreadable(Failure::new(place, FailureClass::Refused, error))
}

fn object(path: PathBuf, key: String) -> Found {
    match path.metadata() {
        Ok(m) if m.is_file() => {
            let (size, modified) = (m.len(), m.modified().ok());
            Found::Object(LogObject { place: Place::File(path), key, size, modified, etag: None })
        }
        Ok(_) => skipped(&path, "not a regular file"),
        Err(e) => Found::Unreadable(unreadable(&path, e)),
    }
}

fn skipped(path: &Path, reason: &'static str) -> Found {
    Found::Skipped(Skipped { place: path.display().to_string(), reason })
}

/// A file that the operating system does not let us read.
pub(crate) fn unreadable(path: &Path, source: io::Error) -> Failure {
    let class = match source.kind() {
        io::ErrorKind::NotFound => FailureClass::Vanished,
        io::ErrorKind::PermissionDenied => FailureClass::AccessDenied,
        io::ErrorKind::UnexpectedEof => FailureClass::Truncated,
        _ => FailureClass::Refused,
    };
    Failure::new(path.display().to_string(), class, Error::io("read log object", path, source))
}

/// What an entry that is no folder is.
fn found(root: &Path, entry: &walkdir::DirEntry, options: &SourceOptions) -> Found {
    let file_type = entry.file_type();
    let path = entry.path();
    let name = entry.file_name().to_string_lossy();
    let ending = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
    let key = key_below(root, path);
    let reason = if !file_type.is_file() {
        Some("not a regular file")
    } else if options.names(&key) {
        None
    } else if name.starts_with('.') {
        Some("a hidden file")
    } else if ending.is_some_and(|e| NOT_LOGS.contains(&&*e)) {
        Some("its ending is not that of a log object")
    } else {
        None
    };
    match reason {
        Some(reason) => skipped(path, reason),
        None => object(path.to_owned(), key),
    }
}
