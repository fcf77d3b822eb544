//! What the fuzz targets do with their bytes: one function each, which panics when a promise is broken.
//!
//! Shared by the targets and by the integration tests, which replay the seeds (`tests/it/fuzz_bodies.rs`). So this
//! knows neither libFuzzer nor a test harness.

use s3trail::batch::{Batcher, LineReader};
use s3trail::lines::{self, Line};
use s3trail::parse;
use s3trail::query::SavedQuery;
use s3trail::record::Record;
use s3trail::record::value::{decode_key as decode, percent_decode};
use s3trail::source::layout::{Layout, read_key};

/// A fuzz target: its name, which is that of its seeds, and its body.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 5] = [
    ("parse_line", parse_line),
    ("split_lines", split_lines),
    ("decode_key", decode_key),
    ("layout", layout),
    ("front_matter", front_matter),
];

/// The first line of `data` is refused, at a place in it, or printed back byte for byte: from its row always, and
/// from its record unless that is lossy. A parser that has seen it reads the same.
pub fn parse_line(data: &[u8]) {
    let end = data.iter().position(|b| *b == b'\n').map_or(data.len(), |at| at + 1);
    let chunk = &data[..end];
    let Some(line) = lines::split_lines(chunk).next() else { return };
    let mut record = Record::default();
    let alone = parse::parse_line(line.text, &mut record);
    let mut parser = parse::Parser::new();
    for _ in 0..2 {
        let mut again = Record::default();
        assert_eq!(parser.parse(line.text, &mut again), alone, "it is remembered differently");
        if alone.is_ok() {
            again.tail = None;
            assert_eq!(format!("{again:?}"), format!("{record:?}"), "it is remembered differently");
        }
    }
    if let Err(reject) = alone {
        assert!(reject.offset <= line.text.len(), "refused behind its end");
        assert!(!reject.reason(line.text).contains(char::is_control), "a reason can be shown");
        return;
    }
    let mut written = Vec::new();
    record.write_line(&mut written);
    assert!(record.quirks.is_lossy() || written == line.text, "the record prints another line");
    assert_eq!(line_of_row(chunk, &line, &mut record), line.text, "the row prints another line");
}

/// The line that the row of `record` prints; `line` is the whole of `chunk`.
fn line_of_row(chunk: &[u8], line: &Line<'_>, record: &mut Record<'_>) -> Vec<u8> {
    let mut batcher = Batcher::new();
    let mut rows = batcher.chunk(chunk, 1).expect("the chunk is small");
    let from = rows.provenance(None, "fuzz", 0, 0);
    rows.push(record, line, &from);
    let batches = batcher.finish().expect("columns fit the schema");
    let [dated] = &batches[..] else { panic!("one record makes one batch") };
    LineReader::new(&dated.batch).expect("all columns are there").line(0).expect("a row prints its line")
}

/// The lines of `data` put together are `data`, and cutting at the last LF changes none of them.
pub fn split_lines(data: &[u8]) {
    let mut whole = Vec::with_capacity(data.len());
    for line in lines::split_lines(data) {
        assert_eq!(line.offset, whole.len());
        assert!(!line.text.contains(&b'\n'));
        whole.extend_from_slice(line.text);
        whole.extend(line.has_lf.then_some(b'\n'));
        assert_eq!(line.offset + line.len_with_lf(), whole.len());
    }
    assert!(whole == data, "bytes were lost");
    let (head, tail) = data.split_at(lines::whole_lines(data));
    let texts = |part| lines::split_lines(part).map(|line| (line.text, line.has_lf));
    assert!(texts(data).eq(texts(head).chain(texts(tail))), "a line was cut");
}

/// A decoded key is never longer than the logged one, and plain text decodes to itself. `data` is an operation, LF,
/// and a key.
pub fn decode_key(data: &[u8]) {
    let at = data.iter().position(|b| *b == b'\n');
    let (operation, logged) = at.map_or((&b"REST.GET.OBJECT"[..], data), |at| (&data[..at], &data[at + 1..]));
    let key = decode(operation, logged);
    assert!(key.len() <= logged.len(), "a key has grown");
    if !logged.iter().any(|b| b"%+".contains(b)) {
        assert_eq!(&*key, logged);
    }
    for plus_is_blank in [false, true] {
        assert!(percent_decode(logged, plus_is_blank).len() <= logged.len(), "a text has grown");
    }
}

/// What a key tells is consistent with its layout, and the ending of a compressed copy changes nothing.
pub fn layout(data: &[u8]) {
    let Ok(key) = std::str::from_utf8(data) else { return };
    let info = read_key(key);
    let (has_time, has_bucket) = (info.delivered_at.is_some(), info.source_bucket.is_some());
    let expected = match info.layout {
        Layout::Simple => (true, false),
        Layout::EventTime => (false, true),
        Layout::DeliveryTime => (true, true),
        Layout::Unknown => (false, false),
    };
    assert_eq!((has_time, has_bucket), expected);
    assert!(info.source_bucket.is_none_or(|bucket| key.contains(bucket) && !bucket.contains('/')));
    if info.layout != Layout::Unknown && !key.ends_with(".gz") {
        assert_eq!(read_key(&format!("{key}.gz")), info);
    }
}

/// A saved query is read or refused with a message of one line that names its file.
pub fn front_matter(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match SavedQuery::parse("fuzz", text) {
        Ok(query) => {
            assert_eq!(query.id, "fuzz", "the id is the name of the file");
            assert_eq!(query.text, text);
        }
        Err(error) => {
            let report = error.report();
            assert!(report.contains("fuzz") && !report.contains(char::is_control), "{report:?}");
        }
    }
}
