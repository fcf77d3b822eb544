//! What the test modules share: spelling a line, reading rows back as lines, snapshots, the corpus.

use std::path::{Path, PathBuf};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, UInt32Type};
use s3trail::batch::{Batcher, DateBatch, LineReader};
use s3trail::lines::split_lines;
use s3trail::parse::{Parser, Reject, parse_line};
use s3trail::record::{Field, Record};

/// Canonical user id of AWS's documentation.
pub const OWNER: &str = "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be";
/// The source bucket of every line that does not say otherwise.
pub const BUCKET: &str = "amzn-s3-demo-bucket";
/// The time of every line that does not say otherwise, as it is written.
pub const TIME: &str = "[01/Mar/2026:10:20:30 +0000]";

/// A line under construction: its fields as they are written, quotes and brackets included.
#[derive(Debug, Clone)]
pub struct Spelled(Vec<Vec<u8>>);

impl Spelled {
    /// A successful read of an object, all 27 fields, none of them odd.
    pub fn new() -> Self {
        let fields = [
            OWNER,
            BUCKET,
            TIME,
            "192.0.2.3",
            "arn:aws:iam::111122223333:user/alice",
            "J42N2W7ET0EC03CV",
            "REST.GET.OBJECT",
            "photos/2026/cat.jpg",
            "\"GET /photos/2026/cat.jpg HTTP/1.1\"",
            "200",
            "-",
            "1409",
            "262144",
            "61",
            "55",
            "\"https://www.example.com/index.html\"",
            "\"Mozilla/5.0 (X11; Linux x86_64) Firefox/148.0\"",
            "MwI7yXtui4mtwTeuZxHoT4qHap44j3T2",
            "s9lzHYrFp76ZVxRcpX9+5cjAnEH2ROuNkd2BHfIa6UkFVdtjf5mKR3/eTPFvsiP/XV/VLi31234=",
            "SigV4",
            "TLS_AES_128_GCM_SHA256",
            "AuthHeader",
            "amzn-s3-demo-bucket.s3.us-east-1.amazonaws.com",
            "TLSv1.3",
            "arn:aws:s3:us-east-1:111122223333:accesspoint/example-ap",
            "Yes",
            "us-east-1",
        ];
        Self(fields.map(|text| text.as_bytes().to_vec()).to_vec())
    }

    /// The same line with `field` written as `text`.
    pub fn with(mut self, field: Field, text: impl AsRef<[u8]>) -> Self {
        self.0[field as usize] = text.as_ref().to_vec();
        self
    }

    /// The first `fields` fields only.
    pub fn cut(mut self, fields: usize) -> Self {
        self.0.truncate(fields);
        self
    }

    /// The fields as they are written.
    pub fn fields(&self) -> &[Vec<u8>] {
        &self.0
    }

    /// The line, without LF.
    pub fn line(&self) -> Vec<u8> {
        self.0.join(&b' ')
    }
}

/// The record of `line`, or why there is none.
pub fn parse(line: &[u8]) -> Result<Record<'_>, Reject> {
    let mut record = Record::default();
    parse_line(line, &mut record).map(|()| record)
}

/// The rows that the records among the lines of `text` become, as the ingest makes them; rejects are left out.
/// `text` lies at `offset` of the log object `logs/key`.
pub fn batch_at(text: &[u8], offset: u64) -> Vec<DateBatch> {
    let mut batcher = Batcher::new();
    let mut rows = batcher.chunk(text, split_lines(text).count()).expect("the chunk is small");
    let from = rows.provenance(Some("amzn-s3-demo-logs"), "logs/key", 0, offset);
    let mut parser = Parser::new();
    let mut record = Record::default();
    for line in split_lines(text) {
        if parser.parse(line.text, &mut record).is_ok() {
            rows.push(&mut record, &line, &from);
        }
    }
    batcher.finish().expect("columns fit the schema")
}

/// A row read back: where its line began, and the line with its LF.
pub type RowLine = (usize, Vec<u8>);

/// All rows of `batches` printed back as lines, in the order of their offsets.
pub fn rows_as_lines(batches: &[DateBatch]) -> Vec<RowLine> {
    let mut rows = Vec::new();
    for DateBatch { batch, .. } in batches {
        let reader = LineReader::new(batch).expect("all columns are there");
        for row in 0..batch.num_rows() {
            let mut line = reader.line(row).expect("a row prints its line");
            let bytes = int(batch, "record_bytes", row).expect("every row has its length");
            if line.len() + 1 == usize::try_from(bytes).expect("a length is not negative") {
                line.push(b'\n');
            }
            let offset = int(batch, "log_offset", row).expect("every row has its place");
            rows.push((usize::try_from(offset).expect("an offset is not negative"), line));
        }
    }
    rows.sort_unstable();
    rows
}

