//! A table of the lake as DataFusion scans it: the Parquet files of one version.
//!
//! The table's own provider hands every predicate to the Parquet reader a second time, and asks the Delta log again in
//! every query. This one prunes files by what the log says of them, leaves a predicate that then holds in every row
//! out, and lets DataFusion push the others down, once. It reads plain tables only: where the protocol demands more
//! of a reader (deletion vectors, renamed columns) the caller takes the other one.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, UInt64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType, UInt64Type};
use async_trait::async_trait;
use chrono::DateTime;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::config::TableParquetOptions;
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::stats::Precision;
use datafusion::common::{Column, ColumnStatistics, DFSchema, Result, ScalarValue, Statistics};
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::context::ExecutionProps;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::expr_rewriter::unnormalize_col;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, TableProviderFilterPushDown};
use datafusion::physical_expr::create_physical_expr;
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use deltalake::table::state::DeltaTableState;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectMeta, ObjectStore};

use super::maintain::{FileStats, noted_hash};

/// The column whose bounds are known of every file of `access_logs`, and are exact: times are whole seconds.
const TIME: &str = "time";

/// A foreign writer may cut the microseconds of a greatest value off.
const CUT_OFF_MICROS: i64 = 999;

/// One version of a table, its partition columns last.
#[derive(Debug)]
pub(super) struct Scan {
    url: ObjectStoreUrl,
    store: Arc<dyn ObjectStore>,
    table: TableSchema,
    schema: Arc<DFSchema>,
    files: Vec<PartitionedFile>,
    bounds: Bounds,
}

impl Scan {
    /// `store` has the lake as its root, `folder` is the table's in it, and `url` is the lake's name in a session.
    pub(super) fn new(
        store: Arc<dyn ObjectStore>,
        url: ObjectStoreUrl,
        folder: &ObjectPath,
        schema: &Schema,
        partitions: &[&str],
        state: &DeltaTableState,
    ) -> Result<Scan> {
        let (last, first): (Vec<_>, Vec<_>) =
            schema.fields().iter().cloned().partition(|field| partitions.contains(&field.name().as_str()));
        let table =
            TableSchema::builder(Arc::new(Schema::new(first))).with_table_partition_cols(last).build();
        let bounds = Bounds::new(state.clone());
        let files = files(&bounds, &table, folder)?;
        let schema = Arc::new(DFSchema::try_from(Arc::clone(table.table_schema()))?);
        Ok(Scan { url, store, table, schema, files, bounds })
    }

    /// For each file, whether a row in it may fit; `None` where only the rows can tell.
    fn may_fit(&self, filter: &Expr) -> Option<Vec<bool>> {
        let props = (ExecutionProps::new(), PhysicalPlanningContext::default());
        let filter = create_physical_expr(filter, &self.schema, &props.0, &props.1).ok()?;
        let schema = Arc::clone(self.table.table_schema());
        let predicate = PruningPredicateBuilder::new().with_file_schema(schema).try_build(filter).ok()?;
        predicate.prune(&self.bounds).ok()
    }

    /// Whether every row fits of every file in which one may: then nobody needs to look at the rows.
    fn decides(&self, filter: &Expr) -> bool {
        let filter = unnormalize_col(filter.clone());
        let Some((column, opposite)) = opposite(&filter) else { return false };
        let is_float = self.schema.field_with_unqualified_name(&column.name).map_or(true, |field| {
            // Bounds say nothing of what is no number.
            field.data_type().is_floating()
        });
        if is_float || !self.bounds.is_never_null(&column) {
            return false;
        }
        let Some((may, may_not)) = self.may_fit(&filter).zip(self.may_fit(&opposite)) else { return false };
        may.iter().zip(may_not).all(|(may, may_not)| !(*may && may_not))
    }
}

