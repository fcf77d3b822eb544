//! Every format over the same rows, hostile ones included.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, DictionaryArray, Float64Array, Int64Array, ListBuilder,
    StringArray, StringBuilder, StringViewArray, TimestampMicrosecondArray, TimestampNanosecondArray,
    TimestampSecondArray,
};
use arrow::datatypes::{Field, Int32Type, Schema};

use super::*;

/// 2026-03-01T12:00:00Z in microseconds.
const NOON: i64 = 1_772_366_400_000_000;

fn column(name: &'static str, array: impl Array + 'static) -> (&'static str, ArrayRef) {
    (name, Arc::new(array))
}

fn batch<const N: usize>(columns: [(&'static str, ArrayRef); N]) -> RecordBatch {
    let field = |(name, array): &(&'static str, ArrayRef)| Field::new(*name, array.data_type().clone(), true);
    let fields: Vec<Field> = columns.iter().map(field).collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

fn sample() -> RecordBatch {
    let times = vec![Some(NOON), Some(NOON + 500_000), None];
    let keys = vec!["logs/a.txt", "=1+1\u{1b}[31m\u{202e}txt", "a|b\n`<&[x](http://e)\\"];
    let raw = vec![Some(b"\xde\xad".as_slice()), None, Some(b"".as_slice())];
    let mut tags = ListBuilder::new(StringBuilder::new());
    tags.append_value([Some("a"), Some("b\"")]);
    tags.append_null();
    tags.append(true);
    batch([
        column("time", TimestampMicrosecondArray::from(times).with_timezone("UTC")),
        column("key", StringViewArray::from(keys)),
        column("bytes", Int64Array::from(vec![Some(1234), Some(-5), None])),
        column("share", Float64Array::from(vec![Some(0.25), None, Some(1.5)])),
        column("raw", BinaryArray::from_opt_vec(raw)),
        column("tags", tags.finish()),
    ])
}

/// The text of `batches`, checked to be the same when every row comes as a batch of its own.
fn shown(format: Format, batch: &RecordBatch, options: WriteOptions) -> String {
    let write = |batches: &[RecordBatch]| {
        let mut out = Vec::new();
        let mut writer = writer(format, batch.schema(), &mut out, options).unwrap();
        for batch in batches {
            writer.write(batch).unwrap();
        }
        assert_eq!(writer.finish().unwrap(), batch.num_rows() as u64);
        String::from_utf8(out).unwrap()
    };
    let rows: Vec<RecordBatch> = (0..batch.num_rows()).map(|row| batch.slice(row, 1)).collect();
    let whole = write(std::slice::from_ref(batch));
    assert_eq!(write(&rows), whole);
    whole
}

fn plain(format: Format, batch: &RecordBatch) -> String {
    shown(format, batch, WriteOptions::default())
}

#[test]
fn table_is_aligned_and_escaped() {
    let expected = r#"time                         key                      bytes  share  raw   tags
---------------------------  -----------------------  -----  -----  ----  -----------
2026-03-01T12:00:00Z         logs/a.txt                1234   0.25  dead  ["a","b\""]
2026-03-01T12:00:00.500000Z  =1+1\x1b[31m\u{202e}txt     -5
                             a|b\n`<&[x](http://e)\            1.5        []
(3 rows)
"#;
    assert_eq!(plain(Format::Table, &sample()), expected);
}

#[test]
fn table_cuts_the_widest_text_first_and_never_a_number() {
    let options = WriteOptions { width: Some(80), is_terminal: true, ..WriteOptions::default() };
    let expected = r#"time                         key                 bytes  share  raw   tags
---------------------------  ------------------  -----  -----  ----  -----------
2026-03-01T12:00:00Z         logs/a.txt           1234   0.25  dead  ["a","b\""]
2026-03-01T12:00:00.500000Z  =1+1\x1b[31m\u{20…     -5
                             a|b\n`<&[x](http:…           1.5        []
(3 rows)
"#;
    assert_eq!(shown(Format::Table, &sample(), options), expected);
}

#[test]
fn table_too_wide_becomes_blocks() {
    let options = WriteOptions { width: Some(24), max_rows: Some(1), ..WriteOptions::default() };
    let expected = r#"row 1
time   2026-03-01T12:00:00Z
key    logs/a.txt
bytes  1234
share  0.25
raw    dead
tags   ["a","b\""]
(2 more rows; --limit N shows more)
(3 rows)
"#;
    assert_eq!(shown(Format::Table, &sample(), options), expected);
}

#[test]
fn table_knows_wide_characters() {
    let keys = vec!["日本語.txt", "e\u{301}", "plain-name.txt"];
    let rows =
        batch([column("key", StringArray::from(keys)), column("n", Int64Array::from(vec![1, 20, 300]))]);
    let expected = "key               n\n--------------  ---\n日本語.txt        1\ne\u{301}                20\nplain-name.txt  300\n";
    assert_eq!(plain(Format::Table, &rows), format!("{expected}(3 rows)\n"));
    let narrow = WriteOptions { width: Some(13), ..WriteOptions::default() };
    let expected = "key         n\n--------  ---\n日本語.…    1\ne\u{301}          20\nplain-n…  300\n";
    assert_eq!(shown(Format::Table, &rows, narrow), format!("{expected}(3 rows)\n"));
}

#[test]
fn json_is_one_array() {
    let expected = concat!(
        r#"[{"time":"2026-03-01T12:00:00Z","key":"logs/a.txt","bytes":1234,"share":0.25,"raw":"dead","tags":["a","b\""]},"#,
        "\n",
        r#"{"time":"2026-03-01T12:00:00.500000Z","key":"=1+1\u001b[31m\u202etxt","bytes":-5,"share":null,"raw":null,"tags":null},"#,
        "\n",
        r#"{"time":null,"key":"a|b\n`<&[x](http://e)\\","bytes":null,"share":1.5,"raw":"","tags":[]}]"#,
        "\n",
    );
    let json = plain(Format::Json, &sample());
    assert_eq!(json, expected);
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value[1]["key"], "=1+1\u{1b}[31m\u{202e}txt");
}

#[test]
fn ndjson_is_one_object_a_line() {
    let json = plain(Format::Json, &sample());
    let rows = json.trim_start_matches('[').trim_end_matches("]\n").replace("},\n", "}\n");
    assert_eq!(plain(Format::Ndjson, &sample()), format!("{rows}\n"));
    assert_eq!(rows.lines().count(), 3);
}

#[test]
fn json_is_valid_whatever_the_values() {
    let values = vec![Some(f64::NAN), Some(f64::INFINITY), Some(-0.0), None];
    let times = vec![Some(i64::MAX), Some(i64::MIN), Some(0), None];
    let keys: DictionaryArray<Int32Type> =
        vec![Some("\u{7f}\u{9b}"), Some("\"\\"), None, Some("a")].into_iter().collect();
    let rows = batch([
        column("quo\"te\n", Float64Array::from(values)),
        column("time", TimestampMicrosecondArray::from(times).with_timezone("UTC")),
        column("key", keys),
    ]);
    let value: serde_json::Value = serde_json::from_str(&plain(Format::Json, &rows)).unwrap();
    assert_eq!(value[0]["quo\"te\n"], serde_json::Value::Null);
    assert_eq!(value[0]["time"], "9223372036854775807 µs since 1970");
    assert_eq!(value[0]["key"], "\u{7f}\u{9b}");
    assert_eq!(value[2]["time"], "1970-01-01T00:00:00Z");
    assert_eq!(value[2]["key"], serde_json::Value::Null);
}

#[test]
fn csv_is_quoted_and_runs_nothing() {
    let expected = "time,key,bytes,share,raw,tags\n\
        2026-03-01T12:00:00Z,logs/a.txt,1234,0.25,dead,\"[\"\"a\"\",\"\"b\\\"\"\"\"]\"\n\
        2026-03-01T12:00:00.500000Z,'=1+1\u{1b}[31m\u{202e}txt,-5,,,\n\
        ,\"a|b\n`<&[x](http://e)\\\",,1.5,\"\",[]\n";
    assert_eq!(plain(Format::Csv, &sample()), expected);

    let raw = WriteOptions { csv_raw: true, ..WriteOptions::default() };
    assert_eq!(shown(Format::Csv, &sample(), raw), expected.replace("'=", "="));

    let terminal = WriteOptions { is_terminal: true, ..WriteOptions::default() };
    let text = shown(Format::Csv, &sample(), terminal);
    assert!(text.contains(r",'=1+1\x1b[31m\u{202e}txt,"), "{text}");
    assert!(text.contains(r",a|b\n`<&[x](http://e)\,"), "{text}");
}

#[test]
fn csv_guards_separators_names_and_lonely_nulls() {
    let cells = vec![Some("a;=1"), Some(" b"), Some("\t=1"), None, Some("")];
    let rows = batch([column("=key", StringArray::from(cells))]);
    assert_eq!(plain(Format::Csv, &rows), "'=key\n\"a;=1\"\n\" b\"\n\"'\t=1\"\n\"\"\n\"\"\n");
}

#[test]
fn markdown_is_rendered_as_text() {
    let expected = r#"| time | key | bytes | share | raw | tags |
| --- | --- | ---: | ---: | --- | --- |
| 2026-03-01T12:00:00Z | logs/a.txt | 1234 | 0.25 | dead | \["a","b\\""\] |
| 2026-03-01T12:00:00.500000Z | =1+1\x1b\[31m\u{202e}txt | -5 |  |  |  |
|  | a\|b\n\`&lt;&amp;\[x\](http&#58;//e)\\ |  | 1.5 |  | \[\] |
"#;
    assert_eq!(plain(Format::Markdown, &sample()), expected);

    let options = WriteOptions { max_rows: Some(2), ..WriteOptions::default() };
    let text = shown(Format::Markdown, &sample(), options);
    assert!(text.ends_with("txt | -5 |  |  |  |\n\n(1 more row; --limit N shows more)\n"), "{text}");
}

#[test]
fn parquet_holds_the_rows_as_they_were() {
    let file = tempfile::tempfile().unwrap();
    let out = file.try_clone().unwrap();
    let mut parquet = writer(Format::Parquet, sample().schema(), out, WriteOptions::default()).unwrap();
    parquet.write(&sample()).unwrap();
    assert_eq!(parquet.finish().unwrap(), 3);

    let reader = ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let codec = reader.metadata().row_group(0).column(0).compression();
    assert!(matches!(codec, ::parquet::basic::Compression::ZSTD(_)), "{codec:?}");
    let batches: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
    assert_eq!(batches, [sample()]);
}

#[test]
fn parquet_refuses_a_terminal_and_a_foreign_batch() {
    let terminal = WriteOptions { is_terminal: true, ..WriteOptions::default() };
    let error = writer(Format::Parquet, sample().schema(), io::sink(), terminal).map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);

    let foreign = batch([column("time", Int64Array::from(vec![1]))]);
    let schema = batch([column("time", StringArray::from(vec!["1"]))]).schema();
    let mut parquet = writer(Format::Parquet, schema, io::sink(), WriteOptions::default()).unwrap();
    let error = parquet.write(&foreign).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a batch does not match its schema (column: time, expected: Utf8, got: Int64)"
    );
}

#[test]
fn nothing_is_still_an_answer() {
    let none = sample().slice(0, 0);
    let header = "time  key  bytes  share  raw  tags\n----  ---  -----  -----  ---  ----\n";
    assert_eq!(plain(Format::Table, &none), format!("{header}(0 rows)\n"));
    assert_eq!(plain(Format::Json, &none), "[]\n");
    assert_eq!(plain(Format::Ndjson, &none), "");
    assert_eq!(plain(Format::Csv, &none), "time,key,bytes,share,raw,tags\n");
    assert_eq!(
        plain(Format::Markdown, &none),
        "| time | key | bytes | share | raw | tags |\n| --- | --- | ---: | ---: | --- | --- |\n"
    );
}

#[test]
fn times_of_every_unit_are_utc() {
    let rows = batch([
        column("s", TimestampSecondArray::from(vec![NOON / 1_000_000])),
        column("ns", TimestampNanosecondArray::from(vec![NOON * 1000 + 1])),
        column("zone", TimestampMicrosecondArray::from(vec![NOON]).with_timezone("+02:00")),
        column("ok", BooleanArray::from(vec![true])),
    ]);
    assert_eq!(
        plain(Format::Csv, &rows),
        "s,ns,zone,ok\n2026-03-01T12:00:00Z,2026-03-01T12:00:00.000000001Z,2026-03-01T12:00:00Z,true\n"
    );
}

#[test]
fn a_batch_of_another_width_is_refused() {
    let wide = sample();
    let narrow = wide.project(&[0]).unwrap();
    for format in [Format::Table, Format::Csv, Format::Markdown, Format::Parquet] {
        let mut writer = writer(format, wide.schema(), io::sink(), WriteOptions::default()).unwrap();
        let error = writer.write(&narrow).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal, "{format:?}");
    }
}

#[test]
fn a_closed_pipe_is_recognised() {
    struct Closed(io::ErrorKind);
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Err(self.0.into())
        }
    }
    fn fails_with(format: Format, kind: io::ErrorKind) -> Error {
        let fill = || -> Result<u64> {
            let mut writer = writer(format, sample().schema(), Closed(kind), WriteOptions::default())?;
            writer.write(&sample())?;
            writer.finish()
        };
        fill().unwrap_err()
    }
    for format in <Format as clap::ValueEnum>::value_variants() {
        let error = fails_with(*format, io::ErrorKind::BrokenPipe);
        assert!(is_broken_pipe(&error), "{format:?}: {error:?}");
        assert_eq!(error.kind(), ErrorKind::Io, "{format:?}");
        let error = fails_with(*format, io::ErrorKind::StorageFull);
        assert!(!is_broken_pipe(&error), "{format:?}: {error:?}");
    }
    let wrapped = io::Error::other(io::Error::from(io::ErrorKind::BrokenPipe));
    assert!(is_broken_pipe(&Error::io("write", "out.csv", wrapped)));
}
