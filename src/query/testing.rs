//! For the tests of this module: an engine over tables in memory with the columns of the lake.

use std::io::Cursor;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field as Column, Schema, SchemaRef, TimeUnit};
use datafusion::datasource::MemTable;

use super::{Engine, EngineOptions};
use crate::record::field::{Field, FieldType};

fn time() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC")))
}

fn schema(columns: impl IntoIterator<Item = (&'static str, DataType)>) -> SchemaRef {
    let columns: Vec<Column> = columns.into_iter().map(|(name, t)| Column::new(name, t, true)).collect();
    Arc::new(Schema::new(columns))
}

fn access_logs() -> SchemaRef {
    let fields = Field::ALL.into_iter().map(|field| {
        let data_type = match field.field_type() {
            FieldType::Text => DataType::Utf8View,
            FieldType::Timestamp => time(),
            FieldType::Int16 => DataType::Int16,
            FieldType::Int64 => DataType::Int64,
            FieldType::Bool => DataType::Boolean,
        };
        (field.name(), data_type)
    });
    let others = [
        ("key_logged", DataType::Utf8View),
        ("quirks", DataType::Utf8View),
        ("extra", DataType::Utf8View),
        ("raw_line", DataType::Binary),
        ("log_bucket", DataType::Utf8View),
        ("log_key", DataType::Utf8View),
        ("log_offset", DataType::Int64),
        ("record_bytes", DataType::Int64),
        ("event_date", DataType::Date32),
    ];
    schema(fields.chain(others))
}

fn log_objects() -> SchemaRef {
    schema([
        ("log_bucket", DataType::Utf8View),
        ("log_key", DataType::Utf8View),
        ("etag", DataType::Utf8View),
        ("size_bytes", DataType::Int64),
        ("last_modified", time()),
        ("layout", DataType::Utf8View),
        ("delivered_at", time()),
        ("source_bucket", DataType::Utf8View),
        ("records", DataType::Int64),
        ("rejects", DataType::Int64),
        ("duplicates", DataType::Int64),
        ("lines", DataType::Int64),
        ("first_time", time()),
        ("last_time", time()),
        ("source_id", DataType::Utf8View),
        ("commit_batch", DataType::Utf8View),
        ("ingested_at", time()),
    ])
}

fn rejects() -> SchemaRef {
    schema([
        ("log_bucket", DataType::Utf8View),
        ("log_key", DataType::Utf8View),
        ("log_offset", DataType::Int64),
        ("field", DataType::Utf8View),
        ("reason", DataType::Utf8View),
        ("line", DataType::Binary),
        ("source_id", DataType::Utf8View),
        ("commit_batch", DataType::Utf8View),
    ])
}

/// Rows written as JSON objects; columns that are not named are null.
fn table(schema: SchemaRef, rows: &[&str]) -> Arc<MemTable> {
    let reader = arrow::json::ReaderBuilder::new(Arc::clone(&schema))
        .build(Cursor::new(rows.join("\n").into_bytes()))
        .expect("a reader of JSON");
    let batches: Vec<RecordBatch> = reader.collect::<Result<_, _>>().expect("rows of the schema");
    Arc::new(MemTable::try_new(schema, vec![batches]).expect("a table in memory"))
}

/// An engine with the tables, `access_logs` holding `rows` and the others nothing, and the views.
pub(super) async fn engine(options: &EngineOptions, rows: &[&str]) -> Engine {
    let engine = Engine::new(options).expect("an engine");
    for (name, table) in [
        ("access_logs", table(access_logs(), rows)),
        ("log_objects", table(log_objects(), &[])),
        ("rejects", table(rejects(), &[])),
        ("bucket_config", table(crate::audit::schema(), &[])),
    ] {
        engine.register_table(name, table).await.expect("a table");
    }
    engine.register_views().await.unwrap_or_else(|error| panic!("{}", error.report()));
    engine
}

/// Fills `log_objects`, and plans the views again over it.
pub(super) async fn register_log_objects(engine: &Engine, rows: &[&str]) {
    engine.register_table("log_objects", table(log_objects(), rows)).await.expect("a table");
    engine.register_views().await.expect("the views");
}