/// The column of a comparison with a constant, and the comparison that holds for the other values. Of anything else than
/// a column the bounds are not those of the column: a cast can fail, or turn their order around.
fn opposite(filter: &Expr) -> Option<(Column, Expr)> {
    let Expr::BinaryExpr(comparison) = filter else { return None };
    let column = match (comparison.left.as_ref(), comparison.right.as_ref()) {
        (Expr::Column(column), Expr::Literal(value, _)) | (Expr::Literal(value, _), Expr::Column(column))
            if !value.is_null() =>
        {
            column
        }
        _ => return None,
    };
    use Operator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    let op = match comparison.op {
        Eq | NotEq | Lt | LtEq | Gt | GtEq => comparison.op.negate()?,
        _ => return None,
    };
    Some((column.clone(), Expr::BinaryExpr(BinaryExpr { op, ..comparison.clone() })))
}

#[async_trait]
impl TableProvider for Scan {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.table.table_schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let how = |filter: &&Expr| match self.decides(filter) {
            true => TableProviderFilterPushDown::Exact,
            false => TableProviderFilterPushDown::Inexact,
        };
        Ok(filters.iter().map(how).collect())
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut fits = vec![true; self.files.len()];
        for filter in filters {
            let this = self.may_fit(filter).unwrap_or_default();
            fits.iter_mut().zip(this).for_each(|(fits, this)| *fits &= this);
        }
        let files = self.files.iter().zip(fits).filter_map(|(file, fits)| fits.then(|| file.clone()));
        let files: Vec<PartitionedFile> = files.collect();
        if files.is_empty() {
            let schema = match projection {
                Some(columns) => Arc::new(self.table.table_schema().project(columns)?),
                None => self.schema(),
            };
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        let statistics = files.iter().filter_map(|file| file.statistics.as_deref());
        let statistics = Statistics::try_merge_iter(statistics, self.table.table_schema())?;
        let runtime = session.runtime_env();
        runtime.register_object_store(self.url.as_ref(), Arc::clone(&self.store));
        let footers = runtime.cache_manager.get_file_metadata_cache();
        let options = TableParquetOptions {
            global: session.config_options().execution.parquet.clone(),
            ..TableParquetOptions::default()
        };
        let source = ParquetSource::new(self.table.clone())
            .with_table_parquet_options(options)
            .with_parquet_file_reader_factory(Arc::new(CachedParquetFileReaderFactory::new(
                Arc::clone(&self.store),
                footers,
            )));
        let config = FileScanConfigBuilder::new(self.url.clone(), Arc::new(source))
            .with_file_group(FileGroup::new(files))
            .with_statistics(statistics)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}

/// The files of the version, in the order of `bounds`.
fn files(bounds: &Bounds, table: &TableSchema, folder: &ObjectPath) -> Result<Vec<PartitionedFile>> {
    if bounds.num_containers() == 0 {
        return Ok(Vec::new());
    }
    let time = table.file_schema().index_of(TIME).ok();
    let least = time.and_then(|_| bounds.min_values(&Column::from_name(TIME)));
    let greatest = time.and_then(|_| bounds.exact_max(TIME));
    let mut partitions = Vec::new();
    for column in table.table_partition_cols() {
        let missing = || datafusion::common::internal_datafusion_err!("no values of {}", column.name());
        let values = bounds.min_values(&Column::from_name(column.name())).ok_or_else(missing)?;
        partitions.push(cast(&values, column.data_type())?);
    }
    let mut files = Vec::with_capacity(bounds.num_containers());
    for (index, file) in bounds.state.log_data().iter().enumerate() {
        let path = format!("{folder}/{}", file.path());
        let mut columns = vec![ColumnStatistics::new_unknown(); table.file_schema().fields().len()];
        // Files of others may have other times than whole seconds, and bounds that are cut off.
        if let (Some(time), Some(least), Some(greatest)) = (time, &least, &greatest)
            && noted_hash(&file).is_some()
            && least.is_valid(index)
            && greatest.is_valid(index)
        {
            let data_type = table.file_schema().field(time).data_type();
            let value = |values: &ArrayRef| ScalarValue::try_from_array(values, index)?.cast_to(data_type);
            columns[time].min_value = Precision::Exact(value(least)?);
            columns[time].max_value = Precision::Exact(value(greatest)?);
        }
        let rows = bounds.rows.is_valid(index).then(|| bounds.rows.value(index) as usize);
        let mut statistics = Statistics {
            num_rows: rows.map_or(Precision::Absent, Precision::Exact),
            total_byte_size: Precision::Absent,
            column_statistics: columns,
        };
        let mut scanned = PartitionedFile::new_from_meta(ObjectMeta {
            location: ObjectPath::parse(path)?,
            last_modified: DateTime::from_timestamp_millis(file.modification_time()).unwrap_or_default(),
            size: u64::try_from(file.size()).unwrap_or_default(),
            e_tag: None,
            version: None,
        });
        // Not by `with_statistics`, which holds that a partition is never null.
        for values in &partitions {
            let value = ScalarValue::try_from_array(values, index)?;
            let bound = match value.is_null() || rows == Some(0) {
                true => Precision::Absent,
                false => Precision::Exact(value.clone()),
            };
            let nulls = if value.is_null() { statistics.num_rows } else { Precision::Exact(0) };
            let column = ColumnStatistics::new_unknown().with_null_count(nulls);
            let column = column.with_min_value(bound.clone()).with_max_value(bound);
            statistics.column_statistics.push(column);
            scanned.partition_values.push(value);
        }
        scanned.statistics = Some(Arc::new(statistics));
        files.push(scanned);
    }
    Ok(files)
}

/// What the Delta log says of the files: the least and the greatest values, nulls, rows. Each column is looked up once.
#[derive(Debug)]
struct Bounds {
    state: DeltaTableState,
    rows: UInt64Array,
    found: Mutex<HashMap<(String, Bound), Option<ArrayRef>>>,
    stats: OnceLock<Vec<FileStats>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Bound {
    Least,
    Greatest,
}

impl Bounds {
    fn new(state: DeltaTableState) -> Bounds {
        let rows = state.log_data().iter().map(|file| file.num_records().map(|rows| rows as u64)).collect();
        Bounds { state, rows, found: Mutex::default(), stats: OnceLock::new() }
    }