/// The text of a column; `None` is null.
pub fn text<'a>(batch: &'a RecordBatch, column: &str, row: usize) -> Option<&'a str> {
    let column = batch.column_by_name(column).expect("a column of access_logs");
    match column.as_dictionary_opt::<UInt32Type>() {
        Some(words) => words.key(row).map(|key| words.values().as_string_view().value(key)),
        None => column.is_valid(row).then(|| column.as_string::<i32>().value(row)),
    }
}

/// The integer of a column; `None` is null.
pub fn int(batch: &RecordBatch, column: &str, row: usize) -> Option<i64> {
    let column = batch.column_by_name(column).expect("a column of access_logs").as_primitive::<Int64Type>();
    column.is_valid(row).then(|| column.value(row))
}

/// `raw_line`; `None` is null.
pub fn raw_line(batch: &RecordBatch, row: usize) -> Option<&[u8]> {
    let column = batch.column_by_name("raw_line").expect("a column of access_logs").as_binary::<i32>();
    column.is_valid(row).then(|| column.value(row))
}

/// Splits a line at its blanks, brackets and quotes the simple way: a quoted field ends at the next quote. Right for
/// every line in which clients put no quotes and no blanks where none belong; the parser's slow twin.
///
/// The fields come with their quotes and brackets; `None` where a delimiter is missing.
pub fn split_simply(line: &[u8]) -> Option<Vec<&[u8]>> {
    let mut fields = Vec::new();
    let mut at = 0;
    loop {
        let rest = &line[at..];
        let close = match rest.first()? {
            b'[' => b']',
            b'"' => b'"',
            _ => b' ',
        };
        let end = match rest.iter().skip(1).position(|b| *b == close) {
            Some(found) if close == b' ' => found + 1,
            Some(found) => found + 2,
            None if close == b' ' => rest.len(),
            None => return None,
        };
        fields.push(&rest[..end]);
        match rest.get(end) {
            None => return Some(fields),
            Some(b' ') => at += end + 1,
            Some(_) => return None,
        }
    }
}

/// The fields of `record` as they are written, quotes and brackets included: what [`split_simply`] must give. Not
/// for lines with a CR at their end.
pub fn written_fields(record: &Record<'_>) -> Vec<Vec<u8>> {
    let mut line = Vec::new();
    let mut from = 0;
    let fields = (1..=record.width).map(|width| {
        let shorter = Record { width, extra: None, ..record.clone() };
        line.clear();
        shorter.write_line(&mut line);
        let field = line[from..].to_vec();
        from = line.len() + 1;
        field
    });
    fields.collect()
}

/// The folder of real records that `S3TRAIL_CORPUS` names; without it the test says so and has nothing to do.
pub fn corpus() -> Option<PathBuf> {
    match std::env::var_os("S3TRAIL_CORPUS").filter(|folder| !folder.is_empty()) {
        Some(folder) => Some(folder.into()),
        None => {
            let test = std::thread::current().name().unwrap_or("test").to_owned();
            eprintln!("{test} skipped: S3TRAIL_CORPUS is not set");
            None
        }
    }
}

/// The root of the project.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Compares `actual` with the file `name` of `tests/snapshots`; with `S3TRAIL_UPDATE_SNAPSHOTS=1` writes it there.
#[track_caller]
pub fn assert_snapshot(name: &str, actual: &str) {
    const SHOWN: usize = 5;
    let path = root().join("tests/snapshots").join(name);
    if std::env::var_os("S3TRAIL_UPDATE_SNAPSHOTS").is_some_and(|v| v == "1") {
        std::fs::write(&path, actual).unwrap_or_else(|e| panic!("cannot write {}: {e}", path.display()));
        return;
    }
    let expected =
        std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("cannot read {}: {e}", path.display()));
    let (want, got): (Vec<_>, Vec<_>) = (expected.lines().collect(), actual.lines().collect());
    let differences: Vec<String> = (0..want.len().max(got.len()))
        .filter(|&i| want.get(i) != got.get(i))
        .take(SHOWN)
        .map(|i| {
            let line = |side: &[&str]| side.get(i).map_or("(no line)".to_owned(), |l| format!("{l:?}"));
            format!("line {}:\n  snapshot: {}\n  now:      {}", i + 1, line(&want), line(&got))
        })
        .collect();
    assert!(
        differences.is_empty(),
        "{} has changed, first at\n{}\n(S3TRAIL_UPDATE_SNAPSHOTS=1 takes the new state)",
        path.display(),
        differences.join("\n")
    );
}
