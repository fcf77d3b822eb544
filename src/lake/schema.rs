//! The schemas of the three tables: as Arrow, as the Parquet files hold them, and as Delta names them. Side tables
//! bring their own; how Delta names it is told here too.
//!
//! One row of `access_logs` is one log record, one row of `log_objects` one log object taken in, one row of
//! `rejects` one line refused. The columns of `access_logs` come from the field registry through
//! [`crate::batch::schema`]; the other two tables are written down here and nowhere else. This module reads and
//! writes nothing.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use deltalake::kernel::{DataType as DeltaType, StructField};
use deltalake::table::state::DeltaTableState;
use serde::{Deserialize, Serialize};

use crate::batch::schema::{PARTITION_COLUMN, access_logs_schema, timestamp_type};
use crate::error::{Error, ErrorKind, Result};

/// A table of the lake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Table {
    /// One row per log record, partitioned by `event_date`.
    AccessLogs,
    /// The ledger: one row per log object taken in.
    LogObjects,
    /// One row per line refused, with its reason.
    Rejects,
}

impl Table {
    /// Every table. `Table as usize` is its index.
    pub const ALL: [Table; 3] = [Table::AccessLogs, Table::LogObjects, Table::Rejects];

    /// The table's name: of its folder in the lake and in SQL.
    pub fn name(self) -> &'static str {
        match self {
            Table::AccessLogs => "access_logs",
            Table::LogObjects => "log_objects",
            Table::Rejects => "rejects",
        }
    }

    /// What one row is, for whoever opens the table with another tool.
    fn comment(self) -> &'static str {
        match self {
            Table::AccessLogs => "One row per Amazon S3 server access log record",
            Table::LogObjects => "One row per log object taken in by s3trail",
            Table::Rejects => "One row per line that is no log record, with the reason",
        }
    }

    /// All columns, the partition column last.
    pub fn arrow_schema(self) -> SchemaRef {
        static ACCESS_LOGS: LazyLock<SchemaRef> = LazyLock::new(|| {
            let mut fields = access_logs_schema().fields().to_vec();
            fields.push(Arc::new(Field::new(PARTITION_COLUMN, DataType::Date32, true)));
            Arc::new(Schema::new(fields))
        });
        match self {
            Table::AccessLogs => Arc::clone(&ACCESS_LOGS),
            Table::LogObjects | Table::Rejects => self.file_schema(),
        }
    }

    /// The columns a Parquet file of the table holds: all but the partition column.
    pub fn file_schema(self) -> SchemaRef {
        static LOG_OBJECTS: LazyLock<SchemaRef> = LazyLock::new(log_objects_schema);
        static REJECTS: LazyLock<SchemaRef> = LazyLock::new(rejects_schema);
        match self {
            Table::AccessLogs => access_logs_schema(),
            Table::LogObjects => Arc::clone(&LOG_OBJECTS),
            Table::Rejects => Arc::clone(&REJECTS),
        }
    }

    /// The partition columns, in order.
    pub fn partition_columns(self) -> &'static [&'static str] {
        match self {
            Table::AccessLogs => &[PARTITION_COLUMN],
            Table::LogObjects | Table::Rejects => &[],
        }
    }

    /// The table as it is created and as it must be found.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] when a column has a type that Delta does not know.
    pub(super) fn definition(self) -> Result<Definition> {
        Definition::new(self.name(), self.comment(), &self.arrow_schema(), self.partition_columns())
    }
}

/// A Delta table as it is created and as it must be found.
#[derive(Debug)]
pub(super) struct Definition {
    pub(super) name: &'static str,
    /// What one row is, for whoever opens the table with another tool.
    pub(super) comment: &'static str,
    /// The columns as the Delta log names them.
    pub(super) columns: Vec<StructField>,
    pub(super) partitions: &'static [&'static str],
}