    fn find(
        &self,
        column: &Column,
        bound: Bound,
        look: impl FnOnce() -> Option<ArrayRef>,
    ) -> Option<ArrayRef> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.entry((column.name.clone(), bound)).or_insert_with(look).clone()
    }

    /// The greatest values as they are written down.
    fn exact_max(&self, column: &str) -> Option<ArrayRef> {
        self.state.log_data().max_values(&Column::from_name(column))
    }

    /// Whether the log says of every file that the column has no nulls in it.
    fn is_never_null(&self, column: &Column) -> bool {
        let Some(nulls) = self.null_counts(column) else { return false };
        let nulls = nulls.as_primitive::<UInt64Type>();
        nulls.iter().all(|nulls| nulls == Some(0))
    }
}

impl PruningStatistics for Bounds {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.find(column, Bound::Least, || self.state.log_data().min_values(column))
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.find(column, Bound::Greatest, || {
            let values = self.state.log_data().max_values(column)?;
            let DataType::Timestamp(_, zone) = values.data_type().clone() else { return Some(values) };
            let micros = cast(&values, &DataType::Timestamp(TimeUnit::Microsecond, zone.clone()));
            let micros = micros.ok()?;
            let micros = micros.as_primitive::<TimestampMicrosecondType>();
            let greatest = micros.unary::<_, TimestampMicrosecondType>(|t| t.saturating_add(CUT_OFF_MICROS));
            Some(Arc::new(greatest.with_timezone_opt(zone)))
        })
    }

