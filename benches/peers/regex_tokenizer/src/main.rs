//! The approach of aws-samples/s3logs-parquet, for comparison: one regular expression finds the tokens of a line one
//! after the other, the n-th token is the n-th column, and every column is text.
//!
//! ```text
//! regex_tokenizer published|tuned SOURCE TARGET.parquet COLUMN...     prints {"rows": N}
//! ```
//!
//! `published` goes about it as that tool does: capture groups, a string of its own for every token, lines by the 200,000,
//! one thread. `tuned` needs no groups and copies no token. Neither deduplicates, which the tool does, and a line that is
//! not UTF-8 is left out here where it ends the tool.

use std::env;
use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use regex::Regex;

/// In brackets, in quotes, or up to the next blank.
const TOKEN: &str = r#"\[([^\]]*)\]|"([^"]*)"|([^ ]+)"#;

/// Lines whose columns are written at once.
const BATCH: usize = 200_000;

/// Appends a line as `published` does.
fn keep(token: &Regex, line: &str, rows: &mut Vec<Vec<String>>) {
    let matched = token.captures_iter(line).filter_map(|groups| groups.iter().skip(1).flatten().next());
    rows.push(matched.map(|group| group.as_str().to_owned()).collect());
}

/// Appends a line as `tuned` does. Too few tokens leave nulls; what is too many is dropped.
fn append(token: &Regex, line: &str, columns: &mut [StringBuilder]) {
    let mut tokens = token.find_iter(line).map(|found| inner(found.as_str()));
    columns.iter_mut().for_each(|column| column.append_option(tokens.next()));
}

/// The token without what encloses it.
fn inner(token: &str) -> &str {
    let inside = |open, close| token.strip_prefix(open)?.strip_suffix(close);
    inside('[', ']').or_else(|| inside('"', '"')).unwrap_or(token)
}

/// Takes all that was appended.
fn batch(
    rows: &mut Vec<Vec<String>>,
    columns: &mut [StringBuilder],
    schema: &Arc<Schema>,
) -> Result<RecordBatch, Box<dyn Error>> {
    for (number, column) in columns.iter_mut().enumerate() {
        rows.iter().for_each(|row| column.append_option(row.get(number)));
    }
    rows.clear();
    let arrays = columns.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef).collect();
    Ok(RecordBatch::try_new(schema.clone(), arrays)?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [mode, source, target, names @ ..] = arguments.as_slice() else {
        println!("regex_tokenizer {}", env!("CARGO_PKG_VERSION"));
        return Ok(());
    };
    let token = Regex::new(TOKEN)?;
    let fields: Vec<Field> = names.iter().map(|name| Field::new(name, DataType::Utf8, true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let zstd = Compression::ZSTD(ZstdLevel::default());
    let properties = WriterProperties::builder().set_compression(zstd).build();
    let mut writer = ArrowWriter::try_new(File::create(target)?, schema.clone(), Some(properties))?;

    let mut rows = Vec::new();
    let mut columns: Vec<StringBuilder> = names.iter().map(|_| StringBuilder::new()).collect();
    let mut log = BufReader::with_capacity(1 << 20, File::open(source)?);
    let mut line = Vec::new();
    let mut lines = 0;
    while log.read_until(b'\n', &mut line)? > 0 {
        if let Ok(text) = str::from_utf8(line.trim_ascii_end()) {
            match mode.as_str() {
                "tuned" => append(&token, text, &mut columns),
                _ => keep(&token, text, &mut rows),
            }
            lines += 1;
            if lines % BATCH == 0 {
                writer.write(&batch(&mut rows, &mut columns, &schema)?)?;
            }
        }
        line.clear();
    }
    writer.write(&batch(&mut rows, &mut columns, &schema)?)?;
    writer.close()?;
    println!("{{\"rows\": {lines}}}");
    Ok(())
}
