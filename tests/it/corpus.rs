//! The whole corpus: every line is a record or a known reject, and every record is printed back byte for byte.
//!
//! Real records are personal data: no text of a line gets into a snapshot or a message, only its place.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use s3trail::lines::split_lines;
use s3trail::record::{Quirk, Quirks};
use s3trail::source::layout::{Layout, read_key};

use crate::common::{
    assert_snapshot, batch_at, corpus, parse, raw_line, rows_as_lines, split_simply, text, written_fields,
};

/// The two large sets of real log objects, with their numbers of log objects and records.
const LARGE: [(&str, usize, usize); 2] = [
    ("JSPirates__s3logs__selflogging2013", 1868, 6574),
    ("rotemfogel__s3-access-logs-parser__emr2021", 13, 1069),
];

/// Every text of the corpus with its name: the `.log` files, and the log objects of S3-compatible servers.
fn texts(corpus: &Path) -> Vec<(String, Vec<u8>)> {
    let mut paths = Vec::new();
    for entry in walkdir::WalkDir::new(corpus).sort_by_file_name() {
        let entry = entry.expect("the corpus can be read");
        let in_objects = entry.path().parent().is_some_and(|folder| folder.ends_with("objects"));
        let is_log = entry.path().extension().is_some_and(|ending| ending == "log");
        if entry.file_type().is_file() && (in_objects || is_log) {
            paths.push(entry.into_path());
        }
    }
    assert!(paths.len() > 50, "only {} files below {}", paths.len(), corpus.display());
    let read = |path: std::path::PathBuf| {
        let name = path.strip_prefix(corpus).expect("below the corpus").to_string_lossy().into_owned();
        (name, std::fs::read(&path).expect("the corpus can be read"))
    };
    paths.into_iter().map(read).collect()
}

#[test]
fn every_line_is_a_record_or_a_known_reject() {
    let Some(corpus) = corpus() else { return };
    let mut rejects = String::new();
    for (name, text) in texts(&corpus) {
        for (i, line) in split_lines(&text).enumerate() {
            if let Err(reject) = parse(line.text) {
                writeln!(rejects, "{name}:{}: {reject}", i + 1).expect("a string takes everything");
            }
        }
    }
    assert_snapshot("corpus_rejects.txt", &rejects);
}

#[test]
fn every_record_is_printed_back_from_itself() {
    let Some(corpus) = corpus() else { return };
    let mut printed = Vec::new();
    for (name, text) in texts(&corpus) {
        for (i, line) in split_lines(&text).enumerate() {
            let Ok(record) = parse(line.text) else { continue };
            printed.clear();
            record.write_line(&mut printed);
            assert!(record.quirks.is_lossy() || printed == line.text, "{name}:{} is changed", i + 1);
        }
    }
}

#[test]
fn every_record_is_printed_back_from_its_row() {
    let Some(corpus) = corpus() else { return };
    for (name, text) in texts(&corpus) {
        let batches = batch_at(&text, 0);
        let mut rows = rows_as_lines(&batches).into_iter();
        for (i, line) in split_lines(&text).enumerate() {
            if parse(line.text).is_err() {
                continue;
            }
            let (offset, printed) = rows.next().expect("a row for every record");
            assert_eq!(offset, line.offset, "{name}:{} is out of place", i + 1);
            let as_read = &text[offset..offset + line.len_with_lf()];
            assert!(printed == as_read, "{name}:{} is changed", i + 1);
        }
        assert_eq!(rows.next(), None, "{name}: a row that no record made");
    }
}

#[test]
fn the_slow_twin_splits_plain_lines_alike() {
    let Some(corpus) = corpus() else { return };
    let mut compared = 0;
    let mut plain = Quirks::NONE;
    for quirk in [Quirk::BareRequestUri, Quirk::BareReferer, Quirk::BareUserAgent, Quirk::ShortForAge] {
        plain.insert(quirk);
    }
    for (name, text) in texts(&corpus) {
        for (i, line) in split_lines(&text).enumerate() {
            let Ok(record) = parse(line.text) else { continue };
            if record.quirks.iter().any(|quirk| !plain.contains(quirk)) {
                continue;
            }
            let fields = split_simply(line.text).unwrap_or_default();
            assert!(written_fields(&record) == fields, "{name}:{} is split differently", i + 1);
            compared += 1;
        }
    }
    assert!(compared > 7_500, "only {compared} lines were plain");
}