    fn num_containers(&self) -> usize {
        self.rows.len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        if self.state.metadata().partition_columns().contains(&column.name) {
            let values = self.min_values(column)?;
            let nulls = |(file, rows)| if values.is_null(file) { rows } else { Some(0) };
            return Some(Arc::new(self.rows.iter().enumerate().map(nulls).collect::<UInt64Array>()));
        }
        let look = || self.state.log_data().iter().map(|file| FileStats::of(&file)).collect();
        let files = self.stats.get_or_init(look);
        let counts: UInt64Array = files.iter().map(|stats| stats.nulls(&column.name)).collect();
        Some(Arc::new(counts))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::new(self.rows.clone()))
    }

    fn contained(&self, _: &Column, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Ground, Object, SOURCE, part};
    use super::super::{Lake, Table};
    use arrow::datatypes::Int64Type;

    use super::*;

    /// 2026-01-01.
    const DAY: i32 = 20_454;

    /// One row of that day, two of the next, three of no day.
    async fn three_days(ground: &Ground) -> Lake {
        let mut lake = ground.create().await;
        let days = [(Some(DAY), 1), (Some(DAY + 1), 2), (None, 3)];
        let mut parts =
            days.map(|(day, rows)| part(&lake, Table::AccessLogs, Object::of("a"), day, rows)).to_vec();
        parts.push(part(&lake, Table::LogObjects, Object::of("a"), None, 1));
        let attempt = lake.begin(SOURCE).await.unwrap();
        lake.commit(&attempt, &parts).await.unwrap();
        lake
    }

    async fn number(lake: &Lake, sql: &str) -> i64 {
        let batches = lake.sql(sql).await.unwrap_or_else(|e| panic!("{sql}: {}", e.report()));
        batches[0].column(0).as_primitive::<Int64Type>().value(0)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn rows_without_a_day_are_found_and_counted() {
        for ground in Ground::both() {
            let lake = three_days(&ground).await;
            for (condition, rows) in [
                ("true", 6),
                ("event_date IS NULL", 3),
                ("event_date IS NOT NULL", 3),
                ("event_date = DATE '2026-01-01'", 1),
                ("event_date <> DATE '2026-01-01'", 2),
                ("NOT event_date <> DATE '2026-01-01'", 1),
                ("event_date > DATE '2026-01-01'", 2),
                ("event_date >= DATE '1999-01-01'", 3),
                ("event_date > DATE '2026-01-02'", 0),
                ("coalesce(event_date, DATE '2026-01-01') = DATE '2026-01-01'", 4),
                ("time IS NULL", 6),
                ("time > TIMESTAMP '2026-01-01T00:00:00Z'", 0),
                ("log_key = 'a' AND event_date > DATE '2026-01-01'", 2),
            ] {
                let sql = format!("SELECT count(*) AS n FROM access_logs WHERE {condition}");
                assert_eq!(number(&lake, &sql).await, rows, "{condition}");
            }
            assert_eq!(number(&lake, "SELECT count(event_date) AS n FROM access_logs").await, 3);
            let last = "SELECT CAST(max(event_date) - DATE '2026-01-01' AS bigint) AS n FROM access_logs";
            assert_eq!(number(&lake, last).await, 1);
        }
    }

    #[test]
    fn only_a_column_beside_a_constant_is_decided_by_its_bounds() {
        use datafusion::logical_expr::{cast, col, lit, not, try_cast};
        use datafusion::prelude::Expr;

        let is_asked = |filter: Expr| opposite(&filter).is_some();
        assert!(is_asked(col("time").gt_eq(lit(5))));
        assert!(is_asked(lit(5).lt(col("time"))));
        assert!(is_asked(col("time").not_eq(lit(5))));
        for filter in [
            cast(col("time"), DataType::Time64(TimeUnit::Microsecond)).gt_eq(lit(5)),
            try_cast(col("log_offset"), DataType::Int16).gt(lit(0)),
            (-col("time")).gt(lit(5)),
            not(col("time").gt(lit(5))),
            col("time").gt(lit(ScalarValue::Int64(None))),
            col("time").gt(col("log_offset")),
            col("bucket").like(lit("a%")),
            col("time").gt(lit(1)).and(col("time").lt(lit(5))),
        ] {
            assert!(!is_asked(filter.clone()), "{filter}");
        }
        let (_, other) = opposite(&col("time").lt(lit(5))).unwrap();
        assert_eq!(other, col("time").gt_eq(lit(5)));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn columns_are_those_that_delta_lake_tells_of() {
        let lake = three_days(&Ground::folder()).await;
        for table in Table::ALL {
            let ours = lake.provider(table).await.unwrap();
            let theirs = lake.tables[table as usize].table_provider().await.unwrap();
            assert!(ours.downcast_ref::<Scan>().is_some(), "{table}");
            assert_eq!(ours.schema().fields(), theirs.schema().fields(), "{table}");
        }
    }
}
