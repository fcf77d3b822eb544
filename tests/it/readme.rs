//! The README says what is true: its column table is the registry's.

use std::fs;
use std::path::Path;

use s3trail::batch::schema::{EXTRA_COLUMNS, FieldKind, PARTITION_COLUMN};
use s3trail::record::Field;

const BEGIN: &str = "<!-- columns: generated from the field registry, checked by a test -->\n";
const END: &str = "<!-- /columns -->";

fn table() -> String {
    let mut out = String::from("| column | type | since | meaning |\n|---|---|---|---|\n");
    let mut row = |name: &str, ty: &str, since: &str, meaning: &str| {
        out.push_str(&format!("| `{name}` | {ty} | {since} | {meaning} |\n"));
    };
    for field in Field::ALL {
        row(field.name(), field.field_type().sql_name(), field.since(), field.meaning());
    }
    for (name, kind, meaning) in EXTRA_COLUMNS {
        let ty = match kind {
            FieldKind::Text => "text",
            FieldKind::Binary => "binary",
            FieldKind::Int64 => "int64",
        };
        row(name, ty, "", meaning);
    }
    row(PARTITION_COLUMN, "date", "", "Date of `time`, UTC: the partition");
    out
}

#[test]
fn the_column_table_is_the_registry() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = fs::read_to_string(&path).unwrap();
    let begin = text.find(BEGIN).expect("the README has the marker") + BEGIN.len();
    let end = text.find(END).expect("the README has the end marker");
    if std::env::var_os("S3TRAIL_UPDATE_SNAPSHOTS").is_some() {
        fs::write(&path, [&text[..begin], &table(), &text[end..]].concat()).unwrap();
        return;
    }
    assert!(
        text[begin..end] == table(),
        "the column table of the README is stale; run the tests once with S3TRAIL_UPDATE_SNAPSHOTS=1"
    );
}

#[test]
fn the_index_of_saved_queries_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("queries/README.md");
    let catalog = s3trail::query::Catalog::load(None).unwrap();
    let fresh = s3trail::query::topics::index(&catalog).unwrap();
    if std::env::var_os("S3TRAIL_UPDATE_SNAPSHOTS").is_some() {
        fs::write(&path, fresh).unwrap();
        return;
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    assert!(there == fresh, "queries/README.md is stale; run the tests once with S3TRAIL_UPDATE_SNAPSHOTS=1");
}

#[test]
fn every_query_has_a_topic() {
    let catalog = s3trail::query::Catalog::load(None).unwrap();
    let topics = s3trail::query::topics::Topic::all().unwrap();
    let with_topic: Vec<&str> =
        topics.iter().flat_map(|topic| topic.queries(&catalog)).map(|query| query.id.as_str()).collect();
    for query in catalog.iter().filter(|query| query.kind != s3trail::query::Kind::View) {
        let times = with_topic.iter().filter(|id| **id == query.id).count();
        assert_eq!(times, 1, "{}: its first tag is no topic of queries/topics.toml", query.id);
    }
}