impl Definition {
    pub(super) fn new(
        name: &'static str,
        comment: &'static str,
        schema: &Schema,
        partitions: &'static [&'static str],
    ) -> Result<Definition> {
        let column = |field: &Arc<Field>| match delta_type(field.data_type()) {
            Some(delta) => Ok(StructField::new(field.name().as_str(), delta, field.is_nullable())),
            None => Err(Error::new(ErrorKind::Internal, "a column has no Delta type")
                .with_context("table", name)
                .with_context("column", field.name().as_str())
                .with_context("type", field.data_type().to_string())),
        };
        let columns = schema.fields().iter().map(column).collect::<Result<Vec<_>>>()?;
        Ok(Definition { name, comment, columns, partitions })
    }

    /// Refuses a Delta table that does not have these columns and partitions. Further columns are let pass as long
    /// as they may be null, so that a lake of a newer s3trail can still be read and written.
    ///
    /// # Errors
    /// [`ErrorKind::Lake`], naming the first difference.
    pub(super) fn check(&self, state: &DeltaTableState) -> Result<()> {
        let foreign = |what: String| {
            Error::new(ErrorKind::Lake, what)
                .with_context("table", self.name)
                .with_hint("this table was not made by this version of s3trail; name another lake")
        };
        let partitions = state.metadata().partition_columns();
        if !partitions.iter().map(String::as_str).eq(self.partitions.iter().copied()) {
            return Err(foreign(format!("the table is partitioned by [{}]", partitions.join(", "))));
        }
        let found = state.schema();
        for column in &self.columns {
            let Some(there) = found.field(&column.name) else {
                return Err(foreign(format!("the table has no column {}", column.name)));
            };
            if there.data_type != column.data_type || (column.nullable && !there.nullable) {
                return Err(foreign(format!("column {} of the table has another type", column.name)));
            }
        }
        let unknown = |name: &str| !self.columns.iter().any(|column| column.name == name);
        match found.fields().find(|f| !f.nullable && unknown(&f.name)) {
            Some(extra) => Err(foreign(format!("the table demands an unknown column {}", extra.name))),
            None => Ok(()),
        }
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

fn log_objects_schema() -> SchemaRef {
    let timestamp = timestamp_type;
    Arc::new(Schema::new(vec![
        Field::new("log_bucket", DataType::Utf8View, true),
        Field::new("log_key", DataType::Utf8View, false),
        Field::new("etag", DataType::Utf8View, false),
        Field::new("size_bytes", DataType::Int64, true),
        Field::new("last_modified", timestamp(), true),
        Field::new("layout", DataType::Utf8View, true),
        Field::new("delivered_at", timestamp(), true),
        Field::new("source_bucket", DataType::Utf8View, true),
        Field::new("records", DataType::Int64, false),
        Field::new("rejects", DataType::Int64, false),
        Field::new("duplicates", DataType::Int64, false),
        Field::new("lines", DataType::Int64, false),
        Field::new("first_time", timestamp(), true),
        Field::new("last_time", timestamp(), true),
        Field::new("source_id", DataType::Utf8View, true),
        Field::new("commit_batch", DataType::Utf8View, true),
        Field::new("ingested_at", timestamp(), true),
    ]))
}

fn rejects_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("log_bucket", DataType::Utf8View, true),
        Field::new("log_key", DataType::Utf8View, false),
        Field::new("log_offset", DataType::Int64, true),
        Field::new("field", DataType::Utf8View, true),
        Field::new("reason", DataType::Utf8View, true),
        Field::new("line", DataType::Binary, true),
        Field::new("source_id", DataType::Utf8View, true),
        Field::new("commit_batch", DataType::Utf8View, true),
    ]))
}

/// The Delta type of an Arrow type, for the types the tables use. Delta knows one string and one binary type.
fn delta_type(arrow: &DataType) -> Option<DeltaType> {
    match arrow {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Some(DeltaType::STRING),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => Some(DeltaType::BINARY),
        DataType::Int16 => Some(DeltaType::SHORT),
        DataType::Int32 => Some(DeltaType::INTEGER),
        DataType::Int64 => Some(DeltaType::LONG),
        DataType::Float64 => Some(DeltaType::DOUBLE),
        DataType::Boolean => Some(DeltaType::BOOLEAN),
        DataType::Date32 => Some(DeltaType::DATE),
        other if *other == timestamp_type() => Some(DeltaType::TIMESTAMP),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_has_a_delta_type_and_the_partition_is_last() {
        for (index, table) in Table::ALL.into_iter().enumerate() {
            assert_eq!(table as usize, index);
            let whole = table.arrow_schema();
            let columns = table.definition().unwrap().columns;
            assert_eq!(columns.len(), whole.fields().len());
            let in_files = whole.fields().len() - table.partition_columns().len();
            assert_eq!(table.file_schema().fields()[..], whole.fields()[..in_files]);
            for (column, name) in columns[in_files..].iter().zip(table.partition_columns()) {
                assert_eq!(column.name, *name);
            }
        }
    }
}