#[test]
fn quirks_are_as_rare_as_they_were() {
    let Some(corpus) = corpus() else { return };
    let (mut lines, mut records, mut raw) = (0, 0, 0);
    let mut counts: BTreeMap<Quirk, u64> = BTreeMap::new();
    for (_, bytes) in texts(&corpus) {
        lines += split_lines(&bytes).count();
        for batch in batch_at(&bytes, 0).iter().map(|dated| &dated.batch) {
            records += batch.num_rows();
            for row in 0..batch.num_rows() {
                raw += usize::from(raw_line(batch, row).is_some());
                for quirk in Quirks::from_names(text(batch, "quirks", row).unwrap_or("")).iter() {
                    *counts.entry(quirk).or_default() += 1;
                }
            }
        }
    }
    let mut summary = format!("lines {lines}\nrecords {records}\nraw_line {raw}\n");
    for quirk in Quirk::ALL {
        let count = counts.get(&quirk).copied().unwrap_or(0);
        writeln!(summary, "{} {count}", quirk.name()).expect("a string takes everything");
    }
    assert_snapshot("corpus_quirks.txt", &summary);
}

#[test]
fn raw_lines_are_rare_in_what_s3_writes() {
    let Some(corpus) = corpus() else { return };
    for (name, _, records) in LARGE {
        let bytes = std::fs::read(corpus.join(format!("{name}.log"))).expect("the corpus can be read");
        let batches = batch_at(&bytes, 0);
        let rows =
            batches.iter().flat_map(|dated| (0..dated.batch.num_rows()).map(|row| (&dated.batch, row)));
        let (mut all, mut raw) = (0, 0);
        for (batch, row) in rows {
            all += 1;
            raw += usize::from(raw_line(batch, row).is_some());
        }
        assert_eq!(all, records, "{name}");
        assert!(raw * 1000 <= all, "{name}: {raw} of {all} records need their raw line");
    }
}

/// One log object of an `.objects.tsv`: its name, where its lines are in the `.log`, and how many bytes they have.
struct LogObject<'a> {
    name: &'a str,
    first_line: usize,
    lines: usize,
    bytes: usize,
}

fn log_objects(table: &str) -> Vec<LogObject<'_>> {
    let row = |row| {
        let [name, first_line, lines, bytes] =
            <[&str; 4]>::try_from(str::split(row, '\t').collect::<Vec<_>>()).expect("four columns");
        let number = |text: &str| text.parse().expect("a number");
        LogObject { name, first_line: number(first_line), lines: number(lines), bytes: number(bytes) }
    };
    table.lines().skip(1).map(row).collect()
}

#[test]
fn records_of_a_log_object_are_in_time_order_and_older_than_its_name() {
    let Some(corpus) = corpus() else { return };
    for (name, expected_objects, expected_records) in LARGE {
        let bytes = std::fs::read(corpus.join(format!("{name}.log"))).expect("the corpus can be read");
        let lines: Vec<_> = split_lines(&bytes).collect();
        let table = std::fs::read_to_string(corpus.join(format!("{name}.objects.tsv")));
        let table = table.expect("the corpus can be read");
        let objects = log_objects(&table);
        assert_eq!((objects.len(), lines.len()), (expected_objects, expected_records), "{name}");
        let mut next_line = 1;
        for object in &objects {
            assert_eq!(object.first_line, next_line, "{}", object.name);
            next_line += object.lines;
            let lines = &lines[object.first_line - 1..next_line - 1];
            assert_eq!(lines.iter().map(|l| l.len_with_lf()).sum::<usize>(), object.bytes, "{}", object.name);
            let info = read_key(object.name);
            assert_eq!(info.layout, Layout::Simple, "{}", object.name);
            let mut last = i64::MIN;
            for line in lines {
                let time =
                    parse(line.text).ok().and_then(|record| record.time).expect("a record with a time");
                assert!(time >= last, "{}: a step back in time", object.name);
                last = time;
            }
            assert!(info.delivered_at.is_some_and(|at| at > last), "{}: delivered too early", object.name);
        }
        assert_eq!(next_line - 1, expected_records, "{name}");
    }
}
